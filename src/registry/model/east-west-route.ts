import type { Hostname, ObjectKey, ServiceName } from "../../names.ts";
import type { BackendName } from "./proxy-backend.ts";

/**
 * One service that other networks may reach through an east-west gateway of ours; key is `proxyKey(gateway, service)`.
 * The outer tunnel names `hostname:port`; the inner one passes unopened to a ztunnel, or to a waypoint.
 */
export interface EastWestRoute {
  readonly gateway: ObjectKey;
  readonly service: ServiceName;
  readonly hostname: Hostname;
  /** Ports that are exported, ascending. */
  readonly ports: readonly EastWestPort[];
  /** True if callers go to the service's own waypoint, unless one of `actedBy` has acted (contract peering.md 2.9). */
  readonly throughWaypoint: boolean;
  /** Identities of other clusters' waypoints that have already enforced L7, as `spiffe://…`, sorted. */
  readonly actedBy: readonly string[];
}

export interface EastWestPort {
  readonly number: number;
  /** The endpoints of the local cluster that speak HBONE, at their HBONE port. */
  readonly direct: BackendName;
  /** The service's waypoint at its HBONE port; undefined if it has none. */
  readonly waypoint: BackendName | undefined;
}
