import { clusterId, type Hostname, networkId, type ObjectKey, serviceName } from "../../../src/names.ts";
import type { EastWestRoute } from "../../../src/registry/model/east-west-route.ts";
import { ANY_REQUEST, type HttpRule, NO_CHANGES } from "../../../src/registry/model/http-rule.ts";
import {
  type BackendName,
  backendName,
  type BackendSettings,
  type ProxyBackend,
  type ProxyEndpoint,
} from "../../../src/registry/model/proxy-backend.ts";
import type { ProxyGateway } from "../../../src/registry/model/proxy-gateway.ts";
import type { ProxyPort, ProxyService } from "../../../src/registry/model/proxy-service.ts";

export const GATEWAY = "east/shop/waypoint" as ObjectKey;
export const CART = serviceName("shop", "cart.shop.svc.cluster.local");
const CART_HOST = "cart.shop.svc.cluster.local" as Hostname;
export const CART_80 = backendName(CART, 80);

/** What holds without a DestinationRule; written apart from the product, so that tests notice when that changes. */
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

export const gateway = (changes: Partial<ProxyGateway> = {}): ProxyGateway => ({
  key: GATEWAY,
  cluster: clusterId("east"),
  namespace: "shop",
  name: "waypoint",
  kind: "waypoint",
  serviceAccount: "waypoint",
  trustDomain: "cluster.local",
  network: networkId("east"),
  locality: undefined,
  hbonePort: 15008,
  controlPlanePort: undefined,
  ...changes,
});

/** What holds without a route; apart from the product, as `SETTINGS`. */
export const ruleTo = (backend: BackendName, name = "default"): HttpRule => ({
  name,
  match: ANY_REQUEST,
  action: {
    kind: "forward",
    backends: [{ backend, weight: 1, requestHeaders: NO_CHANGES, responseHeaders: NO_CHANGES }],
    rewrite: undefined,
  },
  requestHeaders: NO_CHANGES,
  responseHeaders: NO_CHANGES,
  mirrors: [],
  timeoutMs: undefined,
  retry: undefined,
});

export const rule = (name = "default"): HttpRule => ruleTo(CART_80, name);

export const port = (number: number, protocol: ProxyPort["protocol"] = "http", rules = [rule()]): ProxyPort => ({
  number,
  protocol,
  rules,
  backend: CART_80,
});

export const service = (ports: readonly ProxyPort[], authorities = ["10.96.0.7", CART_HOST]): ProxyService => ({
  gateway: GATEWAY,
  service: CART,
  hostname: CART_HOST,
  authorities,
  ports,
});

export const eastWest = (changes: Partial<EastWestRoute> = {}): EastWestRoute => ({
  gateway: GATEWAY,
  service: CART,
  hostname: "cart.shop.mesh.internal" as Hostname,
  ports: [{ number: 80, direct: CART_80, waypoint: backendName(serviceName("shop", "waypoint"), 15008) }],
  throughWaypoint: true,
  actedBy: [],
  ...changes,
});
