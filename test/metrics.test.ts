import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "mocha";
import { demoClient } from "../src/commands/demo-client.ts";
import { once } from "../src/commands/once.ts";
import { type RunningPlane, startPlane } from "../src/commands/running-plane.ts";
import { loadConfig } from "../src/config.ts";
import { documentedMetrics, type ScrapedMetric, scrapedMetrics } from "./kits/documented-metrics.ts";

/** What contract operations.md 1.4 and 0 ask for that means something here, as upstream has it. */
const UPSTREAM: Readonly<Record<string, readonly [type: string, ...labels: string[]]>> = {
  pilot_xds: ["gauge", "version"],
  pilot_xds_pushes: ["counter", "type"],
  pilot_proxy_convergence_time: ["histogram"],
  pilot_proxy_queue_time: ["histogram"],
  pilot_push_triggers: ["counter", "type"],
  pilot_debounce_time: ["histogram"],
  pilot_xds_push_time: ["histogram", "type"],
  pilot_xds_send_time: ["histogram"],
  pilot_xds_config_size_bytes: ["histogram", "type"],
  pilot_xds_recv_max: ["gauge"],
  pilot_total_xds_rejects: ["counter", "type"],
  pilot_total_xds_internal_errors: ["counter"],
  pilot_xds_expired_nonce: ["counter", "type"],
  pilot_xds_write_timeout: ["counter"],
  pilot_services: ["gauge"],
  pilot_inbound_updates: ["counter", "type"],
  pilot_k8s_cfg_events: ["counter", "type", "event"],
  pilot_k8s_reg_events: ["counter", "type", "event"],
  controller_sync_errors_total: ["counter", "cluster"],
  endpoint_no_pod: ["gauge"],
  pilot_worker_queue_depth: ["gauge", "queueID"],
  pilot_worker_queue_latency: ["histogram", "queueID"],
  pilot_worker_queue_duration: ["histogram", "queueID"],
  istiod_managed_clusters: ["gauge", "cluster_type"],
  istiod_remote_cluster_sync_status: ["gauge", "cluster", "cluster_type", "status"],
  remote_cluster_secret_events_total: ["counter", "event"],
  remote_cluster_sync_timeouts_total: ["counter", "cluster"],
  citadel_server_csr_count: ["counter"],
  citadel_server_success_cert_issuance_count: ["counter"],
  citadel_server_authentication_failure_count: ["counter"],
  citadel_server_csr_parsing_err_count: ["counter"],
  citadel_server_id_extraction_err_count: ["counter"],
  citadel_server_csr_sign_err_count: ["counter", "error"],
  citadel_server_root_cert_expiry_timestamp: ["gauge"],
  citadel_server_root_cert_expiry_seconds: ["gauge"],
  citadel_server_cert_chain_expiry_timestamp: ["gauge"],
  citadel_server_cert_chain_expiry_seconds: ["gauge"],
  pilot_info: ["gauge", "version"],
  istio_build: ["gauge", "component", "tag"],
  istiod_uptime_seconds: ["gauge"],
  peer_connection_state: ["gauge", "source", "peer"],
  peer_convergence_time: ["histogram", "source", "peer", "type", "success"],
  peer_xds_config_size_bytes: ["histogram", "source", "peer", "type"],
  peer_lag_seconds: ["gauge", "source", "peer"],
  peer_lag_events: ["gauge", "source", "peer"],
  peer_stale_services: ["gauge", "source", "peer"],
  peer_digest_mismatch_total: ["counter", "source", "peer"],
  xds_client_backlog_bytes: ["gauge", "type"],
  xds_clients_shed_total: ["counter", "reason"],
  informer_lag_seconds: ["gauge", "cluster", "resource"],
  cert_issued_denied_total: ["counter", "reason"],
  global_service_endpoints: ["gauge", "service", "peer", "state"],
};

/** What only exists where the feature is on, or in another process: an API server, SPIRE, a trust manager, a gateway. */
const ELSEWHERE =
  /^(informer|status_writes|pilot_k8s|pilot_worker_queue|spire|relay|gateway|trust_bundle|change_traces|trace_spans|crl|cacerts|token_reviews|remote_cluster)_|^(controller_sync_errors_total|istiod_(managed_clusters|remote_cluster_sync_status)|leader_election_master_status|workload_identities_unsigned|root_cert_expiry_timestamp_seconds|peer_end_to_end_propagation_seconds)$/;

