import type { EpochMs } from "../host.ts";
import type { ObjectKey } from "../names.ts";
import type { ServedPeer } from "../peering/admission.ts";
import type { PeerView } from "../peering/opened-peer.ts";
import type { Refused } from "../peering/refusal-book.ts";
import type { RemoteClusterStatus } from "../registry/kube/remote-cluster.ts";
import type { FederatedService } from "../registry/model/federated-service.ts";
import type { ClusterFacts, PeerGateway } from "../registry/model/peer.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { Seen } from "./certificates.ts";
import type { TopologyDrain } from "./topology.ts";

/** A stream by which a peer reads us. */
export interface Reader extends ServedPeer {
  /** Changes that were not sent yet. */
  readonly backlog: number;
  /** When the oldest response was sent that is not acknowledged; undefined if all are. */
  readonly unackedSince: EpochMs | undefined;
}

/** A drain that the control plane has judged. */
export interface SeenDrain extends Pick<TopologyDrain, "object" | "cluster" | "service" | "state"> {
  readonly untilMs: EpochMs;
}

export interface DrainInputs {
  readonly drains: readonly SeenDrain[];
  /** What of drained peers keeps its calls, as nobody else could take them. */
  readonly isSpared: (record: ObjectKey) => boolean;
}

/** All that a topology is made of. */
export interface TopologyInputs extends DrainInputs {
  readonly now: EpochMs;
  readonly controlPlane: string;
  readonly version: string;
  readonly localCluster: string;
  /** What our own cluster says of itself; undefined if it does not take part in peering. */
  readonly ownFacts: ClusterFacts | undefined;
  /** Our own first. */
  readonly clusters: readonly RemoteClusterStatus[];
  readonly peers: readonly PeerView[];
  readonly peerGateways: Iterable<PeerGateway>;
  readonly readers: readonly Reader[];
  readonly refused: readonly Refused[];
  /** What we share. */
  readonly exported: Iterable<FederatedService>;
  /** What peers share with us. */
  readonly imported: Iterable<FederatedService>;
  /** The global names that there are. */
  readonly hosts: readonly string[];
  readonly certificates: readonly Seen[];
  readonly problems: readonly Problem[];
}
