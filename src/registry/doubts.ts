import { clusterPrefix, type ObjectKey } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import type { Objects } from "./kube/objects.ts";
import type { Doubt } from "./kube/traffic-labels.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";
import { union } from "./union.ts";

/** Values of the local cluster's Services, ServiceEntries and Namespaces that nobody knows (contract peering.md 2.10). */
export function doubtProblems(
  graph: Graph,
  { services, serviceEntries, namespaces }: Objects,
  { localCluster }: RegistryOptions,
): Collection<string, Problem> {
  const found = <V extends Doubtful>(kind: string, from: Collection<ObjectKey, V>, originOf: (value: V) => string) =>
    derive(graph, {
      name: `doubts-of-${from.name}`,
      distinct: true,
      from: filter(graph, `doubtful-${from.name}`, from, ({ doubts }) => doubts.length > 0),
      reads: {},
      to: (value, _reads, key) =>
        key.startsWith(clusterPrefix(localCluster)) ? problemsOf(kind, key, originOf(value), value.doubts) : [],
    });
  return union<string, Problem>(graph, "doubts", [
    found("Service", services, ({ id }) => id.origin),
    found("ServiceEntry", serviceEntries, ({ id }) => id.origin),
    found("Namespace", namespaces, ({ origin }) => origin),
  ]);
}

interface Doubtful {
  readonly doubts: readonly Doubt[];
}

function problemsOf(
  kind: string,
  key: ObjectKey,
  origin: string,
  doubts: readonly Doubt[],
): readonly (readonly [string, Problem])[] {
  // Without the cluster, which is ours, and the namespace that a Namespace has not.
  const object = `${kind} ${key
    .split("/")
    .slice(1)
    .filter((part) => part !== "")
    .join("/")}`;
  return doubts.map(({ field, message }) => [
    `${kind} ${key}#doubt#${field}`,
    { object, origin, field, message: `${field} of ${object} ${message}.`, severity: "warning" },
  ]);
}
