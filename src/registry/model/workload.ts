import type { ClusterId, NetworkId, PolicyName, ServiceName, WorkloadUid } from "../../names.ts";
import type { GatewayAddress, Locality, Port } from "./address.ts";

/** Something that sends or receives traffic: a pod, an entry, a bare endpoint, a gateway (contract ztunnel.md 3.2). */
export interface Workload {
  readonly uid: WorkloadUid;
  readonly name: string;
  readonly namespace: string;
  readonly cluster: ClusterId;
  readonly network: NetworkId;
  /** Canonical text; empty for a workload that is reached by `hostname`, or only through its network's gateway. */
  readonly addresses: readonly string[];
  /** Resolved by the client when it connects; empty if it has addresses. */
  readonly hostname: string;
  readonly tunnel: "none" | "hbone";
  /** True if the workload itself speaks HBONE, without a ztunnel. */
  readonly nativeTunnel: boolean;
  /** The trust domain of its identity. */
  readonly trustDomain: string;
  /** Empty means `default`. */
  readonly serviceAccount: string;
  readonly node: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  /** The Deployment or the like that made it; for telemetry. */
  readonly workloadName: string;
  readonly healthy: boolean;
  readonly hostNetwork: boolean;
  readonly locality: Locality | undefined;
  /** The services it is an endpoint of, sorted by name, with its own target ports. */
  readonly services: readonly ServiceBinding[];
  readonly waypoint: GatewayAddress | undefined;
  /** How other networks reach it. */
  readonly networkGateway: GatewayAddress | undefined;
  readonly applicationTunnel: ApplicationTunnel | undefined;
  /** Policies that select it, in the order of contract ztunnel.md 5.2. */
  readonly policies: readonly PolicyName[];
  /** Its share of load; undefined means 1, and 0 is never chosen. */
  readonly capacity: number | undefined;
}

export interface ServiceBinding {
  readonly service: ServiceName;
  readonly ports: readonly Port[];
}

/** How a waypoint's own pods take inbound traffic; port 0 keeps the port. */
export interface ApplicationTunnel {
  readonly protocol: "none" | "proxy";
  readonly port: number;
}
