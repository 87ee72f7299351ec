import type { ResourceType } from "../../kube/api.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import { objectKey, type ClusterId, type ObjectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { merge } from "../collection/merge.ts";
import type { GeneratedEntry } from "../kube/generated.ts";
import { withoutEntry } from "./generated-entry.ts";
import type { PeeringViewInputs } from "./peering-view-inputs.ts";

/** Peers that a Gateway leads to and that have not said their first whole state: what is there for them may be right. */
export interface Unsettled {
  readonly byCluster: Collection<ClusterId, ClusterId>;
  readonly any: Collection<"any", true>;
}

export function unsettledPeers(graph: Graph, { peerGateways, peers }: PeeringViewInputs): Unsettled {
  const byCluster = derive(graph, {
    name: "unsettled-peers",
    from: peerGateways,
    reads: { statuses: peers.statuses },
    to: ({ cluster, refused }, { statuses }) =>
      cluster === undefined || refused?.reason === "SelfPeer" || statuses.get(cluster)?.everSynced === true
        ? []
        : [[cluster, cluster] as const],
  });
  const any = merge(graph, {
    name: "any-unsettled-peer",
    from: byCluster,
    by: () => "any" as const,
    combine: () => true as const,
  });
  return { byCluster, any };
}

/**
 * Entries that a control plane made for what is not there any more, an earlier one's included. Nothing goes on a guess:
 * each waits for the clusters that it names, or for all peers if it names none (contract peering.md 2.13).
 */
export function generatedOrphans(
  graph: Graph,
  type: ResourceType,
  found: Collection<ObjectKey, GeneratedEntry>,
  wanted: Collection<string, WantedObject>,
  { byCluster, any }: Unsettled,
  { options }: PeeringViewInputs,
): Collection<string, WantedObject> {
  const { localCluster } = options;
  return derive(graph, {
    name: `orphans of kind ${type.kind}`,
    distinct: true,
    from: found,
    reads: { wanted, byCluster, any },
    to: (entry, reads, key) => {
      const { namespace, name, made, clusters } = entry;
      const id = `${type.kind} ${namespace}/${name}`;
      if (!made || key !== objectKey(localCluster, namespace, name) || reads.wanted.get(id) !== undefined) return [];
      const waits =
        clusters === undefined
          ? reads.any.get("any") !== undefined
          : clusters.some((cluster) => reads.byCluster.get(cluster as ClusterId) !== undefined);
      return waits ? [] : [[id, withoutEntry(type, entry)] as const];
    },
  });
}
