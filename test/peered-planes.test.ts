import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, before, beforeEach, test } from "mocha";
import type { Options } from "../src/command.ts";
import { loadConfig } from "../src/config.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { MeshError } from "../src/errors.ts";
import type { Host } from "../src/host.ts";
import { clusterId } from "../src/names.ts";
import type { PeerView } from "../src/peering/opened-peer.ts";
import { DeltaClient } from "../src/xds/delta-client.ts";
import { dialXds } from "../src/xds/dial.ts";
import { ADDRESS_TYPE } from "../src/xds/resource.ts";
import { realHost } from "./kits/real-host.ts";
import { writeCacerts } from "./kits/cacerts.ts";
import { derOf, TestAuthority } from "./kits/tls.ts";
import { until } from "./kits/until.ts";

let root: TestAuthority;
before(async () => {
  root = await TestAuthority.create("CN=root");
});

let folder = "";
const running = new Set<ControlPlane>();
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "causeway-peers-"));
});
afterEach(async () => {
  for (const plane of running) await plane.close();
  running.clear();
  rmSync(folder, { recursive: true, force: true });
});

/** A cluster that shares what runs in it, with an authority of its own under `issuer`. */
async function cluster(name: string, issuer = root): Promise<void> {
  const manifests = join(folder, name, "manifests");
  mkdirSync(manifests, { recursive: true });
  const authority = await TestAuthority.create({ name: `CN=${name}`, pathLength: 0 }, issuer);
  writeCacerts(join(folder, name, "cacerts"), authority, issuer);
  writeFileSync(
    join(manifests, "system.yaml"),
    `{apiVersion: v1, kind: Namespace, metadata: {name: istio-system, labels: {topology.istio.io/network: ${name}-net}}}`,
  );
}

/** What of `name` is shared with its peers. */
function share(name: string, service: string, replicas = 1): void {
  writeFileSync(
    join(folder, name, "manifests", `${service}.yaml`),
    `
apiVersion: v1
kind: Namespace
metadata: { name: bank, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Service
metadata: { name: ${service}, namespace: bank, labels: { solo.io/service-scope: global } }
spec: { selector: { app: ${service} }, ports: [{ port: 80 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${service}, namespace: bank }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: ${service} } }
  template: { metadata: { labels: { app: ${service} } }, spec: { containers: [{ name: ${service} }] } }
`,
  );
}

const gatewayFile = (name: string): string => join(folder, name, "manifests", "peers.yaml");

/** Has `name` read the peer that listens on `port`. */
function link(name: string, peer: string, port: number, trustDomain = "cluster.local", drainUntil = ""): void {
  writeFileSync(
    gatewayFile(name),
    `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: istio-remote-peer-${peer}
  namespace: istio-eastwest
  labels: { topology.istio.io/network: ${peer}-net, topology.istio.io/cluster: ${peer} }
  annotations:
    gateway.istio.io/trust-domain: ${trustDomain}
${drainUntil === "" ? "" : `    peering.causeway.dev/drain-until: ${drainUntil}`}
spec:
  gatewayClassName: istio-remote
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners: [{ name: xds, port: ${port}, protocol: TLS, tls: { mode: Passthrough } }]
`,
  );
}

async function start(name: string, options: Options = {}, host: Host = realHost()): Promise<ControlPlane> {
  const at = (part: string): string => join(folder, name, part);
  const flags = {
    ...{ cluster: name, manifests: [at("manifests")], cacerts: at("cacerts") },
    ...{ state: at("state"), xdsPort: "0" },
    ...options,
  };
  const plane = await ControlPlane.open(host, {
    config: loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" }),
    openToAll: false,
    debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
  });
  running.add(plane);
  await plane.start(new AbortController().signal);
  return plane;
}

async function stop(plane: ControlPlane): Promise<void> {
  running.delete(plane);
  await plane.close();
}

const peerOf = (plane: ControlPlane, name: string): PeerView | undefined =>
  plane.peers().find(({ cluster }) => cluster === clusterId(name));
const live = (plane: ControlPlane, name: string): Promise<void> => until(() => peerOf(plane, name)?.state === "live");
/** What a plane knows of its peers' services. */
const imported = (plane: ControlPlane): readonly string[] =>
  Array.from(plane.registry.peers.federated.entries(), ([key, { ready }]) => `${key} ${ready}`).sort();
/** What `plane` holds of a peer, and what that one says that it shares with it. */
const bothEnds = (plane: ControlPlane, own: string, peer: ControlPlane, name: string) => ({
  held: peerOf(plane, name)?.contents,
  shared: peer.peerClients().served.find(({ cluster }) => cluster === clusterId(own))?.contents,
});
/** What ztunnels are told of a global host: endpoints by cluster. */
const endpoints = (plane: ControlPlane, host: string): readonly string[] =>
  plane.registry.workloadsByService
    .get(`bank/${host}.bank.mesh.internal`)
    .map(({ cluster, capacity }) => `${cluster} ${capacity ?? 1}`)
    .sort();

