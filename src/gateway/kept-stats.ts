/**
 * Which of Envoy's statistics are kept. All others are never made: a gateway of 1,000 services has 3,000 clusters and
 * listeners, and all their statistics take some 20 kB for each (contract operations.md 2.1 has what a proxy may cost).
 */
export const KEPT_STATS = {
  inclusion_list: {
    patterns: [
      ...[
        "cluster_manager.",
        "control_plane.",
        "listener_manager.",
        "main_thread.",
        "overload.",
        "runtime.",
        "sds.",
        "server.",
        // The two clusters that everything else hangs on.
        "cluster.agent.",
        "cluster.control-plane.",
      ].map((prefix) => ({ prefix })),
      ...[
        // Of callers, and of requests.
        ".downstream_cx_active",
        ".downstream_cx_total",
        ".downstream_cx_overflow",
        ".downstream_cx_overload_reject",
        ".downstream_global_cx_overflow",
        ".downstream_cx_protocol_error",
        ".downstream_rq_active",
        ".downstream_rq_total",
        ".downstream_rq_1xx",
        ".downstream_rq_2xx",
        ".downstream_rq_3xx",
        ".downstream_rq_4xx",
        ".downstream_rq_5xx",
        // Of what is called.
        ".upstream_cx_active",
        ".upstream_cx_connect_fail",
        ".upstream_cx_overflow",
        ".upstream_rq_total",
        ".upstream_rq_pending_overflow",
        ".upstream_rq_timeout",
        ".upstream_rq_retry",
        ".upstream_rq_2xx",
        ".upstream_rq_4xx",
        ".upstream_rq_5xx",
        ".membership_healthy",
        ".membership_total",
        ".ejections_active",
        // Of handshakes.
        ".ssl.connection_error",
        ".ssl.fail_verify_error",
        ".ssl.fail_verify_no_cert",
        ".ssl.fail_verify_san",
        ".ssl.handshake",
        // What was refused, and why.
        ".update_rejected",
        ".update_success",
        ".init_fetch_timeout",
        ".rbac.allowed",
        ".rbac.denied",
        ".rbac.shadow_allowed",
        ".rbac.shadow_denied",
        ".jwt_authn.allowed",
        ".jwt_authn.denied",
        ".jwt_authn.jwks_fetch_failed",
      ].map((suffix) => ({ suffix })),
    ],
  },
} as const;
