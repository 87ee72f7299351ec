import type { ClusterId, ObjectKey } from "../../names.ts";
import type { ApplicationTunnel } from "./workload.ts";
import type { GatewayAddress } from "./address.ts";

/** A gateway that takes the traffic of the services or workloads that ask for it (contract ztunnel.md 5.6). */
export interface Waypoint {
  readonly key: ObjectKey;
  readonly cluster: ClusterId;
  readonly namespace: string;
  readonly name: string;
  readonly address: GatewayAddress;
  readonly traffic: WaypointTraffic;
  /** How its own pods take traffic; undefined means HBONE. */
  readonly applicationTunnel: ApplicationTunnel | undefined;
}

export type WaypointTraffic = "service" | "workload" | "all" | "none";
