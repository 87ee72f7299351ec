import assert from "node:assert/strict";
import { test } from "mocha";
import type { ResourceType } from "../../src/kube/api.ts";
import { Reflector } from "../../src/kube/reflector.ts";
import { RelistGate } from "../../src/kube/relist-gate.ts";
import * as resourceTypes from "../../src/kube/resource-types.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { reflectorLab, Shelf } from "./reflector-lab.ts";

const { PODS } = resourceTypes;
/** All that can be listed. */
const unwatched = ["TokenReview", "CustomResourceDefinition"];
const kinds: readonly ResourceType[] = Object.values(resourceTypes).filter(({ kind }) => !unwatched.includes(kind));

/** A reflector of every kind, of one server. */
async function allKinds() {
  const lab = reflectorLab(PODS);
  const shelves = kinds.map(() => new Shelf());
  const reflectors = kinds.map(
    (type, at) =>
      new Reflector(lab.host, lab.api, lab.gate, { cluster: "east", type, sink: shelves[at]!, onSynced: () => {} }),
  );
  for (let i = 0; i < 20; i++) lab.put(`pod-${i}`);
  for (const reflector of reflectors) reflector.start();
  await lab.pass(100_000);
  assert.ok(reflectors.every(({ state }) => state.synced));
  return { ...lab, shelves, reflectors, close: () => Promise.all(reflectors.map((reflector) => reflector.close())) };
}

/** The most requests in any `windowMs` after `fromMs`, a second. */
function busiest(server: FakeApiServer, fromMs: number, windowMs: number): number {
  const times = server.requests.map(({ atMs }) => atMs).filter((atMs) => atMs >= fromMs);
  const counts = times.map((start) => times.filter((atMs) => atMs >= start && atMs < start + windowMs).length);
  return (Math.max(0, ...counts) * 1_000) / windowMs;
}

test("410 on all watches at once: at most two lists run, and sinks hear only of what differs", async () => {
  const world = await allKinds();
  const pods = world.shelves[kinds.indexOf(PODS)]!;
  world.server.watchList = "refused";
  pods.told.length = 0;
  let most = 0;
  world.server.faults.tamper = (answer) => ((most = Math.max(most, world.gate.running)), answer);
  world.server.faults.latencyMs = 500;
  world.server.cutWatches();
  world.remove("pod-3");
  world.server.expireAll();
  await world.pass(60_000);
  assert.ok(kinds.length >= 16);
  assert.equal(most, 2);
  assert.deepEqual(
    pods.told.filter((line) => line.startsWith("delete")),
    ["delete shop/pod-3"],
  );
  assert.equal(pods.objects.size, 19);
  assert.deepEqual(
    world.reflectors.filter(({ state }) => state.phase !== "watching").map(({ state }) => state),
    [],
  );
  await world.close();
});

test("half of all requests refused for ten minutes: under five requests a second, and nothing is lost", async () => {
  const world = await allKinds();
  world.server.faults.errorRate = 0.5;
  world.server.cutWatches();
  world.server.expireAll();
  const fromMs = world.host.clock.elapsedMs();
  await world.pass(600_000);
  const average = world.server.requests.filter(({ atMs }) => atMs >= fromMs).length / 600;
  assert.ok(average < 1, `${average} a second on average`);
  assert.ok(busiest(world.server, fromMs, 10_000) < 5, `${busiest(world.server, fromMs, 10_000)} a second at worst`);
  assert.equal(world.shelves[kinds.indexOf(PODS)]!.objects.size, 20);
  world.server.faults.errorRate = 0;
  await world.pass(40_000);
  assert.ok(world.reflectors.every(({ state }) => state.phase === "watching"));
  await world.close();
});

test("all requests refused, with a wait asked for: the wait is kept", async () => {
  const world = await allKinds();
  Object.assign(world.server.faults, { errorRate: 1, retryAfterMs: 20_000 });
  world.server.cutWatches();
  const fromMs = world.host.clock.elapsedMs();
  await world.pass(300_000);
  assert.ok(busiest(world.server, fromMs, 10_000) < 5);
  await world.close();
});

