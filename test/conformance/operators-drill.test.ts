import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { eventually } from "./causeway-process.ts";
import type { CheckedSite } from "./checked-site.ts";
import { CART, DrilledClusters, gatewayTo, shared } from "./drilled-clusters.ts";
import { causeway } from "./istioctl-lab.ts";
import { KubeLab } from "./kube-lab.ts";
import type { MeshClient } from "./mesh-client.ts";

const SOON_MS = 20_000;
const SAVED_MS = 45_000;
const HALVES = { east: 0.5, west: 0.5 };
const [EAST_CART, WEST_CART] = ["east", "west"].map((name) => ["--context", name, "--service", "shop/cart"]) as [
  string[],
  string[],
];
const PEER_WEST = ["--context", "east", "--peer", "west"];

suite("operators-drill: drains on real API servers, as clients of the mesh see them", () => {
  let lab: KubeLab;
  let clusters: DrilledClusters;
  let east: CheckedSite;
  let west: CheckedSite;
  /** What a ztunnel of each holds. */
  let fromEast: MeshClient;
  let fromWest: MeshClient;

  before(async function () {
    lab = await KubeLab.open(this);
    this.timeout(180_000);
    clusters = await DrilledClusters.open(lab);
    ({ east, west } = clusters);
    [fromEast, fromWest] = [await clusters.client(east), await clusters.client(west)];
    for (const client of [fromEast, fromWest]) await shared(client, HALVES);
  });
  after(() => lab?.close());

  /** Started, and in force. */
  async function drained(...words: readonly string[]): Promise<void> {
    const { code, out, err } = await clusters.drill("start", ...words);
    assert.equal(code, 0, out + err);
    assert.match(out, / started\s*$/);
  }
  async function stopped(...words: readonly string[]): Promise<void> {
    const { code, out, err } = await clusters.drill("stop", ...words);
    assert.equal(code, 0, out + err);
    assert.match(out, / stopped\s*$/);
  }

  test("a service's calls go elsewhere until the time is over, come back by themselves, and no call is without an end", async () => {
    for (const client of [fromEast, fromWest]) client.followGaps(CART);
    const beganAt = Date.now();
    await drained(...EAST_CART, "--for", "20s");
    const peersMs = await shared(fromWest, { west: 1 }, 5_000);
    const ownMs = await shared(fromEast, { west: 1 }, 8_000);
    const { out } = await clusters.drill("status", "--contexts", "east,west");
    assert.match(out, /^east +Service shop\/cart +\S+Z +drained\s*$/m);
    const until = Date.parse((await clusters.view(east)).drains[0]!.until);
    assert.ok(until - beganAt >= 20_000 && until - beganAt <= 30_000, out);
    for (const client of [fromEast, fromWest]) await shared(client, HALVES, 30_000);
    const overMs = Date.now() - until;
    assert.ok(overMs >= 0 && overMs < 3_000, `${overMs} ms after its time`);
    for (const client of [fromEast, fromWest]) assert.equal(client.longestGapMs(CART), 0);
    console.log(`      left by peers after ${peersMs} ms, here ${ownMs} ms later; back ${overMs} ms after its time`);
    const check = await causeway(clusters.operator, "multicluster", "check", "--context", "east", "-o", "json");
    const { findings } = JSON.parse(check.out) as { findings: readonly Record<string, string>[] };
    const left = findings.find(({ code }) => code === "CWY1705")!;
    assert.match(left["evidence"]!, /^the drain of Service shop\/cart ended at .*; written by causeway-link at 20/);
    await clusters.pasted(left["fix"]!);
    assert.deepEqual((await clusters.view(east)).drains, []);
  });

  test("a second drill that would leave nobody is refused, forced it does not hold, and the first goes on", async () => {
    await drained(...EAST_CART, "--for", "5m");
    for (const client of [fromEast, fromWest]) await shared(client, { west: 1 });
    const second = await clusters.drill("start", ...WEST_CART, "--for", "5m");
    assert.equal(second.code, 1, second.out);
    assert.match(second.err, /cluster west: no other peer has a ready endpoint of shop\/cart; --force starts/);
    assert.deepEqual((await clusters.view(west)).drains, []);
    for (const client of [fromEast, fromWest]) client.followGaps(CART);
    await drained(...WEST_CART, "--for", "5m", "--force");
    await eventually("west says that it does not hold", SOON_MS, async () => {
      const [problem] = await clusters.problems(west);
      assert.match(problem?.message ?? "", /^Service shop\/cart is to be drained until \S+Z, and keeps its calls/);
      return problem!.severity === "info" && problem!.object === "Service shop/cart";
    });
    const { out } = await clusters.drill("status", "--contexts", "east,west");
    assert.match(out, /^west +Service shop\/cart +\S+Z +spared\s*$/m);
    for (const client of [fromEast, fromWest]) {
      assert.deepEqual(client.calls(CART), { west: 1 });
      assert.equal(client.longestGapMs(CART), 0);
    }
    // The other way round: once the first is stopped, the second holds.
    await stopped(...EAST_CART);
    for (const client of [fromEast, fromWest]) await shared(client, { east: 1 }, 40_000);
    for (const client of [fromEast, fromWest]) assert.equal(client.longestGapMs(CART), 0);
    await stopped(...WEST_CART);
    for (const client of [fromEast, fromWest]) await shared(client, HALVES);
  });

  test("a peer is drained for callers of this cluster only, but for what nobody else has, and stop brings it back", async () => {
    const refused = await clusters.drill("start", ...PEER_WEST, "--for", "5m");
    assert.equal(refused.code, 1, refused.out);
    assert.match(refused.err, /no other cluster has a ready endpoint of shop\/books-west; --force/);
    await drained(...PEER_WEST, "--for", "5m", "--force");
    await shared(fromEast, { east: 1 });
    assert.deepEqual(fromWest.calls(CART), HALVES);
    assert.deepEqual(fromEast.calls("books-west.shop.mesh.internal"), { west: 1 });
    const { drains, services } = await clusters.view(east);
    assert.deepEqual(
      drains.map(({ object, state }) => [object, state]),
      [[gatewayTo("west"), "drained"]],
    );
    assert.deepEqual(
      services.map(({ service, clusters: shares }) => [service, shares.find(({ cluster }) => cluster === "west")]),
      [
        ["shop/books-west", { cluster: "west", via: "peer", ready: 1, called: true, reason: "" }],
        ["shop/cart", { cluster: "west", via: "peer", ready: 1, called: false, reason: "drained" }],
      ],
    );
    const { out } = await causeway(clusters.operator, "multicluster", "check", "--context", "east");
    assert.match(out, new RegExp(`^ +CWY1701 ${gatewayTo("west")} metadata\\.annotations`, "m"));
    await stopped(...PEER_WEST);
    await shared(fromEast, HALVES);
  });

  test("a control plane that is killed in the midst of drills keeps them, and ends them when their time is over", async () => {
    // What a peer said is saved every half minute: before that, nobody would be known to take the calls.
    await eventually("east has saved what west has now", SAVED_MS, () =>
      east.saved(west).some(({ name, ready }) => name === "cart" && ready === 1),
    );
    await drained(...EAST_CART, "--for", "45s");
    for (const client of [fromEast, fromWest]) await shared(client, { west: 1 });
    const until = Date.parse((await clusters.view(east)).drains[0]!.until);
    fromWest.followGaps(CART);
    await east.plane.stop("SIGKILL");
    await east.serve();
    assert.ok(Date.now() < until - 5_000, "the machine was too slow for this test");
    const again = await clusters.client(east);
    assert.deepEqual(again.calls(CART), { west: 1 }, "nobody was sent to what is drained, not for a moment");
    assert.deepEqual(fromWest.calls(CART), { west: 1 });
    assert.equal((await clusters.view(east)).drains[0]!.state, "drained");
    for (const client of [again, fromWest]) await shared(client, HALVES, 60_000);
    assert.ok(Date.now() >= until);
    assert.equal(fromWest.longestGapMs(CART), 0);
    fromEast = again;
    await stopped(...EAST_CART);
  });

  test("whoever may not write the annotation is told the object, the cluster and the verb, and nothing is drained", async () => {
    const reader = await clusters.reader();
    const words = ["multicluster", "drill", "start", "--for", "5m"];
    const service = await causeway(reader, ...words, ...EAST_CART);
    assert.equal(service.code, 2, service.out);
    assert.match(service.err, /Service shop\/cart of cluster east could not be annotated: .*cannot patch resource/);
    assert.match(service.err, /it needs the verb patch on services: kubectl --context east -n shop auth can-i patch/);
    const peer = await causeway(reader, ...words, ...PEER_WEST, "--force");
    assert.match(peer.err, /Gateway istio-eastwest\/istio-remote-peer-west of cluster east could not be annotated/);
    assert.match(peer.err, /the verb patch on gateways\.gateway\.networking\.k8s\.io: /);
    assert.deepEqual((await clusters.view(east)).drains, []);
    const allowed = await clusters.reader({ apiGroups: [""], resources: ["services"], verbs: ["patch"] });
    assert.equal((await causeway(allowed, ...words, ...EAST_CART)).code, 0);
    await shared(fromWest, { west: 1 });
    await stopped(...EAST_CART);
    for (const client of [fromEast, fromWest]) await shared(client, HALVES);
  });
});
