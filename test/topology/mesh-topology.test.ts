import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, networkId, objectKey } from "../../src/names.ts";
import type { PeerView } from "../../src/peering/opened-peer.ts";
import type { FederatedService } from "../../src/registry/model/federated-service.ts";
import type { PeerGateway } from "../../src/registry/model/peer.ts";
import type { Reader, SeenDrain, TopologyInputs } from "../../src/topology/inputs.ts";
import { meshTopology } from "../../src/topology/mesh-topology.ts";
import type { Topology, TopologyLink } from "../../src/topology/topology.ts";

const NOW = Date.UTC(2026, 10, 22, 2);
const DAY_MS = 86_400_000;

const peer = (name: string, more: Partial<PeerView> = {}): PeerView => ({
  ...{
    cluster: clusterId(name),
    state: "live",
    everSynced: true,
    reason: undefined,
    message: "",
    lastError: undefined,
  },
  ...{ sinceMs: NOW - 60_000, dataPlane: "open", staleness: "fresh", addresses: ["10.0.0.1"], heardAt: NOW - 1_000 },
  ...{
    ageMs: 0,
    epoch: "1",
    skewMs: 40,
    facts: undefined,
    services: 2,
    records: 3,
    bytes: 500,
    denials: [],
    contents: {},
  },
  target: {
    ...{
      cluster: clusterId(name),
      gateway: `istio-eastwest/${name}`,
      network: networkId(name),
      hosts: [],
      xdsPort: 15_012,
    },
    ...{ trustDomain: "cluster.local", hbonePort: undefined, preferred: undefined },
  },
  ...more,
});

const reader = (name: string, more: Partial<Reader> = {}): Reader => ({
  ...{ cluster: clusterId(name), identity: `spiffe://cluster.local/ns/istio-system/sa/${name}`, node: "istiod-1" },
  ...{
    remoteAddress: "10.0.0.2:4000",
    since: NOW - 30_000,
    granted: [],
    contents: {},
    backlog: 0,
    unackedSince: undefined,
  },
  ...more,
});

const shared = (cluster: string, namespace: string, name: string, ready = 1): FederatedService => ({
  ...{ cluster: clusterId(cluster), namespace, name, scope: "global", segment: "", ports: [], ready, total: ready + 1 },
  ...{ identities: [], localities: [], waypoint: undefined, waypointPolicy: "once", takeover: false },
  ...{ distribution: undefined, labels: [], annotations: [], createdMs: 0 },
});

const gateway = (name: string, refused: PeerGateway["refused"]): PeerGateway => ({
  ...{
    gateway: objectKey(clusterId("east"), "istio-eastwest", name),
    namespace: "istio-eastwest",
    name,
    generation: 1,
  },
  ...{ cluster: clusterId(name), network: networkId(name), trustDomain: "cluster.local", hosts: [], xdsPort: 15_012 },
  ...{ hbonePort: undefined, serviceAccount: "", locality: undefined, preferred: undefined, refused },
});

const topology = (more: Partial<TopologyInputs> = {}, filter = ""): Topology =>
  meshTopology(
    {
      ...{ now: NOW, controlPlane: "istiod-1", version: "1.0.0", localCluster: "east", ownFacts: undefined },
      clusters: [{ cluster: clusterId("east"), source: "", state: "synced", since: 0, reason: "", staleMs: undefined }],
      ...{ peers: [], peerGateways: [], readers: [], refused: [], exported: [], imported: [], hosts: [] },
      ...{ certificates: [], problems: [], drains: [], isSpared: () => false },
      ...more,
    },
    { filter },
  );

const brief = ({ cluster, direction, state, reason }: TopologyLink) => [cluster, direction, state, reason];

test("both directions of a link are links of their own, and a cluster that only reads us is only a caller", () => {
  const { links, clusters } = topology({ peers: [peer("west")], readers: [reader("west"), reader("north")] });
  assert.deepEqual(links.map(brief), [
    ["north", "reads us", "live", ""],
    ["west", "we read", "live", ""],
    ["west", "reads us", "live", ""],
  ]);
  assert.deepEqual(
    clusters.map(({ name, roles, oneWay }) => [name, roles, oneWay.slice(0, 14)]),
    [
      ["east", ["own"], ""],
      ["north", ["caller"], "north reads us"],
      ["west", ["peer"], ""],
    ],
  );
});