test("a server that is down is asked by one small request for all kinds, and all come back soon after it", async () => {
  const world = await allKinds();
  world.server.faults.down = true;
  world.server.cutWatches();
  await world.pass(60_000);
  const before = world.server.requests.length;
  await world.pass(1_800_000);
  const paths = new Set(world.server.requests.slice(before).map(({ path }) => path));
  assert.deepEqual([...paths], ["/version"]);
  assert.ok(world.server.requests.length - before < 1_800, "less than one a second");
  assert.match(world.reflectors[0]!.state.problem!, /ECONNREFUSED/);
  assert.deepEqual(
    world.host.lines.filter((line) => line.includes("list or watch failed")),
    [],
    "one line for the server, none for each kind",
  );
  const warnings = world.host.lines.filter((line) => line.includes("cannot be reached"));
  assert.ok(warnings.length >= 15 && warnings.length <= 32, `${warnings.length} lines in half an hour`);
  assert.match(warnings[0]!, /^warn kube: .* cluster=east server=https:\/\/fake:6443 cause=connect ECONNREFUSED/);
  world.server.faults.down = false;
  world.put("new");
  await world.pass(5_000);
  assert.ok(world.reflectors.every(({ state }) => state.phase === "watching" && state.problem === undefined));
  assert.equal(world.host.lines.filter((line) => line.includes("API server answers again")).length, 1);
  assert.ok(world.shelves[kinds.indexOf(PODS)]!.objects.has("shop/new"));
  await world.close();
});

test("a watch into a black hole: pings find it within a minute, silence in 90 s; the lag shows it", async () => {
  for (const [pingsAfterMs, foundMs] of [
    [35_000, 60_000],
    [undefined, 95_000],
  ] as const) {
    const lab = reflectorLab(PODS);
    lab.reflector.start();
    await lab.pass(61_000);
    lab.server.blackHoleWatches(pingsAfterMs);
    lab.put("missed");
    await lab.pass(foundMs - 30_000);
    const lag = lab.host.metric("informer_lag_seconds{cluster=east,resource=pods}");
    assert.ok(lag >= foundMs / 1_000 - 50, `lag ${lag}`);
    await lab.pass(30_000);
    assert.deepEqual(lab.shelf.names, ["shop/missed"]);
    assert.equal(lab.asked("sendInitialEvents"), 1, "it is resumed, not listed");
    await lab.pass(10_000);
    assert.ok(lab.host.metric("informer_lag_seconds{cluster=east,resource=pods}") < foundMs / 1_000 - 20);
    await lab.reflector.close();
    assert.equal(lab.host.metric("informer_lag_seconds{cluster=east,resource=pods}"), 0);
  }
});

test("a quiet watch is left alone for as long as the server lets it, and never ages out of the history", async () => {
  const lab = reflectorLab(PODS);
  lab.server.store.historyMax = 50;
  lab.reflector.start();
  const begun = lab.host.clock.elapsedMs();
  for (let minute = 0; minute < 120; minute++) {
    for (let i = 0; i < 40; i++) lab.server.put({ apiVersion: "v1", kind: "Node", metadata: { name: `n${i}` } });
    await lab.pass(60_000);
  }
  const minutes = (lab.host.clock.elapsedMs() - begun) / 60_000;
  assert.equal(lab.asked("sendInitialEvents"), 1);
  assert.ok(lab.asked("watch=true") <= minutes / 4.8 + 2, `${lab.asked("watch=true")} watches in ${minutes} minutes`);
  assert.ok(!lab.host.lines.some((line) => line.startsWith("warn")));
  await lab.reflector.close();
});

test("a server that sends no bookmarks of a quiet kind is taken at its word for five minutes", async () => {
  const lab = reflectorLab(PODS);
  lab.server.bookmarkEveryMs = 3_600_000;
  lab.reflector.start();
  await lab.pass(1_000);
  for (const watch of lab.server.watches) watch.silence();
  lab.put("missed");
  await lab.pass(290_000);
  assert.deepEqual(lab.shelf.names, []);
  await lab.pass(20_000);
  assert.deepEqual(lab.shelf.names, ["shop/missed"]);
  assert.ok(!lab.host.lines.some((line) => line.startsWith("warn")));
  await lab.reflector.close();
});

