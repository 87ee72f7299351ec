import type { ObjectKey, ServiceName, WorkloadUid } from "../../names.ts";
import type { AllOffers } from "../all-offers.ts";
import type { Collection } from "../collection/collection.ts";
import type { Exports } from "../exports.ts";
import type { Objects } from "../kube/objects.ts";
import type { PeerGrant } from "../kube/peer-grant.ts";
import type { PeerGateway } from "../model/peer.ts";
import type { Service } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";
import type { NetworkPaths } from "../network-paths.ts";
import type { RegistryOptions } from "../options.ts";
import type { PeerSources } from "../peer-sources.ts";
import type { ServedNames } from "../service-names.ts";
import type { SharedServices } from "../shared-services.ts";

/** What Kubernetes is shown of peers follows from these: collections of the registry, some of which nobody else needs. */
export interface PeeringViewInputs {
  readonly objects: Objects;
  readonly options: RegistryOptions;
  readonly peerGateways: Collection<ObjectKey, PeerGateway>;
  readonly peerGrants: Collection<ObjectKey, PeerGrant>;
  /** What peers said. */
  readonly peers: PeerSources;
  readonly paths: NetworkPaths;
  readonly shared: Pick<SharedServices, "segments">;
  readonly offers: Pick<AllOffers, "members" | "federated" | "hosts">;
  /** What peers are told. */
  readonly exports: Exports;
  /** Which object has each name. */
  readonly names: Pick<ServedNames, "owners">;
  readonly services: Collection<ServiceName, Service>;
  readonly workloads: Collection<WorkloadUid, Workload>;
}
