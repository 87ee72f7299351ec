import type { Hostname, NetworkId } from "../../names.ts";

/** An address within a network; `prefixLength` in bits is set only for a CIDR range. */
export interface NetworkAddress {
  readonly network: NetworkId;
  /** Canonical text of an IPv4 or IPv6 address, without zone. */
  readonly ip: string;
  readonly prefixLength?: number;
}

/** Where to tunnel to: a waypoint or a network gateway. */
export interface GatewayAddress {
  readonly destination:
    | { readonly kind: "hostname"; readonly namespace: string; readonly hostname: Hostname }
    | { readonly kind: "address"; readonly address: NetworkAddress };
  /** The HBONE port, conventionally 15008. */
  readonly hbonePort: number;
}

/** Where something runs; an empty part is unknown. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** One port of a service, and where it goes; `targetPort` 0 means each endpoint says. Both are 1 to 65535 otherwise. */
export interface Port {
  readonly servicePort: number;
  readonly targetPort: number;
}

/** Where a gateway is; `ip` is canonical. */
export type GatewayHost =
  { readonly kind: "ip"; readonly ip: string } | { readonly kind: "hostname"; readonly hostname: string };