test("two control planes of two trust domains under one root read each other, and each change reaches the other side", async () => {
  for (const name of ["east", "west"]) await cluster(name);
  share("east", "shop");
  share("west", "payments", 2);
  const west = await start("west", { trustDomain: "west.local" });
  link("east", "west", west.ports.xds, "west.local");
  const east = await start("east", { trustDomain: "east.local" });
  link("west", "east", east.ports.xds, "east.local");
  await Promise.all([live(east, "west"), live(west, "east")]);
  await until(() => imported(west).length === 1 && imported(east).length === 1);
  assert.deepEqual([imported(east), imported(west)], [["west/bank/payments 2"], ["east/bank/shop 1"]]);
  for (const { held, shared } of [bothEnds(east, "east", west, "west"), bothEnds(west, "west", east, "east")]) {
    assert.deepEqual(held, shared);
    assert.deepEqual([held?.["FSDS"]?.records, held?.["SGDS"]?.records], [1, 1]);
  }
  const before = bothEnds(east, "east", west, "west").held?.["FSDS"]?.digest;
  await until(() => endpoints(east, "payments").length === 1);
  assert.deepEqual(endpoints(east, "payments"), ["west 2"]);
  share("west", "payments", 3);
  await until(() => endpoints(east, "payments")[0] === "west 3");
  const after = bothEnds(east, "east", west, "west");
  assert.deepEqual(after.held, after.shared);
  assert.notEqual(after.held?.["FSDS"]?.digest, before);
  rmSync(join(folder, "west", "manifests", "payments.yaml"));
  await until(() => imported(east)[0] === "west/bank/payments 0");
});

test("how long a change takes from the cluster that made it until clients here have it is measured", async () => {
  for (const name of ["east", "west"]) await cluster(name);
  share("west", "payments", 2);
  const west = await start("west");
  link("east", "west", west.ports.xds);
  const host = realHost();
  const east = await start("east", { plaintextPort: "0" }, host);
  const node = { id: "ztunnel~10.0.0.1~ztunnel-a.istio-system~istio-system.svc.cluster.local", metadata: new Map() };
  const leaving = new AbortController();
  const address = `127.0.0.1:${east.ports.xdsPlaintext}`;
  const names: string[] = [];
  const following = dialXds({
    target: { address, roots: undefined, token: undefined, clusterId: "east" },
    client: new DeltaClient(node, [ADDRESS_TYPE]),
    onUpdate: ({ resources }) => names.push(...resources.map(({ name }) => name)),
    signal: leaving.signal,
  });
  await until(() => names.includes("bank/payments.bank.mesh.internal"));
  share("west", "payments", 3);
  await until(() => host.metric("peer_end_to_end_propagation_seconds_count{source=east,peer=west}") > 0);
  leaving.abort();
  await following;
});

test("a link in one direction: who has no Gateway reads nothing, and nothing of it is known to who has none", async () => {
  for (const name of ["east", "west"]) await cluster(name);
  share("east", "shop");
  share("west", "payments");
  const west = await start("west");
  link("east", "west", west.ports.xds);
  const east = await start("east");
  await live(east, "west");
  await until(() => imported(east).length === 1);
  assert.deepEqual([imported(east), imported(west), west.peers()], [["west/bank/payments 1"], [], []]);
});

test("a peer that is gone takes nothing with it, nor does a restart meanwhile; its Gateway does", async () => {
  for (const name of ["east", "west"]) await cluster(name);
  share("west", "payments", 2);
  const first = await start("west");
  const { xds } = first.ports;
  link("east", "west", xds);
  const before = await start("east");
  await live(before, "west");
  await until(() => imported(before).length === 1);
  await stop(first);
  await until(() => peerOf(before, "west")?.state === "stale");
  assert.deepEqual(imported(before), ["west/bank/payments 2"]);
  await stop(before);

  const east = await start("east");
  assert.deepEqual(imported(east), ["west/bank/payments 2"], "before anybody is served");
  assert.deepEqual(endpoints(east, "payments"), ["west 2"]);
  assert.equal(peerOf(east, "west")?.state, "stale");
  await until(() => east.readiness().every(({ check }) => check() === undefined));

  share("west", "payments", 1);
  await start("west", { xdsPort: String(xds) });
  await live(east, "west");
  await until(() => endpoints(east, "payments")[0] === "west 1");

  rmSync(gatewayFile("east"));
  await until(() => east.peers().length === 0);
  await until(() => imported(east).length === 0 && endpoints(east, "payments").length === 0);
});

