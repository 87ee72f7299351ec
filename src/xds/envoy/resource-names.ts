import type { ServiceName } from "../../names.ts";
import type { BackendName } from "../../registry/model/proxy-backend.ts";

// What Envoy's resources are called: operators meet these names in config dumps, statistics and logs.

/** The listener that ends the tunnels of callers. */
export const CONNECT_TERMINATE = "connect_terminate";
/** Its routes: where each tunnel goes, by what its CONNECT names. */
export const CONNECT_ROUTES = "connect";
/** The listener and the cluster of TLS that goes to the control plane unopened. */
export const CONTROL_PLANE = "control_plane";
/** The secret with the roots of all trust domains, each for its own identities alone. */
export const TRUST = "trust";
/** The secret with the proxy's own certificate and key. They are its agent's; the control plane never has them. */
export const WORKLOAD = "workload";
/** The cluster in the bootstrap where that secret comes from. */
export const AGENT = "agent";

/** The internal listener and the cluster of one port of a service, as `inbound|shop/cart.shop.svc.cluster.local|8080`. */
export const inboundName = (service: ServiceName, port: number): string => `inbound|${service}|${port}`;

/** The routes of one HTTP port of a service, as `http|shop/cart.shop.svc.cluster.local|8080`. */
export const httpRouteName = (service: ServiceName, port: number): string => `http|${service}|${port}`;

/** The routes that a listener follows; undefined if it follows none. */
export function routesOf(listener: string): string | undefined {
  if (listener === CONNECT_TERMINATE) return CONNECT_ROUTES;
  return listener.startsWith("inbound|") ? listener.replace("inbound|", "http|") : undefined;
}

/** The cluster of a backend, and its endpoints: `outbound|shop/cart.shop.svc.cluster.local|8080`. */
export function outboundName(backend: BackendName): string {
  const colon = backend.lastIndexOf(":");
  return `outbound|${backend.slice(0, colon)}|${backend.slice(colon + 1)}`;
}

/** The secret with the roots of one trust domain. */
export const trustName = (trustDomain: string): string => `${TRUST}|${trustDomain}`;

/** The internal listener that opens tunnels to endpoints of a trust domain, and the cluster that it opens them by. */
export const connectOriginate = (trustDomain: string): string => `connect_originate|${trustDomain}`;

/** The same for the inner of two tunnels, whose bytes go through `outerOriginate(gatewayDomain)`. */
export const innerOriginate = (trustDomain: string, gatewayDomain: string): string =>
  `inner_connect_originate|${trustDomain}|${gatewayDomain}`;

/** The same for the outer one, to a gateway at an IP. */
export const outerOriginate = (gatewayDomain: string): string => `outer_connect_originate|${gatewayDomain}`;

/** The cluster for a gateway that is known by a host name, as `outer_connect_originate|west.example|gw.west.example|15008`. */
export const gatewayCluster = (gatewayDomain: string, hostname: string, port: number): string =>
  `${outerOriginate(gatewayDomain)}|${hostname}|${port}`;

/** The internal listener and the cluster for a host outside of the mesh that has a name, as `named|api.example.com|443`. */
export const namedHost = (hostname: string, port: number): string => `named|${hostname}|${port}`;
