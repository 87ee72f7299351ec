import type { ClusterId, ObjectKey, WorkloadUid } from "../names.ts";
import type { Graph } from "./collection/graph.ts";
import { Source } from "./collection/source.ts";
import type { FederatedService } from "./model/federated-service.ts";
import type { ClusterFacts, ImportDenial, PeerStatus } from "./model/peer.ts";
import type { Workload } from "./model/workload.ts";

/**
 * What peers said, by cluster: every key begins with the peer's name and a slash, or is that name. Only what was checked
 * against the link that it came by is written here, and nothing of it is told to any other peer.
 */
export interface PeerSources {
  /** Under `cluster/namespace/name` of the exporter. */
  readonly federated: Source<ObjectKey, FederatedService>;
  readonly facts: Source<ClusterId, ClusterFacts>;
  /** Pods of a flat network, under `cluster/…`; the nodes of a peer that is reached by node ports are among its doors. */
  readonly workloads: Source<WorkloadUid, Workload>;
  readonly statuses: Source<ClusterId, PeerStatus>;
  /** Services that a peer told us of, and that were not taken; under what would be their key in `federated`. */
  readonly denied: Source<ObjectKey, ImportDenial>;
}

export function peerSources(graph: Graph): PeerSources {
  return {
    federated: new Source(graph, "federated-services"),
    facts: new Source(graph, "cluster-facts"),
    workloads: new Source(graph, "peer-workloads"),
    statuses: new Source(graph, "peer-statuses"),
    denied: new Source(graph, "peer-denials"),
  };
}
