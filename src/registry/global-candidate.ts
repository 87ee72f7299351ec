import { objectKey, type ClusterId, type Hostname, type ObjectKey, type ServiceName } from "../names.ts";
import type { AllOffers } from "./all-offers.ts";
import type { Collection } from "./collection/collection.ts";
import type { Index } from "./collection/index-by.ts";
import type { Drains } from "./drains.ts";
import type { Tally } from "./endpoint-tallies.ts";
import type { GlobalId } from "./global-members.ts";
import type { Objects } from "./kube/objects.ts";
import type { PeerGateway } from "./model/peer.ts";
import type { Workload } from "./model/workload.ts";
import type { NetworkPaths } from "./network-paths.ts";
import type { RegistryOptions } from "./options.ts";
import type { PeerSources } from "./peer-sources.ts";
import type { SharedServices } from "./shared-services.ts";

/** What one cluster adds to a global name, or why it adds nothing (contract peering.md 6.1). */
export interface Candidate {
  readonly host: Hostname;
  readonly cluster: ClusterId;
  /** How we hear of it; of a cluster that is a peer and has a remote secret, too, there are two. */
  readonly via: "local" | "secret" | "peer";
  /** That it has, as far as anybody here knows, and those of them that are ready. */
  readonly endpoints: number;
  readonly healthy: number;
  /** Undefined if calls end there. */
  readonly excluded: Exclusion | undefined;
}

export interface Exclusion {
  readonly reason: ExclusionReason;
  /** A sentence that names the object and what would mend it. */
  readonly message: string;
}

export type ExclusionReason =
  | "absent"
  | "not exported"
  | "ExternalName"
  | "headless"
  | "segment differs"
  | "reserved domain"
  | "other name"
  | "name taken"
  | "import denied"
  | "no link"
  | "never synced"
  | "peer stale"
  | "network mismatch"
  | "no door"
  | "SAN refused"
  | "no ready pods"
  | "withdrawn"
  | "drained"
  | "port mismatch"
  | "shadowed";

/** What is asked: one name, and one of its ports if that matters. */
export interface CandidateQuestion extends GlobalId {
  readonly key: ServiceName;
  readonly host: Hostname;
  readonly port: number | undefined;
}

export interface CandidateInputs {
  readonly objects: Objects;
  readonly peers: PeerSources;
  readonly peerGateways: Collection<ObjectKey, PeerGateway>;
  readonly paths: NetworkPaths;
  readonly shared: SharedServices;
  readonly offers: AllOffers;
  readonly owners: Collection<ServiceName, string>;
  readonly drains: Drains;
  readonly tallies: Collection<string, Tally>;
  readonly workloadsByService: Index<Workload["uid"], Workload>;
  readonly options: RegistryOptions;
}

export const excluded = (reason: ExclusionReason, message: string): Exclusion => ({ reason, message });

export const recordKey = (cluster: ClusterId, { namespace, name }: GlobalId): ObjectKey =>
  objectKey(cluster, namespace, name);
