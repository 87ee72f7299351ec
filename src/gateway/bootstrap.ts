import { isIP } from "node:net";
import { KEPT_STATS } from "./kept-stats.ts";
import {
  anyAddress,
  type ControlPlaneAddress,
  type EnvoyLimits,
  type EnvoyPorts,
  type ProxyPlace,
} from "./settings.ts";

export interface BootstrapOptions {
  readonly place: ProxyPlace;
  readonly serviceAccount: string;
  readonly xds: ControlPlaneAddress;
  /** What the certificate of the control plane must name: a DNS name or an IP address. */
  readonly controlPlaneName: string;
  /** Where we serve secrets: the path of a Unix domain socket. */
  readonly secretsSocket: string;
  readonly ports: EnvoyPorts;
  readonly limits: EnvoyLimits;
}

export type Json = string | number | boolean | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = { readonly [key: string]: Json };

/** Names of the two clusters that are not the control plane's, and of the secrets that we serve. */
export const AGENT_CLUSTER = "agent";
export const CONTROL_PLANE_CLUSTER = "control-plane";
export const WORKLOAD_SECRET = "workload";
export const CONTROL_PLANE_ROOT_SECRET = "control-plane-root";

const TYPES = "type.googleapis.com/envoy";
const PER_CONNECTION_BUFFER_BYTES = 32_768;
/** A connection that leads nowhere is noticed within 40 s, as ztunnel does (contract ztunnel.md 1.3). */
const KEEPALIVE = { interval: "30s", timeout: "10s" };
/** Envoy's own half a minute is long for a Gateway that was deleted and made again. */
const RETRIES = { base_interval: "0.5s", max_interval: "10s" };
/** A regular expression of the control plane is checked before it is sent; Envoy's own limit of 100 is for nobody. */
const REGEX_PROGRAM_MAX = 32_768;

/** What `ztunnel.md` 2.2 calls the node: type `waypoint` for every gateway of ours, as istiod's clients have it. */
export const nodeId = ({ address, pod, namespace, clusterDomain }: ProxyPlace): string =>
  `waypoint~${address}~${pod}.${namespace}~${namespace}.svc.${clusterDomain}`;

/** What Envoy starts with: who it is, where its control plane and its secrets are, and what it may cost. */
export function envoyBootstrap(options: BootstrapOptions): JsonObject {
  const { place, serviceAccount, ports, limits } = options;
  const ads = { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" };
  return {
    node: nodeOf(place, serviceAccount),
    admin: {
      address: socketAddress("127.0.0.1", ports.admin),
      ignore_global_conn_limit: true,
    },
    dynamic_resources: { ads_config: deltaFrom(CONTROL_PLANE_CLUSTER), lds_config: ads, cds_config: ads },
    static_resources: {
      clusters: [agentCluster(options.secretsSocket), controlPlaneCluster(options), statsCluster(ports.admin)],
      listeners: [statsListener(place, ports.stats)],
    },
    bootstrap_extensions: [
      {
        name: "envoy.bootstrap.internal_listener",
        typed_config: { "@type": `${TYPES}.extensions.bootstrap.internal_listener.v3.InternalListener` },
      },
    ],
    // Most services of a gateway are idle: what they would count is made with their first request.
    deferred_stat_options: { enable_deferred_creation_stats: true },
    stats_config: { stats_matcher: KEPT_STATS },
    overload_manager: overloadManager(limits),
    layered_runtime: RUNTIME,
  };
}

/** What every Envoy of ours needs to take what it is told. */
export const RUNTIME = {
  layers: [
    {
      name: "causeway",
      static_layer: {
        "re2.max_program_size.error_level": REGEX_PROGRAM_MAX,
        "re2.max_program_size.warn_level": REGEX_PROGRAM_MAX,
      },
    },
  ],
};

function nodeOf(place: ProxyPlace, serviceAccount: string): JsonObject {
  const { gateway, pod, namespace, cluster, network, locality } = place;
  return {
    id: nodeId(place),
    cluster: `${gateway}.${namespace}`,
    locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subZone },
    metadata: {
      GATEWAY: gateway,
      NAME: pod,
      NAMESPACE: namespace,
      SERVICE_ACCOUNT: serviceAccount,
      CLUSTER_ID: cluster,
      NETWORK: network,
    },
  };
}

const deltaFrom = (cluster: string): JsonObject => ({
  api_type: "DELTA_GRPC",
  transport_api_version: "V3",
  set_node_on_first_message_only: true,
  grpc_services: [{ envoy_grpc: { cluster_name: cluster, retry_policy: { retry_back_off: RETRIES } } }],
});

const secretFromAgent = (name: string): JsonObject => ({
  name,
  sds_config: {
    api_config_source: deltaFrom(AGENT_CLUSTER),
    resource_api_version: "V3",
    // Without its certificate it can do nothing: it waits.
    initial_fetch_timeout: "0s",
  },
});

const socketAddress = (address: string, port: number): JsonObject => ({
  socket_address: { address, port_value: port },
});

