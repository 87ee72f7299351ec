/** Series as `promtool test rules` takes them, one sample a minute; in `quiet` nothing may fire. */
export interface AlertCase {
  readonly alert: string;
  readonly fires: Series;
  readonly quiet: Series;
  /** How long the series are looked at, as `10m`. */
  readonly after?: string;
}

type Series = Readonly<Record<string, string>>;

const LINK = 'source="east",peer="west"';
const AT = 'job="causeway",instance="a"';
const BUILD = 'component="causeway",tag="1.0.0"';
const OURS = { [`istio_build{${AT},${BUILD}}`]: "1x500" };

/** One that fires above a value of a gauge, and one that does not at it. */
const gauge = (alert: string, series: string, high: number, low: number, after = "20m"): AlertCase => ({
  alert,
  fires: { [series]: `${high}x400` },
  quiet: { [series]: `${low}x400` },
  after,
});

/** One that fires while a counter grows by so much a minute, and does not while it stands still. */
const counter = (alert: string, series: string, step: number, after = "32m"): AlertCase => ({
  alert,
  fires: { [series]: `0+${step}x100` },
  quiet: { [series]: "7x100" },
  after,
});

export const ALERT_CASES: readonly AlertCase[] = [
  {
    alert: "CausewayAbsent",
    fires: { [`up{${AT}}`]: "0x60" },
    // One that is not ready is there.
    quiet: { [`control_plane_ready{${AT}}`]: "0x60" },
    after: "11m",
  },
  {
    alert: "CausewayDown",
    // Jobs are called as their owners like: it was one of ours an hour ago.
    fires: { 'up{job="pods",instance="a"}': "1x10 0x60", [`istio_build{job="pods",instance="a",${BUILD}}`]: "1x10" },
    quiet: { [`up{${AT}}`]: "1x60", 'up{job="pods",instance="b"}': "0x60" },
    after: "20m",
  },
  gauge("CausewayNotReady", `control_plane_ready{${AT}}`, 0, 1, "6m"),
  {
    alert: "CausewayDiscoveryRefused",
    fires: { 'pilot_xds_pushes{type="wds"}': "0+60x60", 'pilot_total_xds_rejects{type="wds"}': "0+6x60" },
    quiet: { 'pilot_xds_pushes{type="wds"}': "0+60x60", 'pilot_total_xds_rejects{type="wds"}': "0+2x60" },
    after: "20m",
  },
  counter("CausewayDiscoveryDefect", `pilot_total_xds_internal_errors{${AT}}`, 1),
  counter("CausewayClientsSilent", `pilot_xds_write_timeout{${AT}}`, 12),
  {
    alert: "CausewayConvergenceSlow",
    fires: {
      'pilot_proxy_convergence_time_bucket{le="5"}': "0+1x60",
      'pilot_proxy_convergence_time_bucket{le="10"}': "0+60x60",
      'pilot_proxy_convergence_time_bucket{le="+Inf"}': "0+60x60",
    },
    quiet: {
      'pilot_proxy_convergence_time_bucket{le="5"}': "0+60x60",
      'pilot_proxy_convergence_time_bucket{le="10"}': "0+60x60",
      'pilot_proxy_convergence_time_bucket{le="+Inf"}': "0+60x60",
    },
    after: "20m",
  },
  {
    alert: "CausewayEventLoopLag",
    fires: { [`nodejs_eventloop_lag_p99_seconds{${AT}}`]: "0.3x60", ...OURS },
    // Somebody else's process.
    quiet: { [`nodejs_eventloop_lag_p99_seconds{job="shop",instance="b"}`]: "0.3x60", ...OURS },
    after: "20m",
  },
  {
    alert: "CausewayCpuHigh",
    fires: { [`process_cpu_seconds_total{${AT}}`]: "0+54x60", ...OURS },
    quiet: { [`process_cpu_seconds_total{${AT}}`]: "0+30x60", ...OURS },
    after: "20m",
  },
  {
    alert: "CausewayMemoryHigh",
    fires: {
      'container_memory_working_set_bytes{namespace="istio-system",pod="a",container="discovery"}': "90x60",
      'container_spec_memory_limit_bytes{namespace="istio-system",pod="a",container="discovery"}': "100x60",
    },
    // No limit is 0.
    quiet: {
      'container_memory_working_set_bytes{namespace="istio-system",pod="a",container="discovery"}': "90x60",
      'container_spec_memory_limit_bytes{namespace="istio-system",pod="a",container="discovery"}': "0x60",
    },
    after: "20m",
  },
  {
    alert: "CausewayMemoryGrows",
    fires: {
      [`process_resident_memory_bytes{${AT}}`]: "100000000+120000x500",
      [`istiod_uptime_seconds{${AT}}`]: "0+60x500",
      ...OURS,
    },
    // It was started anew at 350m, and fills: that is no leak.
    quiet: {
      [`process_resident_memory_bytes{${AT}}`]: "200000000x349 100000000+3000000x100",
      [`istiod_uptime_seconds{${AT}}`]: "0+60x349 0+60x100",
      ...OURS,
    },
    after: "430m",
  },
  gauge("CausewayInformerLag", `informer_lag_seconds{${AT},cluster="east",resource="pods"}`, 301, 300),
  {
    alert: "CausewayRemoteClusterUnsynced",
    fires: { 'istiod_remote_cluster_sync_status{cluster="west",cluster_type="remote",status="syncing"}': "1x60" },
    quiet: { 'istiod_remote_cluster_sync_status{cluster="west",cluster_type="remote",status="synced"}': "1x60" },
    after: "10m",
  },
  counter("CausewayWritesRefused", 'status_writes_total{kind="Service",result="denied"}', 1),
  {
    alert: "CausewayNobodyWrites",
    // That somebody writes in another cluster does not help this one.
    fires: {
      'leader_election_master_status{cluster="east",instance="a",name="status"}': "0x60",
      'leader_election_master_status{cluster="west",instance="b",name="status"}': "1x60",
    },
    quiet: {
      'leader_election_master_status{cluster="east",instance="a",name="status"}': "0x60",
      'leader_election_master_status{cluster="east",instance="b",name="status"}': "1x60",
    },
    after: "20m",
  },
  gauge("CausewayPeerDisconnected", `peer_connection_state{${LINK}}`, 0, 1, "3m"),
  gauge("CausewayPeerDisconnectedLong", `peer_connection_state{${LINK}}`, 0, 1, "11m"),
  gauge("CausewayPeerLag", `peer_lag_seconds{${LINK}}`, 31, 30, "3m"),
  {
    alert: "CausewayPeerDigestMismatch",
    fires: { [`peer_digest_mismatch_total{${LINK}}`]: "0x5 1x60" },
    quiet: { [`peer_digest_mismatch_total{${LINK}}`]: "1x60" },
    after: "10m",
  },
  gauge("CausewayPeerRecordsDenied", `peer_records_denied{${LINK}}`, 1, 0),
  counter("CausewayPeerRefused", 'peer_clients_refused_total{reason="UnknownRoot"}', 1),
  gauge("CausewayPeerClockSkew", `peer_clock_skew_seconds{${LINK}}`, -61, 60),
  gauge("CausewayPeerRootsDiffer", `peer_bundle_drift{${LINK}}`, 1, 0, "62m"),
  {
    alert: "CausewayPropagationSlow",
    fires: {
      [`peer_end_to_end_propagation_seconds_bucket{${LINK},le="10"}`]: "0+1x60",
      [`peer_end_to_end_propagation_seconds_bucket{${LINK},le="20"}`]: "0+60x60",
      [`peer_end_to_end_propagation_seconds_bucket{${LINK},le="+Inf"}`]: "0+60x60",
    },
    quiet: {
      [`peer_end_to_end_propagation_seconds_bucket{${LINK},le="10"}`]: "0+60x60",
      [`peer_end_to_end_propagation_seconds_bucket{${LINK},le="20"}`]: "0+60x60",
      [`peer_end_to_end_propagation_seconds_bucket{${LINK},le="+Inf"}`]: "0+60x60",
    },
    after: "30m",
  },
  gauge("CausewayDrainLasts", `drains{${AT},kind="peer",state="drained"}`, 1, 0, "5h"),
  {
    alert: "CausewayDrainOverdue",
    fires: { [`drain_end_timestamp_seconds{${AT},kind="service"}`]: "60x60" },
    quiet: { [`drain_end_timestamp_seconds{${AT},kind="service"}`]: "7200x60" },
    after: "20m",
  },
  gauge("CausewayDrainWithoutEffect", `drains{${AT},kind="service",state="spared"}`, 1, 0),
  gauge("CausewayIntermediateEnds", `citadel_server_cert_chain_expiry_seconds{${AT}}`, 29 * 86_400, 31 * 86_400, "62m"),
  gauge("CausewayIntermediateEndsSoon", `citadel_server_cert_chain_expiry_seconds{${AT}}`, 6 * 86_400, 8 * 86_400),
  gauge("CausewayRootEnds", `citadel_server_root_cert_expiry_seconds{${AT}}`, 89 * 86_400, 91 * 86_400, "62m"),
  {
    alert: "CausewayCertificatesDenied",
    fires: { 'cert_issued_denied_total{reason="entry"}': "0x70 0+60x60" },
    // As ever.
    quiet: { 'cert_issued_denied_total{reason="entry"}': "0+60x140" },
    after: "82m",
  },
  counter("CausewayCertificatesNotSigned", `cert_issued_denied_total{${AT},reason="signing"}`, 1),
  gauge("CausewayAuthorityRefused", `cacerts_unusable{${AT}}`, 1, 0),
  gauge("CausewayRevocationListOverdue", 'crl_next_update_timestamp_seconds{issuer="CN=root"}', 0, 100_000, "62m"),
  {
    alert: "CausewayTrustBundleUnread",
    // One that was never read has no age.
    fires: { 'trust_bundle_reads_total{trust_domain="b",url="u",result="failed"}': "0+1x100" },
    quiet: {
      'trust_bundle_reads_total{trust_domain="b",url="u",result="failed"}': "0+1x100",
      'trust_bundle_age_seconds{trust_domain="b",url="u"}': "3600x100",
    },
    after: "20m",
  },
  gauge("CausewaySpireAgentAway", `spire_agent_connected{${AT},api="workload"}`, 0, 1),
  counter("CausewaySpireServerFails", 'spire_server_calls_total{method="ListEntries",result="timeout"}', 12),
  gauge("CausewaySpireIdentitiesWithoutEntry", "spire_identities_without_entry", 1, 0),
  gauge("CausewaySpireRegistrationStuck", 'spire_registration_entries{state="held"}', 1, 0),
  gauge("CausewaySpireAuthorityEnds", `spire_downstream_ca_expiry_timestamp_seconds{${AT}}`, 4_000, 90_000),
  gauge("CausewayTrustManagerAway", "relay_connected", 0, 1),
  gauge("CausewayRelayCertificateEnds", "relay_client_certificate_expiry_timestamp_seconds", 500_000, 900_000, "62m"),
  {
    alert: "CausewayRelayTokenUsedTwice",
    // Once is enough.
    fires: { 'relay_refusals_total{reason="TokenUsed"}': "0x10 1x60" },
    quiet: { 'relay_refusals_total{reason="TokenUsed"}': "0x100" },
    after: "20m",
  },
];

/** The cases as a file for promtool: each alert fires in the first of its two groups, and not in the second. */
export function promtoolTests(rulesFile: string, cases: readonly AlertCase[]): unknown {
  const group = ({ alert, after = "1h" }: AlertCase, series: Series, fires: boolean): unknown => ({
    name: `${alert} ${fires ? "fires" : "is quiet"}`,
    interval: "1m",
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [
      {
        expr: `max by (alertname) (ALERTS{alertname="${alert}",alertstate="firing"})`,
        eval_time: after,
        exp_samples: fires ? [{ labels: `{alertname="${alert}"}`, value: 1 }] : [],
      },
    ],
  });
  return {
    rule_files: [rulesFile],
    evaluation_interval: "1m",
    tests: cases.flatMap((each) => [group(each, each.fires, true), group(each, each.quiet, false)]),
  };
}
