import type { ProxyPolicies } from "../../registry/model/proxy-policies.ts";
import type { ProxyPort, ProxyService } from "../../registry/model/proxy-service.ts";
import { requestLog } from "./access-log.ts";
import { authorizationFilters } from "./authorization-filters.ts";
import { ADS } from "./config-sources.ts";
import { untrustedHeadersRemoved } from "./header-hygiene.ts";
import { jwtFilters } from "./jwt.ts";
import { anyOf, durationOf, envoy, wrapped } from "./message.ts";
import { httpRouteName } from "./resource-names.ts";

type NetworkFilter = envoy.config.listener.v3.Filter.$Properties;
type Manager = envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.$Properties;
type HttpFilter = envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.$Properties;

const Hcm = envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager;

/** Envoy's own default, said aloud: what a proxy holds for a request before it knows whose it is. */
const REQUEST_HEADERS_KB = 60;
const HEADERS_MAX = 100;
/** A caller that begins a request and never ends its headers holds a stream no longer. */
const HEADERS_TIMEOUT_MS = 60_000;
/** Streams at once in one connection: far more than callers open, and a bound. */
const STREAMS_MAX = 1_000;

/**
 * The network filters of one HTTP port of a service, within its internal listener. Routes and policies are in the route
 * configuration of `routeConfiguration`; only tokens and their keys are here.
 */
export function httpChain(
  service: ProxyService,
  port: ProxyPort,
  policies: ProxyPolicies | undefined,
): NetworkFilter[] {
  const manager: Manager = {
    // Never without routes: until they are here the listener waits, since the policies come with them.
    rds: { configSource: ADS, routeConfigName: httpRouteName(service.service, port.number) },
    ...LIMITS,
    ...TRUST,
    statPrefix: httpRouteName(service.service, port.number),
    codecType: Hcm.CodecType.AUTO,
    httpFilters: httpFilters(policies),
    upgradeConfigs: [{ upgradeType: "websocket" }],
    // Services answer callers as they would without us.
    serverHeaderTransformation: Hcm.ServerHeaderTransformation.PASS_THROUGH,
    httpProtocolOptions: { acceptHttp_10: true, defaultHostForHttp_10: service.hostname },
    accessLog: [requestLog(service.service, port.number)],
  };
  return [{ name: "http", typedConfig: anyOf(Hcm, manager) }];
}

function httpFilters(policies: ProxyPolicies | undefined): HttpFilter[] {
  // Services are to see no trace of us but what the mesh promises.
  const router = anyOf(envoy.extensions.filters.http.router.v3.Router, { suppressEnvoyHeaders: true });
  return [...jwtFilters(policies), ...authorizationFilters(), { name: "router", typedConfig: router }];
}

const LIMITS: Manager = {
  maxRequestHeadersKb: wrapped(REQUEST_HEADERS_KB),
  commonHttpProtocolOptions: {
    maxHeadersCount: wrapped(HEADERS_MAX),
    // Their services may tell such headers from those with dashes, or not: that is theirs to say.
    headersWithUnderscoresAction: envoy.config.core.v3.HttpProtocolOptions.HeadersWithUnderscoresAction.ALLOW,
  },
  http2ProtocolOptions: { allowConnect: true, maxConcurrentStreams: wrapped(STREAMS_MAX) },
  requestHeadersTimeout: durationOf(HEADERS_TIMEOUT_MS),
  // Streams may be quiet for hours, as a watch is; routes say what ends sooner.
  streamIdleTimeout: durationOf(0),
};

const TRUST: Manager = {
  forwardClientCertDetails: Hcm.ForwardClientCertDetails.SANITIZE,
  earlyHeaderMutationExtensions: [untrustedHeadersRemoved()],
  // Policies and services are to see the same path: `/public/../admin` and `//admin` are `/admin`. Of escaped slashes
  // nobody knows what a service makes, see escaped-slashes.ts.
  normalizePath: wrapped(true),
  mergeSlashes: true,
  pathWithEscapedSlashesAction: Hcm.PathWithEscapedSlashesAction.KEEP_UNCHANGED,
};
