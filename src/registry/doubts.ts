import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import type { Objects } from "./kube/objects.ts";
import type { Doubt } from "./kube/traffic-labels.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";
import { union } from "./union.ts";

/** Values of the local cluster's Services and Namespaces that nobody knows (contract peering.md 2.10). */
export function doubtProblems(
  graph: Graph,
  { services, namespaces }: Objects,
  { localCluster }: RegistryOptions,
): Collection<string, Problem> {
  const isDoubtful = ({ doubts }: { readonly doubts: readonly Doubt[] }): boolean => doubts.length > 0;
  const ofServices = derive(graph, {
    name: "service-doubts",
    distinct: true,
    from: filter(graph, "doubtful-services", services, isDoubtful),
    reads: {},
    to: ({ id, doubts }, _reads, key) =>
      id.cluster === localCluster
        ? problemsOf(`Service ${key}`, `Service ${id.namespace}/${id.name}`, id.origin, doubts)
        : [],
  });
  const ofNamespaces = derive(graph, {
    name: "namespace-doubts",
    distinct: true,
    from: filter(graph, "doubtful-namespaces", namespaces, isDoubtful),
    reads: {},
    to: ({ name, origin, doubts }, _reads, key) =>
      key.startsWith(`${localCluster}/`) ? problemsOf(`Namespace ${key}`, `Namespace ${name}`, origin, doubts) : [],
  });
  return union<string, Problem>(graph, "doubts", [ofServices, ofNamespaces]);
}

const problemsOf = (
  key: string,
  object: string,
  origin: string,
  doubts: readonly Doubt[],
): readonly (readonly [string, Problem])[] =>
  doubts.map(({ field, message }) => [
    `${key}#doubt#${field}`,
    { object, origin, field, message: `${field} of ${object} ${message}.`, severity: "warning" },
  ]);
