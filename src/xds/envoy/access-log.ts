import { DRY_RUN_PREFIX } from "./authorization-filters.ts";
import { anyOf, envoy } from "./message.ts";
import { PRINCIPAL_KEY, SOURCE_KEY } from "./rbac-principals.ts";

type AccessLog = envoy.config.accesslog.v3.AccessLog.$Properties;

const RBAC = { http: "envoy.filters.http.rbac", tcp: "envoy.filters.network.rbac" } as const;

/** What both layers say. Who called is what was proven when the tunnel was opened, never what a header says. */
const CONNECTION = {
  start_time: "%START_TIME%",
  duration_ms: "%DURATION%",
  source_principal: `%FILTER_STATE(${PRINCIPAL_KEY}:PLAIN)%`,
  source_address: `%FILTER_STATE(${SOURCE_KEY}:PLAIN)%`,
  response_flags: "%RESPONSE_FLAGS%",
  bytes_received: "%BYTES_RECEIVED%",
  bytes_sent: "%BYTES_SENT%",
  upstream_cluster: "%UPSTREAM_CLUSTER_RAW%",
  upstream_host: "%UPSTREAM_HOST%",
  upstream_transport_failure_reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
} as const;

const REQUEST = {
  method: "%REQUEST_HEADER(:METHOD)%",
  path: "%REQUEST_HEADER(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  authority: "%REQUEST_HEADER(:AUTHORITY)%",
  protocol: "%PROTOCOL%",
  route: "%ROUTE_NAME%",
  response_code: "%RESPONSE_CODE%",
  // A denial names its policy here.
  response_code_details: "%RESPONSE_CODE_DETAILS%",
  upstream_attempts: "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
  user_agent: "%REQUEST_HEADER(USER-AGENT)%",
  forwarded_for: "%REQUEST_HEADER(X-FORWARDED-FOR)%",
  request_id: "%REQUEST_HEADER(X-REQUEST-ID)%",
  traceparent: "%REQUEST_HEADER(TRACEPARENT)%",
} as const;

/** A line of JSON for each request to `service`, on standard output. */
export const requestLog = (service: string, port: number): AccessLog =>
  jsonLog({ service, port: String(port), ...CONNECTION, ...REQUEST, ...dryRun("http") });

/** The same for each connection that is no HTTP; `connection_termination_details` names the policy of a denial. */
export const connectionLog = (service: string, port: number): AccessLog =>
  jsonLog({
    service,
    port: String(port),
    ...CONNECTION,
    connection_termination_details: "%CONNECTION_TERMINATION_DETAILS%",
    ...dryRun("tcp"),
  });

function dryRun(layer: keyof typeof RBAC): Record<string, string> {
  const of = (prefix: string, what: string) => `%DYNAMIC_METADATA(${RBAC[layer]}:${prefix}shadow_${what})%`;
  return {
    dry_run_deny: of(DRY_RUN_PREFIX.deny, "engine_result"),
    dry_run_deny_policy: of(DRY_RUN_PREFIX.deny, "effective_policy_id"),
    dry_run_allow: of(DRY_RUN_PREFIX.allow, "engine_result"),
    dry_run_allow_policy: of(DRY_RUN_PREFIX.allow, "effective_policy_id"),
  };
}

/** A line of JSON; what is empty is left out. Without `filter` there is one for each request, or connection. */
export function jsonLog(fields: Readonly<Record<string, string>>, filter?: AccessLog["filter"]): AccessLog {
  const jsonFormat = {
    fields: Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, { stringValue: text }])),
  };
  return {
    name: "stdout",
    ...(filter && { filter }),
    typedConfig: anyOf(envoy.extensions.access_loggers.stream.v3.StdoutAccessLog, {
      logFormat: { jsonFormat, omitEmptyValues: true },
    }),
  };
}