test("a link that only we have is said to go one way", () => {
  const { clusters } = topology({ peers: [peer("west")] });
  assert.match(clusters[1]!.oneWay, /^We read west, and it does not read this control plane/);
});

test("a stale link says since when, and how old what is served of it is; a live one has no age", () => {
  const stale = peer("west", {
    ...{ state: "stale", reason: "Disconnected", message: "its stream ended", staleness: "within-grace" },
    ...{ heardAt: NOW - 90_000, ageMs: 90_000 },
  });
  const [link] = topology({ peers: [stale] }).links;
  assert.deepEqual(
    [link!.state, link!.reason, link!.message, link!.heardAt, link!.staleness],
    ["stale", "Disconnected", "its stream ended", new Date(NOW - 90_000).toISOString(), "within-grace"],
  );
  assert.equal(topology({ peers: [peer("west")] }).links[0]!.heardAt, "");
});

test("clusters of remote secrets are links that we read, with their age while their API server is away", () => {
  const secret = { cluster: clusterId("south"), source: "istio-system/s", since: NOW - 5_000, reason: "no answer" };
  const link = (state: "synced" | "timeout" | "syncing", staleMs?: number) =>
    topology({ clusters: [{ ...secret, state, staleMs }] }).links[0]!;
  assert.deepEqual(
    [link("synced").state, link("syncing").state, link("timeout").state],
    ["live", "syncing", "connecting"],
  );
  const stale = link("timeout", 60_000);
  assert.deepEqual([stale.state, stale.via, stale.source], ["stale", "secret", "istio-system/s"]);
  assert.equal(stale.heardAt, new Date(NOW - 60_000).toISOString());
});

test("who is refused, by us or by the other end, is a refused link", () => {
  const { links } = topology({
    peers: [peer("west", { state: "connecting", reason: "PermissionDenied", message: "west says no" })],
    refused: [
      {
        cluster: "mallory",
        identity: "spiffe://x/ns/a/sa/b",
        remoteAddress: "",
        reason: "NotGranted",
        message: "no",
        at: NOW,
      },
    ],
    peerGateways: [gateway("north", { reason: "MissingNetwork", message: "has no network" })],
  });
  assert.deepEqual(links.map(brief), [
    ["mallory", "reads us", "refused", "NotGranted"],
    ["north", "we read", "refused", "MissingNetwork"],
    ["west", "we read", "refused", "PermissionDenied"],
  ]);
});

test("a reader that does not acknowledge is behind, and of its replicas the slowest counts", () => {
  const slow = reader("west", { backlog: 7, unackedSince: NOW - 10_000, node: "istiod-2" });
  const [link] = topology({ readers: [reader("west"), slow] }).links;
  assert.deepEqual(
    [link!.state, link!.backlog, link!.behindSince],
    ["syncing", 7, new Date(NOW - 10_000).toISOString()],
  );
  assert.equal(topology({ readers: [reader("west", { unackedSince: NOW - 500 })] }).links[0]!.state, "live");
});

test("a Service has one line, with the endpoints of each cluster, and leads to the name that it can be asked about by", () => {
  const { services, clusters } = topology({
    exported: [shared("east", "shop", "cart", 2)],
    imported: [shared("west", "shop", "cart", 3), shared("west", "shop", "till")],
    peers: [peer("west")],
    hosts: ["cart.shop.mesh.internal"],
  });
  assert.deepEqual(services.shown, [
    {
      ...{ service: "shop/cart", host: "cart.shop.mesh.internal" },
      clusters: [
        { cluster: "east", ready: 2, total: 3, drain: null },
        { cluster: "west", ready: 3, total: 4, drain: null },
      ],
    },
    { service: "shop/till", host: "", clusters: [{ cluster: "west", ready: 1, total: 2, drain: null }] },
  ]);
  assert.deepEqual(
    clusters.map((each) => each.services),
    [1, 2],
  );
});

