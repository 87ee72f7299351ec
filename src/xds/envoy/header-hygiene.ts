import { anyOf, envoy } from "./message.ts";
import { PRINCIPAL_KEY } from "./rbac-principals.ts";

type Extension = envoy.config.core.v3.TypedExtensionConfig.$Properties;
type HeaderToAdd = envoy.config.core.v3.HeaderValueOption.$Properties;

/**
 * Headers that are orders to an Envoy, or claims that only a proxy may make. From a caller they mean nothing: it could
 * set its own timeouts and retries, or be taken for somebody else behind us.
 */
const NOT_FROM_CALLERS = [
  "attempt-count",
  "decorator-operation",
  "downstream-service-cluster",
  "downstream-service-node",
  "expected-rq-timeout-ms",
  "external-address",
  "force-trace",
  "hedge-on-per-try-timeout",
  "internal",
  "ip-tags",
  "is-timeout-retry",
  "max-retries",
  "original-dst-host",
  "original-host",
  "original-path",
  "original-url",
  "peer-metadata",
  "peer-metadata-id",
  "retriable-header-names",
  "retriable-status-codes",
  "retry-grpc-on",
  "retry-on",
  "upstream-alt-stat-name",
  "upstream-canary",
  "upstream-rq-per-try-timeout-ms",
  "upstream-rq-timeout-alt-response",
  "upstream-rq-timeout-ms",
  "upstream-stream-duration-ms",
]
  .map((name) => `x-envoy-${name}`)
  .concat("x-istio-source");

/** Before anything looks at the headers of a request. */
export function untrustedHeadersRemoved(): Extension {
  const mutations = NOT_FROM_CALLERS.map((remove) => ({ remove }));
  return {
    name: "untrusted",
    typedConfig: anyOf(envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation, { mutations }),
  };
}

const { OVERWRITE_IF_EXISTS_OR_ADD } = envoy.config.core.v3.HeaderValueOption.HeaderAppendAction;

/**
 * Tells the router that a request may be sent again if its connection ends without an answer: by its method its caller
 * might do so, too (RFC 9110, 9.2.2). Routes could not say so, but for each method apart. The router takes it away.
 */
const IDEMPOTENT_RETRY: HeaderToAdd = {
  header: {
    key: "x-envoy-retry-on",
    value:
      "%CEL(request.method in ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'] ? 'reset' : 'connect-failure')%",
  },
  appendAction: OVERWRITE_IF_EXISTS_OR_ADD,
};

/** Who called, as the service behind us may believe it. */
const PROVEN_CALLER: HeaderToAdd = {
  header: { key: "x-forwarded-client-cert", value: `URI=%FILTER_STATE(${PRINCIPAL_KEY}:PLAIN)%` },
  appendAction: OVERWRITE_IF_EXISTS_OR_ADD,
};

/** What we say in headers of each request, after all that routes change. */
export const OUR_HEADERS: readonly HeaderToAdd[] = [PROVEN_CALLER, IDEMPOTENT_RETRY];

/** What Envoy tells itself in headers, and no service needs. */
export const OWN_HEADERS: readonly string[] = ["x-envoy-internal"];
