import { PODS } from "../../kube/resource-types.ts";
import type { KubeObject } from "../../kube/object.ts";
import { isFields } from "../../registry/kube/fields.ts";
import type { Finding } from "../finding.ts";
import { analysed } from "./codes.ts";
import { isTold, type Member } from "./shared-services.ts";
import { originOf, type Site } from "./site.ts";

/** Longer texts are no settings. */
const TEXT_CHARS_MAX = 4096;
const LOCAL_NAME = /(?<![\w.-])([a-z][a-z0-9-]*)\.([a-z][a-z0-9-]*)(?:\.svc(?:\.cluster\.local)?)?(?![\w-]|\.[a-z])/g;
const WORKLOADS: ReadonlySet<string> = new Set(["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod"]);

/**
 * Containers whose settings name a shared service by its cluster-local name, by which only endpoints of their own cluster
 * are reached (contract peering.md 1.1, A16). What a program names otherwise nobody can see.
 */
export function callerFindings(
  sites: readonly Site[],
  shared: ReadonlyMap<string, readonly Member[]>,
): readonly Finding[] {
  return sites.flatMap((site) =>
    workloadsOf(site).flatMap((workload) => {
      const named = new Set(textsOf(workload).flatMap((text) => namesIn(text)));
      return [...named].sort().flatMap((name) => {
        const elsewhere = (shared.get(name) ?? []).filter(isTold).filter((member) => member.site !== site);
        const here = (shared.get(name) ?? []).find((member) => member.site === site);
        if (elsewhere.length === 0 || here?.takeover === true) return [];
        const [service, namespace] = [name.split("/")[1]!, name.split("/")[0]!];
        const others = elsewhere.map(({ site }) => site.facts.cluster).join(", ");
        const global = `${service}.${namespace}.mesh.internal`;
        return [
          analysed(
            "CWY2309",
            {
              ...{ cluster: site.facts.cluster, object: titleOf(workload), field: "spec" },
              origin: originOf(site.facts, workload),
            },
            `it calls ${service}.${namespace}, the cluster's own name, by which the endpoints of cluster ${others} are not reached`,
            { fix: `call ${global}; or label the Service solo.io/service-takeover=true` },
          ),
        ];
      });
    }),
  );
}

const titleOf = ({ kind, metadata }: KubeObject): string =>
  `${kind} ${metadata.namespace ?? "default"}/${metadata.name}`;

/** Pods that something made show the settings of what made them. */
const workloadsOf = ({ facts }: Site): readonly KubeObject[] =>
  [...facts.kinds.values()]
    .flatMap((kind) => ("objects" in kind ? kind.objects : []))
    .filter(({ kind, metadata }) => WORKLOADS.has(kind) && (kind !== PODS.kind || !isMade(metadata)));

const isMade = ({ ownerReferences }: KubeObject["metadata"]): boolean => (ownerReferences ?? []).length > 0;

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function textsOf(workload: KubeObject): readonly string[] {
  const spec = isFields(workload["spec"]) ? workload["spec"] : {};
  const template = isFields(spec["template"]) ? spec["template"]["spec"] : spec;
  const containers = listOf(isFields(template) ? template["containers"] : undefined).filter(isFields);
  const texts = containers.flatMap(({ env, args, command }) => [
    ...listOf(env).map((each) => (isFields(each) ? each["value"] : undefined)),
    ...listOf(args),
    ...listOf(command),
  ]);
  return texts.filter((text): text is string => typeof text === "string" && text.length <= TEXT_CHARS_MAX);
}

/** As `namespace/name`. */
const namesIn = (text: string): readonly string[] =>
  [...text.matchAll(LOCAL_NAME)].map(([, name, namespace]) => `${namespace}/${name}`);
