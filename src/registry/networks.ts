import { networkId, type ClusterId, type NetworkId } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { Source } from "./collection/source.ts";
import type { Objects } from "./kube/objects.ts";
import type { RegistryOptions } from "./options.ts";
import { union } from "./union.ts";

/**
 * The network of each cluster that names one: a label of its system namespace (contract ztunnel.md 5.1). For the local
 * cluster a network that was given to us wins.
 */
export function clusterNetworks(
  graph: Graph,
  objects: Objects,
  { systemNamespace, localCluster, network }: RegistryOptions,
): Collection<ClusterId, NetworkId> {
  const given = new Source<ClusterId, NetworkId>(graph, "networks-given");
  if (network !== "") given.set(localCluster, network);
  const labelled = derive(graph, {
    name: "networks-labelled",
    from: objects.namespaces,
    reads: {},
    to: (namespace, _reads, key) => {
      const cluster = key.slice(0, key.indexOf("/")) as ClusterId;
      if (namespace.name !== systemNamespace || namespace.network === "") return [];
      return network !== "" && cluster === localCluster ? [] : [[cluster, networkId(namespace.network)] as const];
    },
  });
  return union(graph, "networks", [given, labelled]);
}
