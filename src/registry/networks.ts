import { networkId, type ClusterId, type NetworkId } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { Source } from "./collection/source.ts";
import { filter } from "./collection/filter.ts";
import type { Objects } from "./kube/objects.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";
import { union } from "./union.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

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

const NETWORK_LABEL = "topology.istio.io/network";

/**
 * Namespaces that name another network than their cluster's. That has no effect, other than contract peering.md 7.1 (X12)
 * has it: a ztunnel finds pods by its own NETWORK only, so pods elsewhere would be out of reach (contract ztunnel.md 5.1).
 */
export function networkProblems(
  graph: Graph,
  { namespaces }: Objects,
  networks: Collection<ClusterId, NetworkId>,
  { systemNamespace, localCluster }: RegistryOptions,
): Collection<string, Problem> {
  return derive(graph, {
    name: "network-problems",
    distinct: true,
    from: filter(
      graph,
      "namespaces-that-name-networks",
      namespaces,
      ({ name, network }) => network !== "" && name !== systemNamespace,
    ),
    reads: { networks },
    to: ({ name, network, origin }, { networks }, key): readonly (readonly [string, Problem])[] => {
      const own = networks.get(localCluster) ?? DEFAULT_NETWORK;
      if (!key.startsWith(`${localCluster}/`) || own === network) return [];
      const field = `metadata.labels[${NETWORK_LABEL}]`;
      const message =
        `${field} of namespace ${name} is ${JSON.stringify(network)}, but the cluster is on ${JSON.stringify(own)}, and ` +
        `so are its pods; make the two equal, or take the label off: namespace ${systemNamespace} has it for all.`;
      return [[`${key}#network`, { object: `Namespace ${name}`, origin, field, message, severity: "warning" }]];
    },
  });
}
