import assert from "node:assert/strict";
import type { KubeCluster } from "./kube-lab.ts";
import { type ChartObject, type Helm, objectsIn, type Values } from "./rendered-chart.ts";

/** The only container of what a chart deploys. */
export interface Container {
  readonly args: readonly string[];
  readonly env: readonly EnvVar[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
}
interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
}
interface PodTemplate {
  readonly spec: { readonly serviceAccountName: string; readonly containers: readonly Container[] };
}

/** A rule of a role. */
export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[] | undefined;
}

/** Which chart, where, with which values. */
export interface Release {
  readonly chart: string;
  readonly namespace: string;
  readonly values?: Values;
}

/** As `helm install`, and every field is held to what the server knows. */
export async function install(
  helm: Helm,
  { client }: KubeCluster,
  { chart, namespace, values }: Release,
): Promise<readonly ChartObject[]> {
  const text = await helm.text(chart, values, namespace);
  const file = helm.write(`${chart}.yaml`, text);
  await client.kubectl("apply", "--server-side", "--validate=strict", "--field-manager=helm", "-f", file);
  return objectsIn(text);
}

export const containerOf = (objects: readonly ChartObject[]): Container => templateOf(objects).spec.containers[0]!;

/** The variables of its container, as a kubelet sets them. */
export function environmentOf(objects: readonly ChartObject[]): Readonly<Record<string, string>> {
  const { metadata } = deploymentOf(objects);
  const fields: Readonly<Record<string, string>> = {
    "metadata.name": `${metadata.name}-0`,
    "metadata.namespace": metadata.namespace!,
    "spec.serviceAccountName": templateOf(objects).spec.serviceAccountName,
  };
  return Object.fromEntries(
    containerOf(objects).env.map(({ name, value, valueFrom }) => {
      const text = valueFrom === undefined ? value : fields[valueFrom.fieldRef.fieldPath];
      assert.ok(text !== undefined, name);
      return [name, text];
    }),
  );
}

const deploymentOf = (objects: readonly ChartObject[]): ChartObject =>
  objects.find(({ kind }) => kind === "Deployment")!;

const templateOf = (objects: readonly ChartObject[]): PodTemplate =>
  (deploymentOf(objects)["spec"] as { template: PodTemplate }).template;

/** Lines of `kubectl auth can-i --list`: the verbs on each resource, by name if there is one. */
export async function allowed(
  { client }: KubeCluster,
  account: { readonly namespace: string; readonly name: string },
  inNamespace = account.namespace,
): Promise<Values> {
  const as = `--as=system:serviceaccount:${account.namespace}:${account.name}`;
  const lines = (await client.kubectl("auth", "can-i", "--list", "-n", inNamespace, as)).trim().split("\n").slice(1);
  return Object.fromEntries(
    lines.map((line) => {
      const [, resource, urls, names, verbs] = /^(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]$/.exec(line)!;
      assert.equal(urls, "", line);
      return [`${resource} ${names}`.trim(), verbs!.split(" ").toSorted()];
    }),
  );
}

/** The same, of rules. */
export function listed(rules: readonly Rule[]): Values {
  const verbsOf = new Map<string, Set<string>>();
  for (const { apiGroups, resources, verbs, resourceNames = [""] } of rules)
    for (const group of apiGroups)
      for (const resource of resources)
        for (const name of resourceNames) {
          const key = `${asKubectl(resource, group)} ${name}`.trim();
          verbsOf.set(key, new Set([...(verbsOf.get(key) ?? []), ...verbs]));
        }
  return Object.fromEntries([...verbsOf].map(([key, verbs]) => [key, [...verbs].toSorted()]));
}

/** The subresource after the group. */
function asKubectl(resource: string, group: string): string {
  const [plural, ...subresource] = resource.split("/");
  return [group === "" ? plural : `${plural}.${group}`, ...subresource].join("/");
}
