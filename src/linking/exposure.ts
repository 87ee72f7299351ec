import { stringify } from "yaml";
import { eastWestGateway, type EastWest } from "./gateways.ts";
import type { Manifest } from "./changes.ts";

/** What `expose` is asked for: a Gateway, and how many proxies stand behind it. */
export interface Exposure extends Omit<EastWest, "parameters"> {
  readonly namespace: string;
  readonly name: string;
  /** Undefined to leave it to whoever scales. */
  readonly replicas: number | undefined;
}

/** All that `expose` makes, in the order in which it must be there (contract peering.md 4.1). */
export function exposedObjects(exposure: Exposure): readonly Manifest[] {
  const { namespace, name, replicas } = exposure;
  const parameters = replicas === undefined ? undefined : name;
  return [
    namespaceObject(namespace),
    ...(replicas === undefined ? [] : [parametersObject(namespace, name, replicas)]),
    eastWestGateway({ ...exposure, parameters }),
  ];
}

export const namespaceObject = (name: string): Manifest => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name },
});

/** Replicas apart from each other, and never all gone at once (contract peering.md 4.1, "Ours adds"). */
function parametersObject(namespace: string, name: string, replicas: number): Manifest {
  const matchLabels = { "gateway.networking.k8s.io/gateway-name": name };
  const term = { labelSelector: { matchLabels }, topologyKey: "kubernetes.io/hostname" };
  const podAntiAffinity = { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: term }] };
  const deployment = { spec: { replicas, template: { spec: { affinity: { podAntiAffinity } } } } };
  // With one replica a budget would only keep its node from being drained.
  const budget = replicas > 1 ? { podDisruptionBudget: stringify({ spec: { minAvailable: 1 } }) } : {};
  const data = { deployment: stringify(deployment), ...budget };
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data } as Manifest;
}

/** YAML to apply or to commit; `comments` says where. */
export function manifestsYaml(manifests: readonly Manifest[], comments: readonly string[]): string {
  const texts = manifests.map((manifest) => stringify(manifest, { lineWidth: 0, aliasDuplicateObjects: false }));
  return `${comments.map((line) => `# ${line}\n`).join("")}${texts.join("---\n")}---\n`;
}
