import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "mocha";
import { stringify } from "yaml";
import { loadConfig } from "../src/config.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { MeshError } from "../src/errors.ts";
import { boundsOf } from "../src/manager/tenancy/governance.ts";
import { clusterId } from "../src/names.ts";
import { peerGrantObjects } from "../src/plane/bound-grants.ts";
import { writeCacerts } from "./kits/cacerts.ts";
import { realHost } from "./kits/real-host.ts";
import { TestAuthority } from "./kits/tls.ts";
import { until } from "./kits/until.ts";
import { rule, settings, workspace } from "./manager/workspaces.ts";

const folder = mkdtempSync(join(tmpdir(), "causeway-bounded-"));
const write = (cluster: string, file: string, text: string): void =>
  writeFileSync(join(folder, cluster, "manifests", file), text);

const SHARED = ["shop/cart", "vault/key", "bank/api", "bank/ledger"];

let east: ControlPlane;
let west: ControlPlane;
let eastHost: ReturnType<typeof realHost>;

/** Two clusters: west shares four services in three namespaces, and east reads it. */
before(async () => {
  const root = await TestAuthority.create("CN=root");
  for (const name of ["east", "west"]) {
    mkdirSync(join(folder, name, "manifests"), { recursive: true });
    const authority = await TestAuthority.create({ name: `CN=${name}`, pathLength: 0 }, root);
    writeCacerts(join(folder, name, "cacerts"), authority, root);
    write(name, "system.yaml", stringify(system(name)));
  }
  write("west", "services.yaml", SHARED.map(shared).join("---\n"));
  [west, eastHost] = [await start("west"), realHost()];
  write("east", "peer.yaml", stringify(gateway("west", west.ports.xds)));
  east = await start("east", eastHost);
});
after(async () => {
  await Promise.all([east.close(), west.close()]);
  rmSync(folder, { recursive: true, force: true });
});

const system = (name: string): object => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: "istio-system", labels: { "topology.istio.io/network": `${name}-net` } },
});

function shared(service: string): string {
  const [namespace, name] = service.split("/");
  const labels = { "solo.io/service-scope": "global" };
  const spec = { selector: { app: name }, ports: [{ port: 80 }] };
  const ready = [{ type: "Ready", status: "True" }];
  const objects = [
    { apiVersion: "v1", kind: "Service", metadata: { namespace, name, labels }, spec },
    {
      ...{ apiVersion: "v1", kind: "Pod", metadata: { namespace, name, labels: { app: name } } },
      spec: { nodeName: "node" },
      status: { phase: "Running", podIP: `10.0.0.${SHARED.indexOf(service) + 1}`, conditions: ready },
    },
  ];
  return objects.map((each) => stringify(each)).join("---\n");
}

const gateway = (peer: string, port: number): object => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "Gateway",
  metadata: {
    name: `istio-remote-peer-${peer}`,
    namespace: "istio-eastwest",
    labels: { "topology.istio.io/network": `${peer}-net`, "topology.istio.io/cluster": peer },
  },
  spec: {
    gatewayClassName: "istio-remote",
    addresses: [{ type: "IPAddress", value: "127.0.0.1" }],
    listeners: [{ name: "xds", port, protocol: "TLS", tls: { mode: "Passthrough" } }],
  },
});

async function start(name: string, host = realHost()): Promise<ControlPlane> {
  const at = (part: string): string => join(folder, name, part);
  const flags = {
    ...{ cluster: name, manifests: [at("manifests")], cacerts: at("cacerts"), state: at("state") },
    ...{ xdsPort: "0" },
  };
  const plane = await ControlPlane.open(host, {
    config: loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" }),
    openToAll: false,
    debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
  });
  await plane.start(new AbortController().signal);
  return plane;
}

const WORKSPACES = [workspace("trade", { east: ["web"], west: ["shop"] }), workspace("lender", { west: ["ba*"] })];
const SETTINGS = [
  settings("lender", { exportTo: [rule("trade", { services: ["api"] })] }),
  settings("trade", { importFrom: [rule("lender")] }),
];

/** Has a cluster hold to the Workspaces, as its order would have it; or to nothing. */
function govern(cluster: string, workspaces = WORKSPACES): void {
  const bounds = boundsOf(clusterId(cluster), ["east", "west"].map(clusterId), workspaces, SETTINGS);
  const objects = peerGrantObjects(bounds, "istio-system");
  write(cluster, "bounds.yaml", objects.map((each) => stringify(each)).join("---\n"));
}

/** What east has of west; what was withdrawn goes on for a while without endpoints. */
const imported = (): string =>
  Array.from(east.registry.peers.federated.entries())
    .filter(([, { ready }]) => ready > 0)
    .map(([key]) => key.replace("west/", ""))
    .sort()
    .join();
const settled = (expected: string): Promise<void> => until(() => imported() === expected);
const ALL = "bank/api,bank/ledger,shop/cart,vault/key";
const WITHIN = "bank/api,shop/cart";

test("a cluster does not tell a peer of services outside the Workspaces that the two share in", async () => {
  await settled(ALL);
  govern("west");
  await settled(WITHIN);
  assert.deepEqual(
    west.peerClients().served.map(({ cluster, granted }) => [cluster, granted.map(({ by }) => by)]),
    [["east", ["Workspace"]]],
  );
  assert.equal(eastHost.metric("peer_denied_total{source=east,peer=west,reason=workspace}"), 0);
  govern("west", []);
  await settled(ALL);
});

test("what a peer tells of services outside the Workspaces is refused, and says why", async () => {
  await settled(ALL);
  govern("east");
  await settled(WITHIN);
  const denied = () => east.peers()[0]?.denials.map(({ name, reason, message }) => [name, reason, message]) ?? [];
  await until(() => denied().length === 2);
  assert.deepEqual(denied().sort(), [
    ["west/bank/ledger", "workspace", "no Workspace has west import service ledger of namespace bank"],
    ["west/vault/key", "workspace", "no Workspace has west import service key of namespace vault"],
  ]);
  assert.ok(eastHost.metric("peer_denied_total{source=east,peer=west,reason=workspace}") >= 2);
  govern("east", []);
  await settled(ALL);
});

test("a PeerGrant gives no more than the Workspaces leave, and narrows that", async () => {
  await settled(ALL);
  const spec = { cluster: "east", export: { namespaces: ["shop", "vault"] } };
  const metadata = { name: "east", namespace: "istio-system" };
  write(
    "west",
    "grant.yaml",
    stringify({ apiVersion: "peering.causeway.dev/v1alpha1", kind: "PeerGrant", metadata, spec }),
  );
  govern("west");
  await settled("shop/cart");
  const [reader] = west.peerClients().served;
  assert.deepEqual(
    reader?.granted.map(({ by }) => by),
    ["PeerGrant", "Workspace"],
  );
});