const clusterLoad = (cluster: string, address: JsonObject): JsonObject => ({
  cluster_name: cluster,
  endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
});

const HTTP2 = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": `${TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: { connection_keepalive: KEEPALIVE } },
  },
};

const agentCluster = (socket: string): JsonObject => ({
  name: AGENT_CLUSTER,
  type: "STATIC",
  connect_timeout: "1s",
  typed_extension_protocol_options: HTTP2,
  load_assignment: clusterLoad(AGENT_CLUSTER, { pipe: { path: socket } }),
});

function controlPlaneCluster({ xds, controlPlaneName }: BootstrapOptions): JsonObject {
  return {
    name: CONTROL_PLANE_CLUSTER,
    ...(isIP(xds.host) === 0 ? { type: "STRICT_DNS", dns_lookup_family: "ALL" } : { type: "STATIC" }),
    connect_timeout: "5s",
    typed_extension_protocol_options: HTTP2,
    upstream_connection_options: {
      tcp_keepalive: { keepalive_time: 300, keepalive_interval: 75, keepalive_probes: 9 },
    },
    // The stream of a mesh's configuration is one request that never ends.
    circuit_breakers: { thresholds: [{ max_connections: 1_000, max_pending_requests: 1_000, max_requests: 1_000 }] },
    load_assignment: clusterLoad(CONTROL_PLANE_CLUSTER, socketAddress(xds.host, xds.port)),
    transport_socket: {
      name: "envoy.transport_sockets.tls",
      typed_config: {
        "@type": `${TYPES}.extensions.transport_sockets.tls.v3.UpstreamTlsContext`,
        // An IP address is no server name in TLS (RFC 6066 3).
        ...(isIP(controlPlaneName) === 0 && { sni: controlPlaneName }),
        common_tls_context: {
          alpn_protocols: ["h2"],
          tls_params: { tls_minimum_protocol_version: "TLSv1_2", tls_maximum_protocol_version: "TLSv1_3" },
          tls_certificate_sds_secret_configs: [secretFromAgent(WORKLOAD_SECRET)],
          validation_context_sds_secret_config: secretFromAgent(CONTROL_PLANE_ROOT_SECRET),
        },
      },
    },
  };
}

const STATS_CLUSTER = "envoy-admin";

const statsCluster = (adminPort: number): JsonObject => ({
  name: STATS_CLUSTER,
  type: "STATIC",
  connect_timeout: "1s",
  load_assignment: clusterLoad(STATS_CLUSTER, socketAddress("127.0.0.1", adminPort)),
});

/** Of all that Envoy's admin interface has, only what Prometheus reads is for other machines. */
function statsListener(place: ProxyPlace, port: number): JsonObject {
  return {
    name: "stats",
    stat_prefix: "stats",
    address: socketAddress(anyAddress(place), port),
    ignore_global_conn_limit: true,
    per_connection_buffer_limit_bytes: PER_CONNECTION_BUFFER_BYTES,
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: {
              "@type": `${TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
              stat_prefix: "stats",
              codec_type: "AUTO",
              route_config: {
                virtual_hosts: [
                  {
                    name: "stats",
                    domains: ["*"],
                    routes: [{ match: { path: "/stats/prometheus" }, route: { cluster: STATS_CLUSTER } }],
                  },
                ],
              },
              http_filters: [
                {
                  name: "envoy.filters.http.router",
                  typed_config: { "@type": `${TYPES}.extensions.filters.http.router.v3.Router` },
                },
              ],
            },
          },
        ],
      },
    ],
  };
}

const scaled = (scaling: number, saturation: number): JsonObject => ({
  name: "envoy.resource_monitors.fixed_heap",
  scaled: { scaling_threshold: scaling, saturation_threshold: saturation },
});

/** Sheds before the kernel kills: first what is idle, then new requests, last new connections. */
function overloadManager({ connectionsMax, memoryBytes }: EnvoyLimits): JsonObject {
  const connections = {
    name: "envoy.resource_monitors.global_downstream_max_connections",
    typed_config: {
      "@type": `${TYPES}.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig`,
      max_active_downstream_connections: connectionsMax,
    },
  };
  if (memoryBytes === undefined) return { resource_monitors: [connections] };
  const heap = {
    name: "envoy.resource_monitors.fixed_heap",
    typed_config: {
      "@type": `${TYPES}.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig`,
      max_heap_size_bytes: memoryBytes,
    },
  };
  const above = (action: string, threshold: number) => ({
    name: `envoy.overload_actions.${action}`,
    triggers: [{ name: heap.name, threshold: { value: threshold } }],
  });
  return {
    refresh_interval: "0.25s",
    resource_monitors: [connections, heap],
    actions: [
      above("shrink_heap", 0.85),
      { name: "envoy.overload_actions.disable_http_keepalive", triggers: [scaled(0.85, 0.95)] },
      above("stop_accepting_requests", 0.95),
      above("stop_accepting_connections", 0.98),
    ],
  };
}
