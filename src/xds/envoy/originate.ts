import { MeshError } from "../../errors.ts";
import type { NetworkId } from "../../names.ts";
import { originateLog } from "./connect-logs.ts";
import { oneEndpoint, TUNNEL } from "./endpoint-addresses.ts";
import {
  CLUSTER_OF_CONNECTION,
  DESTINATION_ADDRESS,
  EXPECTED_NAMES,
  GATEWAY_AUTHORITY,
  GATEWAY_CLUSTER,
  GATEWAY_NAMES,
  stateOf,
} from "./filter-state.ts";
import { tunnelOptions } from "./http-options.ts";
import { anyOf, durationOf, envoy, wrapped } from "./message.ts";
import { connectOriginate, gatewayCluster, innerOriginate, namedHost, outerOriginate } from "./resource-names.ts";
import { internalSocket, tlsTo } from "./transport-sockets.ts";
import { BUFFER_BYTES, NO_LIMITS } from "./tunnel-limits.ts";

type Cluster = envoy.config.cluster.v3.Cluster.$Properties;
type State = Parameters<typeof stateOf>[0];
type TcpProxy = envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.$Properties;

/** A hop that endpoints of a gateway need: a listener within Envoy that opens tunnels or looks up a name, or what it does that by. */
export type Hop =
  | { readonly kind: "tunnel"; readonly trustDomain: string }
  | {
      readonly kind: "inner";
      readonly trustDomain: string;
      readonly gatewayDomain: string;
      readonly network: NetworkId;
    }
  | { readonly kind: "outer"; readonly gatewayDomain: string }
  | { readonly kind: "named"; readonly hostname: string; readonly port: number }
  | { readonly kind: "gateway"; readonly gatewayDomain: string; readonly hostname: string; readonly port: number };

/** Of its cluster, and of its listener but for `gateway`, which has none. */
export function hopName(hop: Hop): string {
  switch (hop.kind) {
    case "tunnel":
      return connectOriginate(hop.trustDomain);
    case "inner":
      return innerOriginate(hop.trustDomain, hop.gatewayDomain);
    case "outer":
      return outerOriginate(hop.gatewayDomain);
    case "named":
      return namedHost(hop.hostname, hop.port);
    case "gateway":
      return gatewayCluster(hop.gatewayDomain, hop.hostname, hop.port);
  }
}

const { ORIGINAL_DST, STATIC, LOGICAL_DNS } = envoy.config.cluster.v3.Cluster.DiscoveryType;
/** As ztunnel's own pools have. */
const STREAMS_MAX = 100;
const CONNECT_MS = 10_000;
const said = (what: string): string => `%DYNAMIC_METADATA(${TUNNEL}:${what})%`;
const told = (what: string): string => `%FILTER_STATE(${what}:PLAIN)%`;

/** The internal listener of a hop. @throws MeshError `internal` for a gateway, which is behind the listener for all. */
export function encodeHopListener(hop: Hop): Uint8Array {
  switch (hop.kind) {
    case "tunnel":
      return listener(hop, [{ key: EXPECTED_NAMES, format: said("names") }], {
        accessLog: [originateLog("tunnel")],
        tunnelingConfig: { hostname: said("authority") },
      });
    case "inner":
      return listener(hop, innerStates(), {
        accessLog: [originateLog("inner tunnel")],
        tunnelingConfig: { hostname: said("authority"), headersToAdd: [networkHeader(hop.network)] },
      });
    case "outer":
      return listener(hop, outerStates(), {
        accessLog: [originateLog("outer tunnel")],
        tunnelingConfig: { hostname: told(GATEWAY_AUTHORITY) },
      });
    case "named":
      return listener(hop, [], { accessLog: [originateLog("connection by name")] });
    case "gateway":
      throw new MeshError("internal", `${hopName(hop)} has no listener of its own`);
  }
}

/** What ztunnel says on inner tunnels: whose words the far end may take for the caller's (contract ztunnel.md 6.2). */
const networkHeader = (network: NetworkId) => ({ header: { key: "x-forwarded-network", value: network } });

