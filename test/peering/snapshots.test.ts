import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { test } from "mocha";
import { SnapshotStore } from "../../src/peering/snapshot-store.ts";
import { FSDS_TYPE } from "../../src/xds/resource.ts";
import { folderOf } from "../kits/folder.ts";
import { TestHost } from "../kits/test-host.ts";
import { gatewayOf, LinkLab, type LabOptions, serviceOf, WEST } from "./link-lab.ts";

/** Nothing is being written any more once it is disposed. */
function storeIn(folder: string, host = new TestHost()): SnapshotStore & AsyncDisposable {
  const store = new SnapshotStore(host, folder);
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.settled() });
}

/** Files take time that no virtual clock knows of. */
async function linked(store: SnapshotStore, more: LabOptions = {}): Promise<LinkLab> {
  const lab = new LinkLab({ ...more, store });
  lab.link(gatewayOf());
  lab.graph.flush();
  await lab.peers.start();
  lab.peers.dial();
  await lab.pass(0);
  return lab;
}

async function stopped(store: SnapshotStore, ...names: readonly string[]): Promise<void> {
  const lab = await linked(store);
  lab.call.connected();
  lab.call.sayAll(names.map((name) => serviceOf(name)));
  await lab.pass(0);
  await lab.peers.close();
}

test("what a peer said is there after a restart, before anybody answers, with its age; and is resumed by its versions", async () => {
  await using folder = await folderOf({});
  await using store = storeIn(folder.path);
  await stopped(store, "payments");
  const lab = await linked(store);
  assert.deepEqual(lab.services, ["west/bank/payments 1"]);
  assert.deepEqual(
    [lab.status.state, lab.status.everSynced, lab.status.staleness, lab.status.reason],
    ["stale", true, "within-grace", "Stale"],
  );
  assert.deepEqual(lab.call.held(FSDS_TYPE), ["west/bank/payments"]);
  lab.call.connected();
  lab.call.sayAll([serviceOf("payments", { ready: 0 })]);
  await lab.pass(0);
  assert.deepEqual([lab.services, lab.status.state], [["west/bank/payments 0"], "live"]);
});

test("the grace of what was kept began when the peer was last heard, not at our start", async () => {
  await using folder = await folderOf({});
  await using store = storeIn(folder.path);
  await stopped(store, "payments");
  const lab = new LinkLab({ store, stale: { graceMs: 60_000, policy: "unhealthy" } });
  lab.host.clock.advance(50_000);
  lab.link(gatewayOf());
  lab.graph.flush();
  await lab.peers.start();
  await lab.pass(9_000);
  assert.equal(lab.status.staleness, "within-grace");
  await lab.pass(2_000);
  assert.equal(lab.status.staleness, "unhealthy");
});

test("what was kept is held to the Gateway of today", async () => {
  await using folder = await folderOf({});
  await using store = storeIn(folder.path);
  await stopped(store, "payments");
  const lab = new LinkLab({ store });
  lab.link(gatewayOf({ trustDomain: "west.example" }));
  lab.graph.flush();
  await lab.peers.start();
  await lab.pass(0);
  assert.deepEqual(lab.services, []);
});

test("half of a first state is never kept", async () => {
  await using folder = await folderOf({});
  await using store = storeIn(folder.path);
  const lab = await linked(store);
  lab.call.connected();
  await lab.peers.close();
  assert.deepEqual(await readdir(folder.path), []);
});

test("a Gateway that is deleted takes what was kept with it, also while nobody was here to see", async () => {
  await using folder = await folderOf({});
  await using store = storeIn(folder.path);
  await stopped(store, "payments");
  const lab = await linked(store);
  lab.unlink();
  await lab.pass(0);
  await lab.pass(0);
  await store.settled();
  assert.deepEqual(await readdir(folder.path), []);
  await stopped(store, "payments");
  const without = new LinkLab({ store });
  without.graph.flush();
  await without.peers.start();
  await without.peers.close();
  assert.deepEqual(await readdir(folder.path), []);
});

