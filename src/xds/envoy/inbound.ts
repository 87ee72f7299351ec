import type { ProxyPolicies } from "../../registry/model/proxy-policies.ts";
import type { ProxyPort, ProxyService } from "../../registry/model/proxy-service.ts";
import { oneEndpoint } from "./endpoint-addresses.ts";
import { httpChain } from "./http-chain.ts";
import { anyOf, durationOf, envoy, wrapped } from "./message.ts";
import { inboundName } from "./resource-names.ts";
import { needsServerName, tcpChain } from "./tcp-chain.ts";
import { internalSocket } from "./transport-sockets.ts";
import { BUFFER_BYTES, NO_LIMITS } from "./tunnel-limits.ts";

type Listener = envoy.config.listener.v3.Listener.$Properties;
type ListenerFilter = envoy.config.listener.v3.ListenerFilter.$Properties;
type Chain = envoy.config.listener.v3.FilterChain.$Properties;

/** One port of a service at a waypoint, as far as listeners and routes depend on it. */
export interface InboundPort {
  readonly service: ProxyService;
  readonly port: ProxyPort;
  readonly policies: ProxyPolicies | undefined;
}

/** A server that speaks first is not waited for longer; what it says then is no HTTP. */
const FIRST_BYTES_MS = 5_000;
/** What the HTTP inspector calls what a chain for HTTP takes. */
const HTTP = ["http/1.0", "http/1.1", "h2c"];

/** The internal listener where tunnels to the port end. @throws MeshError `invalid` if a policy has no encoding. */
export function encodeInbound(inbound: InboundPort): Uint8Array {
  const listener: Listener = {
    name: inboundName(inbound.service.service, inbound.port.number),
    // One for all: a scope of statistics for each service would be the largest part of the proxy.
    statPrefix: "inbound",
    internalListener: {},
    trafficDirection: envoy.config.core.v3.TrafficDirection.INBOUND,
    perConnectionBufferLimitBytes: wrapped(BUFFER_BYTES),
    listenerFilters: listenerFilters(inbound),
    listenerFiltersTimeout: durationOf(FIRST_BYTES_MS),
    continueOnListenerFiltersTimeout: true,
    filterChains: chainsOf(inbound),
  };
  return envoy.config.listener.v3.Listener.encode(listener).finish();
}

function listenerFilters({ port, policies }: InboundPort): ListenerFilter[] {
  const { http_inspector: http, original_dst: addresses, tls_inspector: tls } = envoy.extensions.filters.listener;
  const filters = [{ name: "original_dst", typedConfig: anyOf(addresses.v3.OriginalDst, {}) }];
  if (port.protocol !== "http" && needsServerName(policies))
    filters.push({ name: "tls_inspector", typedConfig: anyOf(tls.v3.TlsInspector, {}) });
  if (port.protocol === "detected")
    filters.push({ name: "http_inspector", typedConfig: anyOf(http.v3.HttpInspector, {}) });
  return filters;
}

function chainsOf({ service, port, policies }: InboundPort): Chain[] {
  const http = () => ({ name: "http", filters: httpChain(service, port, policies) });
  const tcp = () => ({ name: "tcp", filters: tcpChain(service, port, policies) });
  if (port.protocol === "http") return [http()];
  if (port.protocol === "tcp") return [tcp()];
  return [{ ...http(), filterChainMatch: { applicationProtocols: HTTP } }, tcp()];
}

/** What the routes of tunnels name: that listener, by the same name. */
export function encodeInboundCluster(name: string): Uint8Array {
  const address = { envoyInternalAddress: { serverListenerName: name } };
  return envoy.config.cluster.v3.Cluster.encode({
    name,
    altStatName: "inbound",
    type: envoy.config.cluster.v3.Cluster.DiscoveryType.STATIC,
    perConnectionBufferLimitBytes: wrapped(BUFFER_BYTES),
    circuitBreakers: NO_LIMITS,
    transportSocket: internalSocket(),
    loadAssignment: oneEndpoint(name, address),
  }).finish();
}