test("page 3 of 9 fails: nothing is removed, and the whole list comes again", async () => {
  const lab = reflectorLab(PODS);
  lab.server.watchList = "refused";
  for (let i = 0; i < 4_400; i++) lab.put(`pod-${i}`);
  lab.reflector.start();
  await lab.pass(100_000);
  assert.equal(lab.shelf.objects.size, 4_400);
  lab.server.faults.failPage = 3;
  lab.server.blackHoleWatches(1);
  lab.remove("pod-7");
  lab.put("zz-new");
  lab.server.expireAll();
  await lab.pass(300_000);
  const deletes = () => lab.shelf.told.filter((line) => line.startsWith("delete"));
  assert.deepEqual(deletes(), []);
  assert.equal(lab.reflector.state.phase, "retrying");
  assert.match(lab.reflector.state.problem!, /leader changed/);
  lab.server.faults.failPage = undefined;
  await lab.pass(40_000);
  assert.deepEqual(deletes(), ["delete shop/pod-7"]);
  assert.ok(lab.shelf.objects.has("shop/zz-new"));
  await lab.reflector.close();
});

test("what is deleted and made again while nobody watches is set anew, not deleted", async () => {
  const lab = reflectorLab(PODS);
  const before = lab.put("a");
  lab.reflector.start();
  await lab.pass(1_000);
  lab.server.blackHoleWatches(1);
  lab.remove("a");
  const after = lab.put("a");
  lab.server.expireAll();
  await lab.pass(60_000);
  assert.notEqual(before.metadata.uid, after.metadata.uid);
  assert.equal(lab.shelf.objects.get("shop/a")!.metadata.uid, after.metadata.uid);
  assert.deepEqual(lab.shelf.told, ["set shop/a", "set shop/a"]);
  await lab.reflector.close();
});

test("events that make no sense are counted and logged once a minute; those around them count", async () => {
  const lab = reflectorLab(PODS);
  lab.reflector.start();
  await lab.pass(1_000);
  for (const [type, object] of [
    ["SURPRISE", {}],
    ["ADDED", { metadata: { namespace: "shop" } }],
    ["MODIFIED", "no object"],
    ["BOOKMARK", { metadata: { resourceVersion: "abc" } }],
    ["BOOKMARK", null],
  ] as const)
    lab.server.garble(PODS, { type, object });
  lab.put("a");
  await lab.pass(1_000);
  assert.deepEqual(lab.shelf.told, ["set shop/a"]);
  const skipped = (reason: string) =>
    lab.host.metric(`informer_events_skipped_total{cluster=east,resource=pods,reason=${reason}}`);
  assert.deepEqual([skipped("type"), skipped("object"), skipped("version")], [1, 2, 2]);
  assert.equal(lab.host.lines.filter((line) => line.includes("makes no sense")).length, 1);
  await lab.reflector.close();
});

test("an event with garbage for a version is taken, and the watch resumes from the version before it", async () => {
  const lab = reflectorLab(PODS);
  const { metadata } = lab.put("a");
  lab.reflector.start();
  await lab.pass(1_000);
  const odd = { metadata: { name: "b", namespace: "shop", resourceVersion: "abc" } };
  lab.server.garble(PODS, { type: "ADDED", object: odd });
  await lab.pass(60_000);
  lab.server.cutWatches();
  await lab.pass(5_000);
  assert.deepEqual(lab.shelf.names, ["shop/a", "shop/b"]);
  const { path } = lab.server.requests.at(-1)!;
  assert.ok(path.includes(`resourceVersion=${metadata["resourceVersion"] as string}`), path);
  await lab.reflector.close();
});

test("a server that went back to an older version is listed anew", async () => {
  const lab = reflectorLab(PODS);
  lab.put("a");
  lab.reflector.start();
  await lab.pass(1_000);
  const stale = { metadata: { name: "b", namespace: "shop", resourceVersion: "7" } };
  lab.server.garble(PODS, { type: "ADDED", object: stale });
  await lab.pass(10_000);
  assert.equal(lab.asked("sendInitialEvents"), 2);
  assert.deepEqual(lab.shelf.names, ["shop/a"], "the older object was not believed");
  await lab.reflector.close();
});