test("services are found by a part of their name, or by the cluster that shares them", () => {
  const imported = [shared("west", "shop", "cart"), shared("north", "bank", "ledger")];
  const found = (filter: string) => topology({ imported }, filter).services.shown.map(({ service }) => service);
  assert.deepEqual([found("car"), found("north"), found("nor")], [["shop/cart"], ["bank/ledger"], []]);
});

test("what a grant keeps from a reader, and what is not believed of a peer, are denied edges with their reasons", () => {
  const granted = [{ by: "PeerGrant", scopes: [{ namespaces: ["shop"], services: undefined }] }] as const;
  const { denied } = topology({
    exported: [shared("east", "shop", "cart"), shared("east", "bank", "ledger")],
    readers: [reader("west", { granted })],
    peers: [
      peer("north", { denials: [{ name: "north/kube-system/dns", reason: "namespace", message: "not granted" }] }),
    ],
  });
  assert.deepEqual(
    denied.shown.map(({ cluster, kind, what, reason }) => [cluster, kind, what, reason]),
    [
      ["north", "import refused", "north/kube-system/dns", "namespace"],
      ["west", "export denied", "bank/ledger", "PeerGrant"],
    ],
  );
  assert.deepEqual([denied.total, denied.more], [2, false]);
});

test("five hundred peers with as many services each stay within the bounds of a page, and are counted", () => {
  const names = Array.from({ length: 500 }, (_, at) => `peer-${at}`);
  const imported = names.flatMap((name) => [shared(name, "shop", "cart"), shared(name, "shop", `own-${name}`)]);
  const denials = Array.from({ length: 30 }, (_, at) => ({ name: `${at}`, reason: "quota" as const, message: "" }));
  const { services, denied, clusters } = topology({ peers: names.map((name) => peer(name, { denials })), imported });
  assert.equal(clusters.length, 501);
  assert.deepEqual([services.total, services.shown.length], [501, 300]);
  assert.equal(services.shown.find(({ service }) => service === "shop/cart")!.clusters.length, 50);
  assert.deepEqual([denied.total, denied.shown.length], [15_000, 200]);
});

test("grants of hundreds of readers are not all held against thousands of services for one page, which says so", () => {
  const exported = Array.from({ length: 3_000 }, (_, at) => shared("east", "shop", `s${at}`));
  const granted = [{ by: "PeerGrant", scopes: [{ namespaces: ["*"], services: undefined }] }] as const;
  const readers = Array.from({ length: 100 }, (_, at) => reader(`peer-${at}`, { granted }));
  assert.equal(topology({ exported, readers }).denied.more, true);
});

test("certificates come once, the first to end first, with the peers that trust them and how urgent they are", () => {
  const seen = (use: "root" | "peer root" | "authority", of: string, sha256: string, days: number, life?: number) => ({
    ...{ use, of, subject: `CN=${sha256}`, sha256, notAfter: NOW + days * DAY_MS },
    notBefore: life === undefined ? undefined : NOW + (days - life) * DAY_MS,
  });
  const { certificates } = topology({
    certificates: [
      seen("root", "cluster.local", "r1", 3650, 3650),
      seen("authority", "east", "a1", 20, 90),
      seen("authority", "east", "short", 0.9, 1),
      seen("peer root", "west", "r1", 3650),
      seen("peer root", "north", "r1", 3650),
      seen("peer root", "north", "r2", -1),
    ],
  });
  assert.deepEqual(
    certificates.shown.map(({ use, of, sha256, peers, level }) => [use, of, sha256, peers, level]),
    [
      ["peer root", "", "r2", ["north"], "ended"],
      ["authority", "east", "short", [], "ok"],
      ["authority", "east", "a1", [], "soon"],
      ["root", "cluster.local", "r1", ["west", "north"], "ok"],
    ],
  );
});