const MESH = `
apiVersion: v1
kind: Namespace
metadata: { name: istio-system, labels: { topology.istio.io/network: east-net } }
---
apiVersion: v1
kind: Namespace
metadata: { name: bank, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Service
metadata: { name: payments, namespace: bank, labels: { solo.io/service-scope: global } }
spec: { selector: { app: payments }, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: payments, namespace: bank, labels: { app: payments } }
spec: { containers: [{ name: payments }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: istio-remote-peer-west
  namespace: istio-eastwest
  labels: { topology.istio.io/network: west-net, topology.istio.io/cluster: west }
spec:
  gatewayClassName: istio-remote
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners: [{ name: xds, port: 1, protocol: TLS, tls: { mode: Passthrough } }]
`;

const documented = documentedMetrics();
const folder = mkdtempSync(join(tmpdir(), "causeway-metrics-"));
let running: RunningPlane;
let scraped: ReadonlyMap<string, ScrapedMetric>;

/** A control plane that shares a service, has been read once as a ztunnel does, and dials a peer in vain. */
before(async () => {
  const manifests = join(folder, "manifests");
  mkdirSync(manifests);
  writeFileSync(join(manifests, "mesh.yaml"), MESH);
  const ports = { xdsPort: "0", adminPort: "0", healthPort: "0" };
  const flags = { cluster: "east", manifests: [manifests], state: join(folder, "state"), log_output_level: "none" };
  const config = loadConfig({ ...flags, ...ports }, {}, { listenAddress: "127.0.0.1", stateDir: "" });
  running = await startPlane({ config, openToAll: true });
  await once(running, await demoClient({ ...running, config }), AbortSignal.timeout(30_000));
  let text = "";
  while (!text.includes("global_service_endpoints{") || !text.includes("peer_reconnects_total{"))
    text = await (await fetch(`http://127.0.0.1:${running.admin.adminPort}/metrics`)).text();
  scraped = scrapedMetrics(text);
});
after(async () => {
  await running.close();
  rmSync(folder, { recursive: true, force: true });
});

test("what a running control plane shows is documented, by name, type and labels", () => {
  const own = [...scraped].filter(([name]) => !/^(process|nodejs)_/.test(name));
  assert.ok(own.length > 60, `${own.length}`);
  const shown = own.map(([name, { type, labels }]) => ({ name, type, labels: labels ?? labelsOf(name) }));
  assert.deepEqual(
    shown,
    own.map(([name]) => ({ name, type: documented.get(name)?.type, labels: labelsOf(name) })),
  );
  const known = own.filter(([, { labels }]) => labels !== undefined);
  assert.ok(known.length > 30, `${known.length} have series`);
});

test("what is documented is there, or is made where the feature is on", () => {
  const absent = [...documented.keys()].filter((name) => !scraped.has(name));
  assert.deepEqual(
    absent.filter((name) => !ELSEWHERE.test(name)),
    [],
  );
  const made = madeInSource();
  assert.deepEqual(
    absent.filter((name) => made.get(name) !== documented.get(name)?.type),
    [],
  );
});

test("metrics that operators know from istiod and from peering have its names, types and labels", () => {
  const differing = Object.entries(UPSTREAM).filter(([name, [type, ...labels]]) => {
    const found = documented.get(name);
    return found?.type !== type || found.labels.join() !== labels.join();
  });
  assert.deepEqual(differing, []);
});

const labelsOf = (name: string): readonly string[] | undefined => documented.get(name)?.labels.toSorted();

function madeInSource(): ReadonlyMap<string, string> {
  const src = join(import.meta.dirname, "..", "..", "src");
  const made = /metrics\s*\.(counter|gauge|histogram|sampled)\(\s*"([a-z_0-9]+)"/g;
  const texts = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => readFileSync(join(src, path), "utf8"));
  return new Map(texts.flatMap((text) => Array.from(text.matchAll(made), ([, kind, name]) => [name!, kind!] as const)));
}