test("a peer that is drained when we start is drained before anybody is served, and is called again once that is taken back", async () => {
  for (const name of ["east", "west"]) await cluster(name);
  for (const name of ["east", "west"]) share(name, "payments", 2);
  const west = await start("west");
  link("east", "west", west.ports.xds);
  const before = await start("east");
  await until(() => imported(before).length === 1);
  await stop(before);

  const drainUntil = new Date(Date.now() + 3_600_000).toISOString();
  link("east", "west", west.ports.xds, "cluster.local", drainUntil);
  const east = await start("east");
  const healthOfWest = (): readonly boolean[] =>
    east.registry.workloadsByService
      .get("bank/payments.bank.mesh.internal")
      .flatMap(({ cluster, healthy }) => (cluster === clusterId("west") ? [healthy] : []));
  assert.deepEqual(healthOfWest(), [false]);
  assert.ok(east.problems().some(({ message }) => message.includes("is drained until")));
  await live(east, "west");
  assert.deepEqual(healthOfWest(), [false], "the link is what it was");
  link("east", "west", west.ports.xds);
  await until(() => healthOfWest()[0] === true);
});

test("under two roots both ends name the cause", async () => {
  await cluster("east");
  await cluster("west", await TestAuthority.create("CN=other root"));
  const west = await start("west");
  link("east", "west", west.ports.xds);
  const east = await start("east");
  link("west", "east", east.ports.xds);
  for (const [plane, peer] of [
    [east, "west"],
    [west, "east"],
  ] as const) {
    const seen = (): PeerView | undefined => peerOf(plane, peer);
    await until(() => seen()?.reason === "TLSUnknownAuthority");
    assert.match(seen()!.message, /^127\.0\.0\.1 port \d+: unknown certificate authority/);
  }
});

/** A root whose PEM ends with a full line: an empty line after it would have OpenSSL pass over the root. */
async function inWholeLines(name: string): Promise<TestAuthority> {
  for (let longer = name; ; longer += "x") {
    const made = await TestAuthority.create(longer);
    if (derOf(made.root).toString("base64").length % 64 === 0) return made;
  }
}

test("two trust domains with a root each are peers once each reads the other's bundle, and both see that they agree", async () => {
  for (const name of ["east", "west"]) await cluster(name, await inWholeLines(`CN=${name} root`));
  share("west", "payments", 2);
  const reads = (name: string, port: number | undefined): Options => {
    const roots = join(folder, name, "cacerts", "root-cert.pem");
    const id = `spiffe://${name}.local/ns/istio-system/sa/istiod`;
    const source = `${name}.local=https://127.0.0.1:${port}/,profile=https_spiffe,id=${id},roots=${roots}`;
    return { trustBundle: [source], trustBundleAllow: "loopback" };
  };
  const first = await start("west", { trustDomain: "west.local", bundlePort: "0" });
  const bundlePort = String(first.bundlePort);
  const east = await start("east", { trustDomain: "east.local", bundlePort: "0", ...reads("west", first.bundlePort) });
  await stop(first);
  const west = await start("west", { trustDomain: "west.local", bundlePort, ...reads("east", east.bundlePort) });
  link("east", "west", west.ports.xds, "west.local");
  link("west", "east", east.ports.xds, "east.local");
  await Promise.all([live(east, "west"), live(west, "east")]);
  await until(() => imported(east).length === 1);
  await until(() => east.bundleAgreement(clusterId("west")) !== undefined);
  const { trustDomain, announced, missing, keptFromWorkloads } = east.bundleAgreement(clusterId("west"))!;
  assert.deepEqual([trustDomain, announced.length, missing], ["west.local", 1, []]);
  assert.equal(keptFromWorkloads, true, "ISTIO_MULTIROOT_MESH was not asked for");
});

test("a Gateway that names another trust domain than the peer proves is a mismatch of identities, with both", async () => {
  for (const name of ["east", "west"]) await cluster(name);
  const west = await start("west");
  link("east", "west", west.ports.xds, "north.local");
  const east = await start("east");
  await until(() => peerOf(east, "west")?.reason !== "SyncPending");
  const { reason, message } = peerOf(east, "west")!;
  assert.equal(reason, "IdentityMismatch");
  assert.match(message, /spiffe:\/\/cluster\.local\/ns\/istio-system\/sa\/istiod/);
});

test("with peering off no link is opened", async () => {
  for (const name of ["east", "west"]) await cluster(name);
  const west = await start("west");
  link("east", "west", west.ports.xds);
  const plane = await ControlPlane.open(realHost(), {
    config: loadConfig(
      { cluster: "east", manifests: [join(folder, "east", "manifests")], state: join(folder, "off"), xdsPort: "0" },
      { ENABLE_PEERING_DISCOVERY: "false" },
      { listenAddress: "127.0.0.1", stateDir: "" },
    ),
    openToAll: false,
    debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
  });
  running.add(plane);
  await plane.start(new AbortController().signal);
  assert.equal(plane.registry.peerGateways.size, 1);
  assert.deepEqual(plane.peers(), []);
});
