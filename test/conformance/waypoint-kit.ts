import { serviceName, type Hostname, type ObjectKey } from "../../src/names.ts";
import { ANY_REQUEST, type HttpRule, NO_CHANGES } from "../../src/registry/model/http-rule.ts";
import { backendName } from "../../src/registry/model/proxy-backend.ts";
import type { ProxyPolicies, RequestPolicy, TokenPolicy } from "../../src/registry/model/proxy-policies.ts";
import type { ProxyPort, ProxyService } from "../../src/registry/model/proxy-service.ts";
import { DESTINATION_ADDRESS } from "../../src/xds/envoy/filter-state.ts";
import { PRINCIPAL_KEY, SOURCE_KEY } from "../../src/xds/envoy/rbac-principals.ts";
import { anyOf, envoy } from "../../src/xds/envoy/message.ts";
import { loopback } from "./static-envoy.ts";

type Filter = envoy.config.listener.v3.Filter.$Properties;
type Listener = envoy.config.listener.v3.Listener.$Properties;
type Cluster = envoy.config.cluster.v3.Cluster.$Properties;

export const GATEWAY = "east/shop/waypoint" as ObjectKey;
export const CART = serviceName("shop", "cart.shop.svc.cluster.local");
export const CART_80 = backendName(CART, 80);

export const rule = (changes: Partial<HttpRule> = {}): HttpRule => ({
  name: "default",
  match: ANY_REQUEST,
  action: { kind: "forward", backends: [plain(CART_80)], rewrite: undefined },
  requestHeaders: NO_CHANGES,
  responseHeaders: NO_CHANGES,
  mirrors: [],
  timeoutMs: undefined,
  retry: undefined,
  ...changes,
});

export const plain = (backend: typeof CART_80 | "refused", weight = 1) => ({
  backend,
  weight,
  requestHeaders: NO_CHANGES,
  responseHeaders: NO_CHANGES,
});

export const port = (changes: Partial<ProxyPort> = {}): ProxyPort => ({
  number: 80,
  protocol: "http",
  rules: [rule()],
  backend: CART_80,
  ...changes,
});

export const service = (...ports: readonly ProxyPort[]): ProxyService => ({
  gateway: GATEWAY,
  service: CART,
  hostname: "cart.shop.svc.cluster.local" as Hostname,
  authorities: ["10.96.0.7", "cart.shop.svc.cluster.local"],
  ports,
});

export const policies = (
  authorization: readonly RequestPolicy[],
  authentication: readonly TokenPolicy[] = [],
): ProxyPolicies => ({ gateway: GATEWAY, service: CART, authorization, authentication });

/** A listener whose callers are `principal`, as the listener that ends tunnels would say of them. */
export function listenerFor(name: string, principal: string, filters: readonly Filter[]): Listener {
  const state = (objectKey: string, factoryKey: string, inlineString: string) => ({
    objectKey,
    factoryKey,
    formatString: { textFormatSource: { inlineString } },
  });
  const typedConfig = anyOf(envoy.extensions.filters.network.set_filter_state.v3.Config, {
    onNewConnection: [
      state(PRINCIPAL_KEY, "envoy.string", principal),
      state(SOURCE_KEY, SOURCE_KEY, "%DOWNSTREAM_REMOTE_ADDRESS%"),
      state(DESTINATION_ADDRESS, DESTINATION_ADDRESS, "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ],
  });
  return { name, address: loopback(), filterChains: [{ filters: [{ name: "state", typedConfig }, ...filters] }] };
}

/** The cluster of a backend, at a port of this machine. */
export const clusterAt = (name: string, portValue: number): Cluster => ({
  name,
  connectTimeout: { seconds: 1 },
  loadAssignment: {
    clusterName: name,
    endpoints: [{ lbEndpoints: [{ endpoint: { address: loopback(portValue) } }] }],
  },
});