test("problems come with the worst first, and can be looked for", () => {
  const problem = (severity: "error" | "info", object: string) => ({
    severity,
    object,
    field: "",
    origin: "",
    message: "m",
  });
  const problems = [problem("info", "Service shop/a"), problem("error", "Gateway shop/B")];
  assert.deepEqual(
    topology({ problems }).problems.shown.map(({ object }) => object),
    ["Gateway shop/B", "Service shop/a"],
  );
  assert.equal(topology({ problems }, "gateway").problems.total, 1);
});

test("what did not change reads the same a minute later, but for the time", () => {
  const at = (now: number) => {
    const { at, ...content } = topology({ now, peers: [peer("west", { heardAt: now })], readers: [reader("west")] });
    return { at, content };
  };
  const [first, second] = [at(NOW), at(NOW + 60_000)];
  assert.deepEqual(first.content, second.content);
  assert.notEqual(first.at, second.at);
});

const UNTIL = "2026-11-22T02:30:00.000Z";
const drain = (cluster: string, service: string, more: Partial<SeenDrain> = {}): SeenDrain => ({
  object: service === "" ? `Gateway istio-eastwest/${cluster}` : `Service ${service}`,
  ...{ cluster, service, state: "drained", untilMs: Date.parse(UNTIL), ...more },
});

test("of a peer that is drained, of each of its shares, and of each service of ours it is said until when, and whether it is in force", () => {
  const { clusters, services, drains } = topology({
    peers: [peer("north"), peer("west")],
    exported: [shared("east", "shop", "cart"), shared("east", "shop", "list"), shared("east", "shop", "till")],
    imported: [shared("west", "shop", "cart"), shared("west", "shop", "books"), shared("north", "shop", "cart")],
    isSpared: (record) => record === "west/shop/books",
    drains: [
      drain("east", "shop/cart", { state: "leaving", untilMs: Date.parse(UNTIL) + 1_000 }),
      drain("west", ""),
      drain("east", "shop/list", { state: "spared", untilMs: NOW + 1_000 }),
      drain("east", "shop/till", { state: "far", untilMs: NOW + 9 * DAY_MS }),
    ],
  });
  assert.deepEqual(
    clusters.map(({ name, drain }) => [name, drain]),
    [
      ["east", null],
      ["north", null],
      ["west", { until: UNTIL, state: "drained" }],
    ],
  );
  assert.deepEqual(
    services.shown.flatMap(({ service, clusters: shares }) =>
      shares.map(({ cluster, drain }) => [service, cluster, drain?.state, drain?.until]),
    ),
    [
      ["shop/books", "west", "spared", UNTIL],
      ["shop/cart", "east", "leaving", "2026-11-22T02:30:01.000Z"],
      ["shop/cart", "north", undefined, undefined],
      ["shop/cart", "west", "drained", UNTIL],
      ["shop/list", "east", "spared", "2026-11-22T02:00:01.000Z"],
      ["shop/till", "east", undefined, undefined],
    ],
  );
  assert.deepEqual(
    drains.shown.map(({ object, message }) => [object, message]),
    [
      [
        "Service shop/list",
        "Service shop/list is to be drained until 2026-11-22T02:00:01Z, and keeps its calls: no peer that is not drained has a ready endpoint of it.",
      ],
      [
        "Gateway istio-eastwest/west",
        "Peer west is drained here until 2026-11-22T02:30:00Z: its services get no new calls from here where another cluster has ready endpoints; 1 of them keeps its calls, as no other has.",
      ],
      [
        "Service shop/cart",
        "Service shop/cart is leaving, to be drained until 2026-11-22T02:30:01Z: peers hear that none of it is ready, and calls that they had begun still end here.",
      ],
      [
        "Service shop/till",
        "Service shop/till is to be drained until 2026-12-01T02:00:00Z, which is more than 24 hours ahead: nothing is drained before that.",
      ],
    ],
  );
});

test("of more drains than anybody looks at, those that end first are shown", () => {
  const many = Array.from({ length: 250 }, (_, at) => drain("east", `shop/s-${at}`, { untilMs: NOW + (250 - at) }));
  const { drains } = topology({ drains: many });
  assert.deepEqual([drains.shown.length, drains.total, drains.shown[0]?.service], [200, 250, "shop/s-249"]);
});
