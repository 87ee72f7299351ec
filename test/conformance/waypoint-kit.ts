import type { HttpRule } from "../../src/registry/model/http-rule.ts";
import { NO_CHANGES } from "../../src/registry/model/http-rule.ts";
import type { BackendName } from "../../src/registry/model/proxy-backend.ts";
import type { ProxyPolicies, RequestPolicy, TokenPolicy } from "../../src/registry/model/proxy-policies.ts";
import type { ProxyPort, ProxyService } from "../../src/registry/model/proxy-service.ts";
import { DESTINATION_ADDRESS } from "../../src/xds/envoy/filter-state.ts";
import { anyOf, envoy } from "../../src/xds/envoy/message.ts";
import { PRINCIPAL_KEY, SOURCE_KEY } from "../../src/xds/envoy/rbac-principals.ts";
import * as samples from "../xds/envoy/samples.ts";
import { loopback } from "./static-envoy.ts";

export { CART_80 } from "../xds/envoy/samples.ts";

type Filter = envoy.config.listener.v3.Filter.$Properties;
type Listener = envoy.config.listener.v3.Listener.$Properties;
type Cluster = envoy.config.cluster.v3.Cluster.$Properties;

export const rule = (changes: Partial<HttpRule> = {}): HttpRule => ({ ...samples.rule(), ...changes });
export const port = (changes: Partial<ProxyPort> = {}): ProxyPort => ({ ...samples.port(80), ...changes });
export const service = (...ports: readonly ProxyPort[]): ProxyService => samples.service(ports);

export const plain = (backend: BackendName | "refused", weight = 1) => ({
  backend,
  weight,
  requestHeaders: NO_CHANGES,
  responseHeaders: NO_CHANGES,
});

export const policies = (
  authorization: readonly RequestPolicy[],
  authentication: readonly TokenPolicy[] = [],
): ProxyPolicies => ({ gateway: samples.GATEWAY, service: samples.CART, authorization, authentication });

/** A listener whose callers are `principal`, as the listener that ends tunnels would say of them. */
export function listenerFor(
  name: string,
  principal: string,
  filters: readonly Filter[],
  destination = "%DOWNSTREAM_LOCAL_ADDRESS%",
): Listener {
  const state = (objectKey: string, factoryKey: string, inlineString: string) => ({
    objectKey,
    factoryKey,
    formatString: { textFormatSource: { inlineString } },
  });
  const typedConfig = anyOf(envoy.extensions.filters.network.set_filter_state.v3.Config, {
    onNewConnection: [
      state(PRINCIPAL_KEY, "envoy.string", principal),
      state(SOURCE_KEY, SOURCE_KEY, "%DOWNSTREAM_REMOTE_ADDRESS%"),
      state(DESTINATION_ADDRESS, DESTINATION_ADDRESS, destination),
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