for (const [what, damage] of [
  ["was changed", (text: string) => text.replace("payments", "payrolls")],
  ["is torn", (text: string) => text.slice(0, text.length >> 1)],
  ["is another peer's", (text: string) => text.replace('"west"', '"north"')],
  ["is of a later format", (text: string) => text.replace('"format":1', '"format":2')],
] as const)
  test(`a file that ${what} is put aside, and nothing of it is served`, async () => {
    await using folder = await folderOf({});
    const host = new TestHost();
    await using store = storeIn(folder.path, host);
    await stopped(store, "payments");
    await writeFile(folder.at("west.json"), damage(await readFile(folder.at("west.json"), "utf8")));
    const lab = await linked(store);
    assert.deepEqual([lab.services, lab.status.state], [[], "connecting"]);
    assert.deepEqual(await readdir(folder.path), ["west.json.damaged"]);
    assert.ok(host.lines.some((line) => line.startsWith("warn peering: peer west: what it last said cannot be read")));
  });

test("a folder that cannot be written costs one warning, and nothing else", async () => {
  await using folder = await folderOf({ peers: "a file, where the folder should be" });
  const host = new TestHost();
  const store = new SnapshotStore(host, folder.at("peers"));
  const snapshot = { heardAt: 0, records: {} };
  await store.save(WEST, snapshot);
  await store.save(WEST, snapshot);
  assert.equal(host.lines.length, 1);
  assert.match(host.lines[0]!, /its state cannot be saved/);
});

test("while a peer is live, what it said is saved now and then, so that a crash costs little", async () => {
  await using folder = await folderOf({});
  await using store = storeIn(folder.path);
  const lab = await linked(store);
  lab.call.connected();
  lab.call.sayAll([serviceOf("payments")]);
  await lab.pass(5_000);
  await store.settled();
  assert.match(await readFile(folder.at("west.json"), "utf8"), /payments/);
});

test("a crash does not use up a grace that is short: when a peer was last heard is saved within a quarter of it", async () => {
  await using folder = await folderOf({});
  await using store = storeIn(folder.path);
  const lab = await linked(store, { stale: { graceMs: 60_000, policy: "remove" } });
  lab.call.connected();
  lab.call.sayAll([serviceOf("payments")]);
  await lab.pass(200_000);
  await store.settled();
  const [, heardAt] = /"heardAt":([0-9]+)/.exec(await readFile(folder.at("west.json"), "utf8"))!;
  assert.ok(lab.host.clock.now() - Number(heardAt) <= 20_000);
});

test("readiness waits for a peer that answers, for thirty seconds at most, and for none that does not", async () => {
  const silent = await LinkLab.linked();
  assert.match(silent.peers.whySettling() ?? "", /peer west has not said all of its state yet/);
  await silent.pass(800);
  assert.equal(silent.peers.whySettling(), undefined);
  const slow = await LinkLab.linked();
  slow.call.connected();
  await slow.pass(29_000);
  assert.match(slow.peers.whySettling() ?? "", /peer west/);
  await slow.pass(1_000);
  assert.equal(slow.peers.whySettling(), undefined);
  const live = await LinkLab.live([]);
  assert.equal(live.peers.whySettling(), undefined);
  live.call.ended();
  assert.equal(live.peers.whySettling(), undefined, "once ready, a peer that leaves changes nothing");
});

test("who is away is not saved again and again, but when it left is", async () => {
  await using folder = await folderOf({});
  await using store = storeIn(folder.path);
  let saves = 0;
  const save = store.save.bind(store);
  store.save = (...what) => ((saves += 1), save(...what));
  const lab = await linked(store);
  lab.call.connected();
  lab.call.sayAll([serviceOf("payments")]);
  await lab.pass(60_000);
  const before = saves;
  const leftAt = lab.host.clock.now();
  lab.call.ended();
  await lab.pass(600_000);
  assert.equal(saves, before + 1);
  await store.settled();
  assert.match(await readFile(folder.at("west.json"), "utf8"), new RegExp(`"heardAt":${leftAt}`));
});
