import type { ObjectKey, ServiceName } from "../../names.ts";
import type { GatewayHost, Locality } from "./address.ts";

declare const brand: unique symbol;
/** One port of one service as a gateway's proxies send to it, as `shop/cart.shop.svc.cluster.local:8080`. */
export type BackendName = string & { readonly [brand]: "BackendName" };

export const backendName = (service: ServiceName, port: number): BackendName => `${service}:${port}` as BackendName;

/** How to speak to a backend. Its key is `proxyKey(gateway, name)`; its endpoints are a value of their own. */
export interface ProxyBackend {
  readonly gateway: ObjectKey;
  readonly name: BackendName;
  /** `same`: as the caller spoke. */
  readonly protocol: "http1" | "http2" | "same" | "tcp";
  readonly settings: BackendSettings;
}

/** What a DestinationRule says; a number of connections, requests or retries that is undefined is no limit. */
export interface BackendSettings {
  readonly connectTimeoutMs: number;
  readonly maxConnections: number | undefined;
  readonly maxPendingRequests: number | undefined;
  readonly maxRequests: number | undefined;
  readonly maxRequestsPerConnection: number | undefined;
  readonly maxRetries: number | undefined;
  readonly idleTimeoutMs: number | undefined;
  readonly outlierDetection: OutlierDetection | undefined;
  readonly balance: "round-robin" | "least-request" | "random";
}

/** An endpoint that fails so often in a row is left out for a while; at most `maxEjectionPercent` of them. */
export interface OutlierDetection {
  readonly consecutive5xx: number | undefined;
  readonly consecutiveGatewayErrors: number | undefined;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionPercent: number;
}

/** Where a backend's requests go now; nowhere while it is empty. Only endpoints that are to be used. */
export interface ProxyEndpoints {
  readonly gateway: ObjectKey;
  readonly name: BackendName;
  /** The first group takes all until it is empty; only then does the next. */
  readonly groups: readonly (readonly ProxyEndpoint[])[];
}

export interface ProxyEndpoint {
  /** Unique within its backend: the workload's uid, and the address if it has several. */
  readonly id: string;
  /** 1 or more. */
  readonly weight: number;
  readonly locality: Locality | undefined;
  readonly way: EndpointWay;
}

export type EndpointWay =
  /** As it is; also what east-west gateways do, whose callers bring a tunnel of their own. */
  | { readonly kind: "plain"; readonly ip: string; readonly port: number }
  /** As it is, wherever its name leads when a connection is opened: a host outside of the mesh. */
  | { readonly kind: "named"; readonly hostname: string; readonly port: number }
  /** Through HBONE to the endpoint's ztunnel. */
  | {
      readonly kind: "tunnel";
      readonly ip: string;
      readonly hbonePort: number;
      /** What the CONNECT names, as `10.0.0.5:8080` or, for a waypoint, `cart.shop.svc.cluster.local:80`. */
      readonly authority: string;
      readonly identity: TunnelIdentity;
    }
  /** Through HBONE within HBONE: the gateway of another network chooses the endpoint (contract ztunnel.md 6.4). */
  | {
      readonly kind: "double-tunnel";
      readonly gateway: GatewayHost;
      readonly hbonePort: number;
      readonly gatewayIdentity: TunnelIdentity;
      /** Both tunnels name it, as `cart.shop.mesh.internal:80`. */
      readonly authority: string;
      readonly identity: TunnelIdentity;
    };

/** Who must be at the far end of a tunnel. Without a name nobody is: the way must not be used then. */
export interface TunnelIdentity {
  /** The one trust domain that all names are of, and whose roots alone count. */
  readonly trustDomain: string;
  /** As `spiffe://…`, sorted; any of them. */
  readonly names: readonly string[];
}
