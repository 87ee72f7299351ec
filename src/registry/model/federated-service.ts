import type { EpochMs } from "../../host.ts";
import type { ClusterId, ObjectKey } from "../../names.ts";

/** A service that a cluster shares, as it tells its peers (FSDS; contract peering.md 2.4). */
export interface FederatedService {
  /** The exporter's. */
  readonly cluster: ClusterId;
  readonly namespace: string;
  readonly name: string;
  /** With `segment` only clusters of the exporter's segment hear of it. */
  readonly scope: "global" | "segment";
  /** The exporter's; empty if it is in none. */
  readonly segment: string;
  /** By number, each once. */
  readonly ports: readonly FederatedPort[];
  /** Endpoints of its own cluster that are ready, and all of them. */
  readonly ready: number;
  readonly total: number;
  /** What its endpoints prove to be, as `spiffe://…`; sorted. */
  readonly identities: readonly string[];
  /** Sorted; an endpoint of no known place is in none. */
  readonly localities: readonly LocalityCount[];
  readonly waypoint: FederatedWaypoint | undefined;
  readonly waypointPolicy: WaypointPolicy;
  /** Its cluster-local name is to reach all of it, too (contract peering.md 2.8). */
  readonly takeover: boolean;
  /** As written, as `PreferNetwork`; undefined if nobody said. */
  readonly distribution: string | undefined;
  /** Those that alias patterns of the segment name; sorted by key. */
  readonly labels: readonly (readonly [key: string, value: string])[];
  readonly annotations: readonly (readonly [key: string, value: string])[];
  /** By the exporter's API server; settles who is first when clusters disagree. */
  readonly createdMs: number;
  /** Until when it is still held for calls that are under way, as its exporter shares it no more; no exporter says this. */
  readonly withdrawnUntilMs?: EpochMs;
}

/** Who enforces L7 where both sides have a waypoint (contract peering.md 2.9); `once`: the caller's, else the destination's. */
export type WaypointPolicy = "once" | "source" | "destination" | "both";

export interface FederatedPort {
  readonly number: number;
  readonly name: string;
  /** As `TCP`, `HTTP`, `GRPC`; empty if nothing says. */
  readonly protocol: string;
  /** 0 if it differs by endpoint. */
  readonly targetPort: number;
}

export interface LocalityCount {
  readonly region: string;
  readonly zone: string;
  /** Endpoints there that are ready. */
  readonly ready: number;
}

export interface FederatedWaypoint {
  readonly namespace: string;
  readonly name: string;
  /** As `spiffe://…`. */
  readonly identity: string;
}

/** Its name in FSDS, and its key in every collection: `cluster/namespace/name`. */
export const federatedKey = ({
  cluster,
  namespace,
  name,
}: Pick<FederatedService, "cluster" | "namespace" | "name">): ObjectKey =>
  [cluster, namespace, name].join("/") as ObjectKey;