test("a version that the server has not reached is given up after three refusals, for a list", async () => {
  const lab = reflectorLab(PODS);
  lab.put("a");
  lab.reflector.start();
  await lab.pass(1_000);
  lab.server.garble(PODS, { type: "BOOKMARK", object: { metadata: { resourceVersion: "99999999" } } });
  await lab.pass(100);
  lab.server.cutWatches();
  await lab.pass(30_000);
  assert.equal(lab.asked("sendInitialEvents"), 2);
  assert.equal(lab.reflector.state.phase, "watching");
  await lab.reflector.close();
});

test("a server that ends every watch at once is not asked in a loop", async () => {
  const lab = reflectorLab(PODS);
  lab.reflector.start();
  await lab.pass(1_000);
  const before = lab.server.requests.length;
  for (let i = 0; i < 3_000; i++) {
    for (const watch of [...lab.server.watches]) watch.end(undefined);
    await lab.pass(100);
  }
  assert.ok(lab.server.requests.length - before < 40, `${lab.server.requests.length - before} in five minutes`);
  await lab.reflector.close();
});

test("a cluster that answers nothing does not keep another one from listing", async () => {
  const dead = reflectorLab(PODS);
  dead.server.faults.silent = true;
  const alive = new FakeApiServer(dead.host.clock, { server: "https://alive" });
  alive.put({ apiVersion: "v1", kind: "Pod", metadata: { name: "a", namespace: "shop" } });
  const gate = new RelistGate(1);
  let synced = false;
  const make = (cluster: string, api = dead.api) =>
    new Reflector(dead.host, api, gate, { cluster, type: PODS, sink: new Shelf(), onSynced: () => (synced = true) });
  const lost = make("dead");
  const good = make("alive", alive.connect());
  lost.start();
  await dead.pass(10);
  good.start();
  await dead.pass(100);
  assert.ok(synced);
  assert.equal(lost.state.synced, false);
  await Promise.all([lost.close(), good.close()]);
});

test("a closed reflector leaves nothing behind, whatever it was about to do", async () => {
  const begin: readonly ((lab: ReturnType<typeof reflectorLab>) => void)[] = [
    () => {},
    ({ server }) => (server.faults.down = true),
    ({ server }) => (server.faults.silent = true),
    ({ server }) => (server.faults.errorRate = 1),
    ({ server }) => (server.watchList = "ignored"),
    ({ server }) => (server.faults.latencyMs = 5_000),
  ];
  for (const [at, fault] of begin.entries())
    for (const afterMs of [0, 1, 2, 3, 700, 5_001, 10_001, 15_001]) {
      const lab = reflectorLab(PODS);
      lab.put("a");
      fault(lab);
      lab.reflector.start();
      await lab.pass(afterMs);
      const closing = lab.reflector.close();
      await lab.pass(0);
      await closing;
      lab.shelf.told.length = 0;
      assert.equal(lab.host.clock.pending, 0, `fault ${at}, closed after ${afterMs} ms`);
      assert.equal(lab.gate.running, 0);
      lab.put("b");
      await lab.pass(1_000);
      assert.deepEqual(lab.shelf.told, []);
      assert.equal(lab.reflector.state.phase, "closed");
    }
});

test("what fails again and again is logged once a minute", async () => {
  const lab = reflectorLab(PODS);
  lab.server.faults.errorRate = 1;
  lab.reflector.start();
  await lab.pass(600_000);
  const lines = lab.host.lines.filter((line) => line.includes("list or watch failed"));
  assert.ok(lines.length >= 5 && lines.length <= 11, `${lines.length} lines in ten minutes`);
  assert.match(lines[0]!, /cluster=east kind=Pod server=https:\/\/fake:6443 cause=.* nextTryMs=\d+/);
  assert.ok(lab.host.metric("controller_sync_errors_total{cluster=east}") > 20);
  await lab.reflector.close();
});