/** For its own TLS, and what the outer tunnel is to be told. */
const innerStates = (): readonly State[] => [
  { key: EXPECTED_NAMES, format: said("names") },
  { key: GATEWAY_NAMES, format: said("gateway_names"), shared: true },
  { key: GATEWAY_AUTHORITY, format: said("authority"), shared: true },
  { key: GATEWAY_CLUSTER, format: said("gateway_cluster"), shared: true },
  { key: DESTINATION_ADDRESS, format: said("gateway"), shared: true },
];

const outerStates = (): readonly State[] => [
  { key: EXPECTED_NAMES, format: told(GATEWAY_NAMES) },
  { key: CLUSTER_OF_CONNECTION, format: told(GATEWAY_CLUSTER) },
];

function listener(hop: Hop, states: readonly State[], proxy: TcpProxy): Uint8Array {
  const { set_filter_state: state, tcp_proxy: tcp } = envoy.extensions.filters.network;
  const { OriginalDst } = envoy.extensions.filters.listener.original_dst.v3;
  const cluster = hopName(hop);
  const base: TcpProxy = { statPrefix: cluster, cluster, idleTimeout: durationOf(0), ...proxy };
  return envoy.config.listener.v3.Listener.encode({
    name: cluster,
    statPrefix: "originate",
    internalListener: {},
    trafficDirection: envoy.config.core.v3.TrafficDirection.OUTBOUND,
    perConnectionBufferLimitBytes: wrapped(BUFFER_BYTES),
    listenerFilters: [{ name: "original_dst", typedConfig: anyOf(OriginalDst, {}) }],
    filterChains: [
      {
        filters: [
          ...(states.length === 0
            ? []
            : [{ name: "state", typedConfig: anyOf(state.v3.Config, { onNewConnection: states.map(stateOf) }) }]),
          { name: "tcp", typedConfig: anyOf(tcp.v3.TcpProxy, base) },
        ],
      },
    ],
  }).finish();
}

/** The pools of a cluster are told apart by address and expected names, so nobody gets a connection to someone else. */
export function encodeHopCluster(hop: Hop): Uint8Array {
  const name = hopName(hop);
  return envoy.config.cluster.v3.Cluster.encode({
    name,
    connectTimeout: durationOf(CONNECT_MS),
    perConnectionBufferLimitBytes: wrapped(BUFFER_BYTES),
    circuitBreakers: NO_LIMITS,
    ...(hop.kind === "inner" ? inner(hop) : hop.kind === "named" ? byName(hop) : direct(hop)),
  }).finish();
}

/**
 * The far gateway picks an endpoint for each inner connection: two tunnels in one would both end at the same, and
 * ztunnel shares none either (contract ztunnel.md 6.4).
 */
function inner(hop: Extract<Hop, { readonly kind: "inner" }>): Cluster {
  const outer = { envoyInternalAddress: { serverListenerName: outerOriginate(hop.gatewayDomain) } };
  return {
    type: STATIC,
    ...tunnelOptions({ atOnce: 1, inAll: 1 }),
    transportSocket: internalSocket(tlsTo(hop.trustDomain)),
    loadAssignment: oneEndpoint(hopName(hop), outer),
  };
}

function direct(hop: Exclude<Hop, { readonly kind: "inner" | "named" }>): Cluster {
  const transportSocket = tlsTo(hop.kind === "tunnel" ? hop.trustDomain : hop.gatewayDomain);
  const common = { ...tunnelOptions({ atOnce: STREAMS_MAX, inAll: 0 }), transportSocket };
  if (hop.kind !== "gateway")
    return { ...common, type: ORIGINAL_DST, lbPolicy: envoy.config.cluster.v3.Cluster.LbPolicy.CLUSTER_PROVIDED };
  return { ...common, ...byName(hop) };
}

/** Each connection goes to what the name means then: of all addresses, of both families, to the one that answers first. */
function byName(hop: Extract<Hop, { readonly kind: "gateway" | "named" }>): Cluster {
  const socketAddress = { address: hop.hostname, portValue: hop.port };
  const { ALL } = envoy.config.cluster.v3.Cluster.DnsLookupFamily;
  return { type: LOGICAL_DNS, dnsLookupFamily: ALL, loadAssignment: oneEndpoint(hopName(hop), { socketAddress }) };
}
