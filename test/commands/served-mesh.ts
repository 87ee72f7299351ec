import { AdminServer } from "../../src/admin.ts";
import { IdentityRecords } from "../../src/ca/identity-records.ts";
import { runCli } from "../../src/cli.ts";
import { type Command, type CommandGroup, type ExitCode, NO_TERMINAL } from "../../src/command.ts";
import { debugPages, type Viewed } from "../../src/commands/debug-pages.ts";
import { loadConfig } from "../../src/config.ts";
import { DebugPages } from "../../src/debug-page.ts";
import type { EpochMs } from "../../src/host.ts";
import { parseLogLevels } from "../../src/log-levels.ts";
import { LogScopes } from "../../src/log.ts";
import { PrometheusMetrics } from "../../src/prometheus.ts";
import { clusterId } from "../../src/names.ts";
import type { RemoteClusterStatus } from "../../src/registry/kube/remote-cluster.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { systemClock } from "../../src/system-host.ts";
import type { ClientStatus } from "../../src/xds/client-status.ts";
import { ADDRESS_TYPE, type SubscriptionStatus } from "../../src/xds/resource.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Source } from "../../src/registry/collection/source.ts";
import { object, pod, service, testMesh } from "../registry/mesh.ts";

/** 2026-11-21T06:00:00Z, the time of every page here. */
export const NOW: EpochMs = Date.UTC(2026, 10, 21, 6);

/** Our own, and one that does not answer. */
export const CLUSTERS: readonly RemoteClusterStatus[] = [
  { cluster: clusterId("east"), source: "", state: "synced", since: 0, reason: "", staleMs: undefined },
  {
    cluster: clusterId("west"),
    source: "istio-system/istio-remote-secret-west",
    state: "timeout",
    since: NOW - 90_000,
    reason: "https://10.9.0.1:6443 does not answer",
    staleMs: 120_000,
  },
];

/** A shop behind a waypoint, of which one pod is not ready, and a bank beside it. */
export const SHOP: readonly KubeObject[] = [
  object("v1", "Namespace", { name: "shop", namespace: "", labels: { "istio.io/dataplane-mode": "ambient" } }),
  pod("cart-1", "10.0.0.1", { app: "cart" }, {}, { annotations: { "ambient.istio.io/redirection": "enabled" } }),
  pod("stray", "10.0.0.3", {}, { nodeName: "n2" }),
  service("cart", "10.96.0.1", {}, { labels: { "istio.io/use-waypoint": "w" } }),
  service("w", "10.96.0.9"),
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name: "w" },
    {
      spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }] },
      status: { addresses: [{ type: "Hostname", value: "w.shop.svc.cluster.local" }] },
    },
  ),
  object(
    "discovery.k8s.io/v1",
    "EndpointSlice",
    { name: "cart-1", labels: { "kubernetes.io/service-name": "cart" } },
    {
      addressType: "IPv4",
      ports: [{ port: 8080 }],
      endpoints: [
        {
          addresses: ["10.0.0.1"],
          conditions: { ready: true },
          targetRef: { kind: "Pod", namespace: "shop", name: "cart-1" },
        },
      ],
    },
  ),
  pod("ledger-1", "10.0.1.1", {}, {}, { namespace: "bank" }),
  object(
    "security.istio.io/v1",
    "AuthorizationPolicy",
    { name: "only-cart" },
    {
      spec: {
        selector: { matchLabels: { app: "cart" } },
        rules: [{ from: [{ source: { namespaces: ["shop"] } }], to: [{ operation: { ports: ["8080"] } }] }],
      },
    },
  ),
];

export const subscription = (more: Partial<SubscriptionStatus> = {}): SubscriptionStatus => ({
  typeUrl: ADDRESS_TYPE,
  wildcard: true,
  subscribed: 0,
  sentNonce: "1-4",
  ackedNonce: "1-4",
  sentAt: NOW - 180_000,
  ackedAt: NOW - 179_990,
  lastRejection: "",
  rejections: 0,
  backlog: 0,
  backlogBytes: 0,
  ...more,
});

export const client = (name: string, subscriptions: readonly SubscriptionStatus[]): ClientStatus => ({
  id: name,
  remoteAddress: "10.0.0.9:40000",
  connectedAt: NOW - 3_600_000,
  identity: { trustDomain: "cluster.local", namespace: "istio-system", serviceAccount: "ztunnel" },
  via: "certificate",
  cluster: "east",
  node: { id: `ztunnel~10.0.0.9~${name}.istio-system~cluster.local`, metadata: new Map([["ISTIO_VERSION", "1.31.0"]]) },
  subscriptions,
});

export function viewedMesh(objects: readonly KubeObject[], clients: readonly ClientStatus[] = []): Viewed {
  const { registry, graph } = testMesh(objects);
  return {
    clock: { ...systemClock, now: () => NOW },
    registry,
    graph,
    logs: new Map(),
    config: loadConfig({}, {}, { listenAddress: "127.0.0.1", stateDir: ".causeway" }),
    scopes: new LogScopes({ now: () => NOW, write: () => {} }, parseLogLevels("test", "info")),
    controlPlane: "istiod-1",
    clients: () => clients,
    holdings: (id) =>
      new Map(
        clients.filter((client) => client.id === id).map(() => [ADDRESS_TYPE, [{ name: "10.0.0.1", version: "" }]]),
      ),
    clusters: () => CLUSTERS,
    embedded: () => undefined,
    peers: () => [],
    bundleAgreement: () => undefined,
    peerClients: () => ({ served: [], refused: [] }),
    proxyLogs: { gateways: new Source(new Graph(), "gateways"), of: () => undefined },
    connectedProxies: () => 0,
    spire: () => undefined,
    registration: () => undefined,
    readBundles: () => [],
    relay: () => ({
      ...{
        cluster: "east",
        trustDomain: "cluster.local",
        now: 0,
        manager: "",
        state: "off",
        reason: "",
        generation: "",
      },
      ...{ waits: [], problems: [], restarts: [] },
    }),
    problems: () => Array.from(registry.problems.entries(), ([, problem]) => problem),
    issuances: { issuedCount: 0, refusedCounts: new Map(), lastRefusals: [], identities: new IdentityRecords() },
    signer: () => undefined,
    trustBundles: () => [],
    revocations: () => [],
  };
}

/** The admin server of such a mesh, on any port; close it. */
export async function serve(viewed: Viewed): Promise<AdminServer> {
  const host = { clock: systemClock, log: viewed.scopes, metrics: new PrometheusMetrics() };
  const pages = new DebugPages(debugPages(viewed));
  const server = new AdminServer(host, {
    address: "127.0.0.1",
    healthPort: 0,
    adminPort: 0,
    checks: () => [],
    pages: () => pages,
  });
  await server.start();
  return server;
}

export interface Ran {
  readonly code: ExitCode;
  readonly out: string;
  readonly err: string;
}

/** The command line, whole, as a user calls it. */
export async function run(command: Command | CommandGroup, ...words: readonly string[]): Promise<Ran> {
  const [out, err]: [string[], string[]] = [[], []];
  const printer = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const interrupted = new AbortController().signal;
  const cli = {
    commands: [command],
    version: "1.2.3",
    clock: systemClock,
    printer,
    terminal: NO_TERMINAL,
    environment: {},
    interrupted,
  };
  const code = await runCli(cli, [command.name, ...words]);
  return { code, out: out.join(""), err: err.join("") };
}
