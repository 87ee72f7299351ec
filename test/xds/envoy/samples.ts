import { type Hostname, type ObjectKey, serviceName } from "../../../src/names.ts";
import {
  backendName,
  type BackendSettings,
  type ProxyBackend,
  type ProxyEndpoint,
} from "../../../src/registry/model/proxy-backend.ts";

export const GATEWAY = "east/shop/waypoint" as ObjectKey;
export const CART = serviceName("shop", "cart.shop.svc.cluster.local");
export const CART_HOST = "cart.shop.svc.cluster.local" as Hostname;
export const CART_80 = backendName(CART, 80);

export const SETTINGS: BackendSettings = {
  connectTimeoutMs: 10_000,
  maxConnections: undefined,
  maxPendingRequests: undefined,
  maxRequests: undefined,
  maxRequestsPerConnection: undefined,
  maxRetries: undefined,
  idleTimeoutMs: undefined,
  outlierDetection: undefined,
  balance: "least-request",
};

export const backend = (settings: Partial<BackendSettings> = {}, protocol: ProxyBackend["protocol"] = "same") => ({
  gateway: GATEWAY,
  name: CART_80,
  protocol,
  settings: { ...SETTINGS, ...settings },
});

export const spiffe = (account: string, trustDomain = "cluster.local"): string =>
  `spiffe://${trustDomain}/ns/shop/sa/${account}`;

/** A pod behind its ztunnel. */
export const tunnel = (ip = "10.0.0.5", names = [spiffe("cart")]): ProxyEndpoint => ({
  id: `pod at ${ip}`,
  weight: 1,
  locality: undefined,
  way: {
    kind: "tunnel",
    ip,
    hbonePort: 15008,
    authority: `${ip}:8080`,
    identity: { trustDomain: "cluster.local", names },
  },
});

/** A pod of another network. */
export const doubleTunnel = (
  gateway: Extract<ProxyEndpoint["way"], { readonly kind: "double-tunnel" }>["gateway"] = {
    kind: "ip",
    ip: "192.0.2.7",
  },
): ProxyEndpoint => ({
  id: "west",
  weight: 3,
  locality: { region: "w", zone: "w1", subzone: "" },
  way: {
    kind: "double-tunnel",
    gateway,
    hbonePort: 15008,
    gatewayIdentity: { trustDomain: "west.example", names: [spiffe("eastwest", "west.example")] },
    authority: "cart.shop.mesh.internal:80",
    identity: { trustDomain: "west.example", names: [spiffe("cart", "west.example"), spiffe("way", "west.example")] },
  },
});

export const plain = (ip = "10.0.0.9", port = 8080): ProxyEndpoint => ({
  id: `plain ${ip}`,
  weight: 1,
  locality: undefined,
  way: { kind: "plain", ip, port },
});
