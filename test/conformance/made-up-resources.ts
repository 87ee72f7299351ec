import { anyOf, envoy } from "../../src/xds/envoy/message.ts";

const { Cluster } = envoy.config.cluster.v3;
const { ClusterLoadAssignment } = envoy.config.endpoint.v3;
const { Listener } = envoy.config.listener.v3;
const { RouteConfiguration } = envoy.config.route.v3;
const hcm = envoy.extensions.filters.network.http_connection_manager.v3;
const { UpstreamTlsContext } = envoy.extensions.transport_sockets.tls.v3;
const { Router } = envoy.extensions.filters.http.router.v3;

const ads = { ads: {}, resourceApiVersion: envoy.config.core.v3.ApiVersion.V3 };

/** A cluster whose endpoints come over ADS. */
export const clusterOf = (name: string, connectSeconds = 1): Uint8Array =>
  Cluster.encode({
    name,
    type: Cluster.DiscoveryType.EDS,
    connectTimeout: { seconds: connectSeconds },
    edsClusterConfig: { edsConfig: ads },
  }).finish();

/** A cluster that verifies its servers by a secret that comes over ADS. */
export const secretClusterOf = (name: string, secret: string): Uint8Array =>
  Cluster.encode({
    name,
    type: Cluster.DiscoveryType.STATIC,
    connectTimeout: { seconds: 1 },
    transportSocket: {
      name: "tls",
      typedConfig: anyOf(UpstreamTlsContext, {
        commonTlsContext: {
          validationContextSdsSecretConfig: {
            name: secret,
            sdsConfig: { ...ads, initialFetchTimeout: { seconds: 0 } },
          },
        },
      }),
    },
  }).finish();

/** One endpoint of this machine. */
export const endpointsOf = (name: string, port: number): Uint8Array =>
  ClusterLoadAssignment.encode({
    clusterName: name,
    endpoints: [
      { lbEndpoints: [{ endpoint: { address: { socketAddress: { address: "127.0.0.1", portValue: port } } } }] },
    ],
  }).finish();

/** HTTP on a port of this machine, by routes that come over ADS. */
export const listenerOf = (name: string, port: number, routes: string): Uint8Array =>
  Listener.encode({
    name,
    address: { socketAddress: { address: "127.0.0.1", portValue: port } },
    filterChains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typedConfig: anyOf(hcm.HttpConnectionManager, {
              statPrefix: name,
              rds: { configSource: ads, routeConfigName: routes },
              httpFilters: [{ name: "envoy.filters.http.router", typedConfig: anyOf(Router, {}) }],
            }),
          },
        ],
      },
    ],
  }).finish();

export const routesOf = (name: string, cluster: string, prefix = "/"): Uint8Array =>
  RouteConfiguration.encode({
    name,
    virtualHosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix }, route: { cluster } }] }],
  }).finish();
