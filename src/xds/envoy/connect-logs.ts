import { jsonLog } from "./access-log.ts";
import { TUNNEL } from "./endpoint-addresses.ts";
import { GATEWAY_NAMES } from "./filter-state.ts";
import { envoy } from "./message.ts";

type AccessLog = envoy.config.accesslog.v3.AccessLog.$Properties;

const { GE } = envoy.config.accesslog.v3.ComparisonFilter.Op;

const CALLER = {
  start_time: "%START_TIME%",
  duration_ms: "%DURATION%",
  source_principal: "%DOWNSTREAM_PEER_URI_SAN%",
  source_address: "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
} as const;

/** A connection of a caller, at its end: its tunnels have lines of their own, but not what TLS refused. */
export const callerLog = (): AccessLog =>
  jsonLog({
    event: "connection",
    ...CALLER,
    server_name: "%REQUESTED_SERVER_NAME%",
    tls_failure: "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
    response_flags: "%RESPONSE_FLAGS%",
    response_code_details: "%RESPONSE_CODE_DETAILS%",
  });

/** A tunnel; of waypoints only one that was refused, as what passes through the others is logged where it is served. */
export function tunnelLog(kind: "waypoint" | "east-west"): AccessLog {
  const fields = {
    event: "tunnel",
    ...CALLER,
    method: "%REQUEST_HEADER(:METHOD)%",
    authority: "%REQUEST_HEADER(:AUTHORITY)%",
    response_code: "%RESPONSE_CODE%",
    response_flags: "%RESPONSE_FLAGS%",
    response_code_details: "%RESPONSE_CODE_DETAILS%",
    // Of what was refused, why.
    route: "%ROUTE_NAME%",
    bytes_received: "%BYTES_RECEIVED%",
    bytes_sent: "%BYTES_SENT%",
    upstream_cluster: "%UPSTREAM_CLUSTER_RAW%",
    upstream_host: "%UPSTREAM_HOST%",
  };
  return kind === "east-west" ? jsonLog(fields) : jsonLog(fields, REFUSED);
}

const REFUSED: AccessLog["filter"] = {
  statusCodeFilter: { comparison: { op: GE, value: { defaultValue: 400, runtimeKey: "causeway.logged_from" } } },
};

/** A tunnel of ours that could not be opened, or broke: to where, and who should have been there. */
export const originateLog = (hop: "tunnel" | "inner tunnel" | "outer tunnel" | "connection by name"): AccessLog =>
  jsonLog(
    {
      event: `${hop} failed`,
      start_time: "%START_TIME%",
      duration_ms: "%DURATION%",
      upstream_host: "%UPSTREAM_HOST%",
      authority: `%DYNAMIC_METADATA(${TUNNEL}:authority)%`,
      expected:
        hop === "outer tunnel" ? `%FILTER_STATE(${GATEWAY_NAMES}:PLAIN)%` : `%DYNAMIC_METADATA(${TUNNEL}:names)%`,
      response_flags: "%RESPONSE_FLAGS%",
      tls_failure: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
      details: "%CONNECTION_TERMINATION_DETAILS%",
    },
    { responseFlagFilter: {} },
  );
