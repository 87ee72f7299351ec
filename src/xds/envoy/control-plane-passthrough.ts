import { isIP } from "node:net";
import type { ProxyGateway } from "../../registry/model/proxy-gateway.ts";
import { anyAddress } from "./connect-terminate.ts";
import { callerLog } from "./connect-logs.ts";
import { oneEndpoint } from "./endpoint-addresses.ts";
import { anyOf, durationOf, envoy, wrapped } from "./message.ts";
import { CONTROL_PLANE } from "./resource-names.ts";
import { BUFFER_BYTES } from "./tunnel-limits.ts";

/** The control plane as the pods of our gateways reach it, for callers of other clusters. */
export interface ControlPlanePlace {
  /** A host name or an IP address, as `istiod.istio-system.svc`. */
  readonly host: string;
  readonly port: number;
  /** What callers may ask for in TLS. */
  readonly serverNames: readonly string[];
}

const CONNECT_MS = 5_000;
/** Who connects and says nothing is closed. */
const HELLO_MS = 5_000;

/** On the port that the Gateway has for it: TLS that asks for the control plane by name goes there unopened; all else is closed, and the log says what it was. */
export function encodePassthrough(gateway: ProxyGateway, { serverNames }: ControlPlanePlace): Uint8Array {
  const typedConfig = anyOf(envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, {
    statPrefix: CONTROL_PLANE,
    cluster: CONTROL_PLANE,
    // A stream of configuration is quiet for as long as nothing changes.
    idleTimeout: durationOf(0),
  });
  const inspector = anyOf(envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector, {});
  return envoy.config.listener.v3.Listener.encode({
    name: CONTROL_PLANE,
    statPrefix: CONTROL_PLANE,
    address: anyAddress(gateway.controlPlanePort!, gateway.ipv6 === true),
    perConnectionBufferLimitBytes: wrapped(BUFFER_BYTES),
    trafficDirection: envoy.config.core.v3.TrafficDirection.INBOUND,
    listenerFilters: [{ name: "tls_inspector", typedConfig: inspector }],
    listenerFiltersTimeout: durationOf(HELLO_MS),
    filterChains: [
      {
        name: CONTROL_PLANE,
        filterChainMatch: { transportProtocol: "tls", serverNames: [...serverNames] },
        filters: [{ name: "tcp", typedConfig }],
      },
    ],
    accessLog: [callerLog()],
  }).finish();
}

export function encodeControlPlane({ host, port }: ControlPlanePlace): Uint8Array {
  const { STATIC, STRICT_DNS } = envoy.config.cluster.v3.Cluster.DiscoveryType;
  const address = { socketAddress: { address: host, portValue: port } };
  return envoy.config.cluster.v3.Cluster.encode({
    name: CONTROL_PLANE,
    type: isIP(host) === 0 ? STRICT_DNS : STATIC,
    dnsLookupFamily: envoy.config.cluster.v3.Cluster.DnsLookupFamily.ALL,
    connectTimeout: durationOf(CONNECT_MS),
    perConnectionBufferLimitBytes: wrapped(BUFFER_BYTES),
    loadAssignment: oneEndpoint(CONTROL_PLANE, address),
  }).finish();
}
