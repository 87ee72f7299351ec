import type { ObjectKey, ServiceName, WorkloadUid } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import type { Index } from "../collection/index-by.ts";
import type { Objects } from "../kube/objects.ts";
import type { Service } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";
import type { NetworkPaths } from "../network-paths.ts";
import type { RegistryOptions } from "../options.ts";
import type { PeerSources } from "../peer-sources.ts";
import type { Offer } from "../service-offers.ts";
import type { SharedServices } from "../shared-services.ts";
import type { OfferedWaypoint } from "../waypoints.ts";
import type { HttpRoutes } from "./http-rules.ts";
import type { PolicyInputs } from "./proxy-policies.ts";

/** What the proxies of our gateways are to do follows from these: collections of the registry, some of which nobody else needs. */
export interface GatewayInputs extends PolicyInputs {
  readonly objects: Objects;
  readonly options: RegistryOptions;
  /** What routes and DestinationRules say. */
  readonly routes: HttpRoutes;
  /** What peers said. */
  readonly peers: PeerSources;
  readonly paths: NetworkPaths;
  readonly shared: SharedServices;
  /** Waypoints of all clusters that have an address. */
  readonly offered: Collection<ObjectKey, OfferedWaypoint>;
  /** What each service was made of. */
  readonly winners: Collection<ServiceName, Offer>;
  readonly services: Collection<ServiceName, Service>;
  readonly workloads: Collection<WorkloadUid, Workload>;
  readonly workloadsByService: Index<WorkloadUid, Workload>;
}
