import type { Hostname, ServiceName } from "../../names.ts";
import type { GatewayAddress, NetworkAddress, Port } from "./address.ts";

/** A name that clients call, with its addresses and ports (contract ztunnel.md 3.3). */
export interface Service {
  readonly key: ServiceName;
  readonly name: string;
  readonly namespace: string;
  readonly hostname: Hostname;
  /** Virtual addresses; empty for a headless service. */
  readonly addresses: readonly NetworkAddress[];
  readonly ports: readonly Port[];
  readonly subjectAltNames: readonly string[];
  readonly waypoint: GatewayAddress | undefined;
  readonly loadBalancing: LoadBalancing | undefined;
  readonly ipFamilies: "automatic" | "ipv4" | "ipv6" | "dual";
  /** True for the service that wins a hostname which several namespaces have. */
  readonly canonical: boolean;
}

export type LoadBalancingScope = "region" | "zone" | "subzone" | "node" | "cluster" | "network";

export interface LoadBalancing {
  readonly mode: "unspecified" | "strict" | "failover" | "passthrough";
  /** Ranked, most wanted first. */
  readonly preference: readonly LoadBalancingScope[];
  readonly healthPolicy: "only-healthy" | "allow-all";
}
