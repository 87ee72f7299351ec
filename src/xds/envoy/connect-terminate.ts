import type { ProxyGateway } from "../../registry/model/proxy-gateway.ts";
import { tunnelAuthorizationFilters } from "./authorization-filters.ts";
import { ADS } from "./config-sources.ts";
import { callerLog, tunnelLog } from "./connect-logs.ts";
import { DESTINATION_ADDRESS, stateOf } from "./filter-state.ts";
import { anyOf, durationOf, envoy, wrapped } from "./message.ts";
import { PRINCIPAL_KEY, SOURCE_KEY } from "./rbac-principals.ts";
import { CONNECT_ROUTES, CONNECT_TERMINATE } from "./resource-names.ts";
import { regexMatcher } from "./text-matchers.ts";
import { tlsFromCallers } from "./transport-sockets.ts";
import { BUFFER_BYTES, tunnelHttp2 } from "./tunnel-limits.ts";

type Manager = envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.$Properties;
type HttpFilter = envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.$Properties;

const Hcm = envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager;
const { OVERWRITE_IF_EXISTS_OR_ADD } = envoy.config.core.v3.HeaderValueOption.HeaderAppendAction;

/** The header in which routes see who calls: what its certificate says, whatever the caller wrote there. */
export const CALLER_HEADER = "x-causeway-caller";

/** Where callers' tunnels end: ztunnels have some hundred in each connection. */
const STREAMS_MAX = 1_000;
/** Who connects and proves nothing is closed. */
const HANDSHAKE_MS = 10_000;
/** A CONNECT has a few headers, of which baggage is the largest. */
const HEADERS_KB = 32;
const HEADERS_MAX = 64;

/** The listener on port 15008: mutual TLS, HTTP/2, CONNECT (contract ztunnel.md 6.2). */
export function encodeConnectTerminate({ kind, hbonePort, ipv6 = false }: ProxyGateway): Uint8Array {
  return envoy.config.listener.v3.Listener.encode({
    name: CONNECT_TERMINATE,
    statPrefix: CONNECT_TERMINATE,
    address: anyAddress(hbonePort, ipv6),
    perConnectionBufferLimitBytes: wrapped(BUFFER_BYTES),
    trafficDirection: envoy.config.core.v3.TrafficDirection.INBOUND,
    filterChains: [
      {
        name: CONNECT_TERMINATE,
        transportSocket: tlsFromCallers(),
        transportSocketConnectTimeout: durationOf(HANDSHAKE_MS),
        filters: [{ name: "http", typedConfig: anyOf(Hcm, manager(kind)) }],
      },
    ],
    accessLog: [callerLog()],
  }).finish();
}

/** Any address of the pod. */
export const anyAddress = (portValue: number, ipv6: boolean): envoy.config.core.v3.Address.$Properties => ({
  socketAddress: ipv6 ? { address: "::", ipv4Compat: true, portValue } : { address: "0.0.0.0", portValue },
});

const manager = (kind: ProxyGateway["kind"]): Manager => ({
  statPrefix: CONNECT_TERMINATE,
  codecType: Hcm.CodecType.HTTP2,
  rds: { configSource: ADS, routeConfigName: CONNECT_ROUTES },
  http2ProtocolOptions: tunnelHttp2(STREAMS_MAX),
  commonHttpProtocolOptions: { maxHeadersCount: wrapped(HEADERS_MAX) },
  maxRequestHeadersKb: wrapped(HEADERS_KB),
  upgradeConfigs: [{ upgradeType: "CONNECT" }],
  // Tunnels are quiet for as long as what is in them; pings tell whether the caller is still there.
  streamIdleTimeout: durationOf(0),
  requestTimeout: durationOf(0),
  requestHeadersTimeout: durationOf(HANDSHAKE_MS),
  // Whence a caller comes is what its connection says, not X-Forwarded-For.
  useRemoteAddress: wrapped(true),
  skipXffAppend: true,
  generateRequestId: wrapped(false),
  earlyHeaderMutationExtensions: [callerHeader()],
  httpFilters: [
    oneIdentity(),
    ...(kind === "waypoint" ? [callerState(), ...tunnelAuthorizationFilters()] : []),
    router(),
  ],
  accessLog: [tunnelLog(kind)],
});

/** Before any route is chosen. Nothing else that a CONNECT brings is looked at, and none of it is passed on. */
function callerHeader(): NonNullable<Manager["earlyHeaderMutationExtensions"]>[number] {
  const { HeaderMutation } = envoy.extensions.http.early_header_mutation.header_mutation.v3;
  const append = {
    header: { key: CALLER_HEADER, value: "%DOWNSTREAM_PEER_URI_SAN%" },
    appendAction: OVERWRITE_IF_EXISTS_OR_ADD,
  };
  const typedConfig = anyOf(HeaderMutation, { mutations: [{ remove: CALLER_HEADER }, { append }] });
  return { name: "caller", typedConfig };
}

/**
 * Envoy joins the identities of a certificate that has several; such a text could end with another's identity. So could
 * what services read in x-forwarded-client-cert, if the authority of another trust domain signs names that have its marks.
 */
function oneIdentity(): HttpFilter {
  const { DENY } = envoy.config.rbac.v3.RBAC.Action;
  const principals = [{ header: { name: CALLER_HEADER, stringMatch: regexMatcher('\\C*[,;="\\\\\\s]\\C*') } }];
  const policies = { "several-identities": { permissions: [{ any: true }], principals } };
  const Rbac = envoy.extensions.filters.http.rbac.v3.RBAC;
  return { name: "one-identity", typedConfig: anyOf(Rbac, { rules: { action: DENY, policies } }) };
}

/** What the listener of the service is told of the caller; its own address is the one that was called, if it was one. */
function callerState(): HttpFilter {
  const onRequestHeaders = [
    stateOf({ key: PRINCIPAL_KEY, format: "%DOWNSTREAM_PEER_URI_SAN%", shared: true }),
    stateOf({ key: SOURCE_KEY, format: "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", shared: true }),
    stateOf({ key: DESTINATION_ADDRESS, format: "%REQUEST_HEADER(:AUTHORITY)%", shared: true }),
  ];
  const { Config } = envoy.extensions.filters.http.set_filter_state.v3;
  return { name: "caller-state", typedConfig: anyOf(Config, { onRequestHeaders }) };
}

const router = (): HttpFilter => ({
  name: "router",
  typedConfig: anyOf(envoy.extensions.filters.http.router.v3.Router, { suppressEnvoyHeaders: true }),
});
