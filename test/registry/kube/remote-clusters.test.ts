import assert from "node:assert/strict";
import { test } from "mocha";
import { RemoteLab, secret, settled } from "./remote-lab.ts";

/** A lab whose first list held these secrets. */
async function listed(...secrets: readonly ReturnType<typeof secret>[]): Promise<RemoteLab> {
  const lab = new RemoteLab();
  for (const one of secrets) lab.secrets.set(one);
  lab.secrets.listed();
  await lab.pass(1000);
  return lab;
}

test("each key of a remote secret is a cluster, and the log says so in the words that guides look for", async () => {
  const lab = await listed(secret("both", { west: "good 1", north: "good 2" }));
  assert.deepEqual(Object.fromEntries(lab.holds), { west: "good 1", north: "good 2" });
  assert.deepEqual(lab.states(), { north: "synced", west: "synced" });
  assert.equal(lab.lines(/Add cluster cluster=west source=istio-system\/both/).length, 1);
  assert.equal(lab.lines(/Created mesh watcher for remote cluster "west"/).length, 1);
  assert.match(lab.lines(/Number of remote clusters/).at(-1)!, /Number of remote clusters: 2$/);
  assert.equal(lab.host.metric("istiod_managed_clusters{cluster_type=remote}"), 2);
  assert.equal(lab.host.metric("istiod_remote_cluster_sync_status{cluster=west,cluster_type=remote,status=synced}"), 1);
});

test("only labelled secrets of the system namespace count", async () => {
  const lab = await listed(
    secret("elsewhere", { west: "good" }, { namespace: "shop" }),
    secret("unlabelled", { north: "good" }, { labels: {} }),
  );
  assert.deepEqual(lab.remote.clusters(), []);
  lab.secrets.set(secret("one", { west: "good" }));
  await lab.pass(1000);
  assert.deepEqual(lab.states(), { west: "synced" });
  lab.secrets.set(secret("one", { west: "good" }, { labels: { "istio/multiCluster": "false" } }));
  await lab.pass(2000);
  assert.deepEqual(lab.states(), {});
});

test("our own cluster is passed over with an info line", async () => {
  const lab = await listed(secret("self", { east: "good", west: "good" }));
  assert.deepEqual(lab.states(), { west: "synced" });
  assert.equal(lab.lines(/^info remote: data\[east\] names our own cluster east/).length, 1);
  assert.equal(lab.remote.problems()[0]!.severity, "info");
});

test("of two secrets with one cluster the older keeps it, and the other takes over without a gap when that goes", async () => {
  const lab = await listed(
    secret("a-later", { west: "good later" }, { creationTimestamp: "2026-02-01T00:00:00Z" }),
    secret("z-first", { west: "good first" }, { creationTimestamp: "2026-01-01T00:00:00Z" }),
  );
  assert.equal(lab.holds.get("west"), "good first");
  assert.match(
    lab.problems().join(),
    /Secret istio-system\/a-later data\[west\]: .*already registered from istio-system\/z-first/,
  );
  assert.equal(lab.lines(/^warn remote: .*already registered/).length, 1);
  lab.secrets.delete(secret("z-first", {}));
  await lab.pass(3000);
  assert.equal(lab.holds.get("west"), "good later");
  assert.deepEqual(lab.left, []);
  assert.deepEqual(lab.problems(), []);
});

test("a secret that changes nothing of a kubeconfig opens nothing", async () => {
  const lab = await listed(secret("one", { west: "good" }));
  lab.secrets.set(secret("one", { west: "good" }, { resourceVersion: "2" }));
  lab.secrets.set(secret("one", { west: "good", north: "good" }));
  await lab.pass(1000);
  assert.equal(lab.feeds, 2);
  assert.equal(lab.lines(/Update cluster/).length, 0);
});

test("new credentials join before the old ones are let go", async () => {
  const lab = await listed(secret("one", { west: "good old" }));
  const old = lab.feed("west");
  lab.secrets.set(secret("one", { west: "good new" }));
  await settled();
  assert.equal(lab.lines(/Update cluster cluster=west source=istio-system\/one/).length, 1);
  assert.equal(old.state, "synced");
  assert.equal(lab.holds.get("west"), "good old");
  assert.equal(lab.remote.clusters()[0]!.state, "synced");
  assert.match(lab.remote.clusters()[0]!.reason, /the kubeconfig before is in use until the newest has synced/);
  await lab.pass(300);
  assert.equal(lab.holds.get("west"), "good new");
  assert.equal(old.state, "closed");
  assert.equal(lab.remote.clusters()[0]!.reason, "");
  assert.deepEqual(lab.left, []);
});

test("credentials that come back while others sync are still in use", async () => {
  const lab = await listed(secret("one", { west: "good a" }));
  lab.secrets.set(secret("one", { west: "dead" }));
  await lab.pass(500);
  lab.secrets.set(secret("one", { west: "good a" }));
  await lab.pass(500);
  assert.equal(lab.feeds, 2);
  assert.equal(lab.open.size, 1);
  assert.equal(lab.holds.get("west"), "good a");
  assert.equal(lab.remote.clusters()[0]!.reason, "");
});

test("a broken kubeconfig is refused by name, leaves the good cluster alone and is not tried again", async () => {
  const lab = await listed(secret("one", { west: "good" }));
  lab.secrets.set(secret("one", { west: "exec: rm" }));
  await lab.pass(5000);
  assert.deepEqual(lab.states(), { west: "synced" });
  assert.equal(lab.feeds, 1);
  assert.deepEqual(
    lab.remote.problems().map(({ object, field, severity }) => ({ object, field, severity })),
    [{ object: "Secret istio-system/one", field: "data[west].users[0].user.exec", severity: "error" }],
  );
  assert.match(lab.problems()[0]!, /exec is not allowed.*the kubeconfig before stays in use/);
  lab.secrets.set(secret("one", { west: "good" }));
  assert.deepEqual(lab.problems(), []);
  assert.equal(lab.feeds, 1);
});

for (const [what, data, says] of [
  ["empty", "", /is empty/],
  ["not base64", "%%%", /is not base64/],
  ["no text", Buffer.from([0xff, 0xfe, 0]).toString("base64"), /is not UTF-8/],
  ["too large", "A".repeat(400_000), /is larger than 256 KiB/],
  ["no text at all", 7, /is empty/],
] as const)
  test(`a kubeconfig that is ${what} is refused, and the good cluster stays`, async () => {
    const lab = await listed(secret("one", { west: "good" }));
    lab.secrets.set({ ...secret("one", {}), data: { west: data } });
    await lab.pass(5000);
    assert.match(lab.problems().join(), says);
    assert.deepEqual(lab.states(), { west: "synced" });
  });

test("a cluster must have a name that can be one", async () => {
  const lab = await listed(secret("one", { "-west": "good", __proto__x: "good" }), secret("two", { west: "exec" }));
  assert.deepEqual(lab.remote.clusters(), []);
  assert.equal(lab.problems().filter((text) => /is no name of a cluster/.test(text)).length, 2);
  assert.deepEqual([...lab.remote.named()], ["west"]);
});

test("a key that goes takes its cluster with it, once, within two seconds, and no other", async () => {
  const lab = await listed(secret("both", { west: "good 1", north: "good 1" }));
  lab.secrets.set(secret("both", { north: "good 1" }));
  await lab.pass(1900);
  assert.deepEqual(lab.left, ["west"]);
  assert.deepEqual(lab.states(), { north: "synced" });
  assert.equal(lab.lines(/^info remote: Deleting cluster_id=west/).length, 1);
  assert.match(lab.lines(/Number of remote clusters/).at(-1)!, /: 1$/);
  assert.deepEqual(
    lab.host.series.filter((series) => series.includes("cluster=west")),
    [],
  );
  assert.equal(lab.open.size, 1);
});

test("a secret that is deleted and made anew drops nothing", async () => {
  const lab = await listed(secret("one", { west: "good old" }));
  lab.secrets.delete(secret("one", {}));
  await lab.pass(500);
  lab.secrets.set(secret("one", { west: "good new" }));
  await lab.pass(5000);
  assert.deepEqual(lab.left, []);
  assert.equal(lab.holds.get("west"), "good new");
});

test("a cluster that comes back while its connection closes waits for that", async () => {
  const lab = await listed(secret("one", { west: "good old" }));
  lab.closing = () => new Promise((resolve) => void lab.host.clock.after(3000, resolve));
  lab.secrets.delete(secret("one", {}));
  await lab.pass(1500);
  assert.deepEqual(lab.states(), { west: "closed" });
  lab.secrets.set(secret("one", { west: "good new" }));
  await lab.pass(1000);
  assert.equal(lab.feeds, 1);
  await lab.pass(3000);
  assert.equal(lab.holds.get("west"), "good new");
  assert.equal(lab.openMax, 1);
});

test("a dead cluster keeps nobody from being ready for longer than the timeout, and joins when it answers", async () => {
  const lab = new RemoteLab();
  assert.match(lab.remote.whySettling()!, /not listed/);
  lab.secrets.set(secret("one", { west: "dead", north: "good" }));
  lab.secrets.listed();
  await lab.pass(29_900);
  assert.match(lab.remote.whySettling()!, /have not synced yet: west$/);
  await lab.pass(200);
  assert.equal(lab.remote.whySettling(), undefined);
  assert.deepEqual(lab.states(), { north: "synced", west: "timeout" });
  assert.match(lab.remote.clusters()[1]!.reason, /dead:6443 refuses/);
  assert.equal(lab.host.metric("remote_cluster_sync_timeouts_total{cluster=west}"), 1);
  assert.equal(lab.lines(/failed to sync after 30s.*cluster=west/).length, 1);
  lab.feed("west").sync();
  assert.deepEqual(lab.states(), { north: "synced", west: "synced" });
  lab.secrets.set(secret("one", { north: "good" }));
  await lab.pass(2000);
  assert.deepEqual(
    lab.host.series.filter((series) => series.includes("cluster=west")),
    [],
  );
});

test("with a timeout of 0 a dead cluster is waited for as long as it takes", async () => {
  const lab = new RemoteLab({ syncTimeoutMs: 0 });
  lab.secrets.set(secret("one", { west: "dead" }));
  lab.secrets.listed();
  await lab.pass(600_000);
  assert.match(lab.remote.whySettling()!, /west/);
  assert.deepEqual(lab.states(), { west: "syncing" });
  assert.equal(lab.host.clock.pending, 0);
});

test("a cluster of which the last known state is served is not waited for, and says how old that is", async () => {
  const lab = new RemoteLab({ lastKnownAt: () => 1_700_000_000_000 - 60_000 });
  lab.secrets.set(secret("one", { west: "dead" }));
  lab.secrets.listed();
  await lab.pass(1000);
  assert.equal(lab.remote.whySettling(), undefined);
  assert.equal(lab.remote.clusters()[0]!.staleMs, 61_000);
});

test("a cluster that is added later does not take us out of service", async () => {
  const lab = await listed();
  assert.equal(lab.remote.whySettling(), undefined);
  lab.secrets.set(secret("one", { west: "dead" }));
  await lab.pass(1000);
  assert.deepEqual(lab.states(), { west: "syncing" });
  assert.equal(lab.remote.whySettling(), undefined);
});

test("secrets that cannot be listed keep nobody from being ready for longer than the timeout", async () => {
  const lab = new RemoteLab();
  await lab.pass(30_100);
  assert.equal(lab.remote.whySettling(), undefined);
});

test("a joined cluster that falls silent shows how old it is", async () => {
  const lab = await listed(secret("one", { west: "good" }));
  assert.equal(lab.remote.clusters()[0]!.staleMs, undefined);
  lab.feed("west").trouble = "https://west:6443 does not answer";
  await lab.pass(10_000);
  assert.ok(lab.remote.clusters()[0]!.staleMs! >= 10_000);
  assert.match(lab.remote.clusters()[0]!.reason, /does not answer/);
});

test("no more clusters are read than the bound, and one that leaves makes room", async () => {
  const lab = new RemoteLab({ clustersMax: 2 });
  lab.secrets.set(secret("a", { one: "good" }));
  lab.secrets.set(secret("b", { two: "good" }));
  lab.secrets.set(secret("c", { three: "good" }));
  lab.secrets.listed();
  await lab.pass(1000);
  assert.deepEqual(lab.states(), { one: "synced", two: "synced" });
  assert.match(lab.problems().join(), /Secret istio-system\/c data\[three\]: .*but 2 remote clusters are read already/);
  lab.secrets.delete(secret("a", {}));
  await lab.pass(3000);
  assert.deepEqual(lab.states(), { three: "synced", two: "synced" });
  assert.deepEqual(lab.problems(), []);
});

test("observers hear when a cluster comes, syncs and goes", async () => {
  const lab = await listed();
  const seen: string[] = [];
  const observing = lab.remote.observe(() => {
    const now = JSON.stringify(lab.states());
    if (seen.at(-1) !== now) seen.push(now);
  });
  lab.secrets.set(secret("one", { west: "good" }));
  await lab.pass(1000);
  lab.secrets.delete(secret("one", {}));
  await lab.pass(2000);
  assert.deepEqual(seen, ['{"west":"syncing"}', '{"west":"synced"}', '{"west":"closed"}', "{}"]);
  observing[Symbol.dispose]();
});

test("stopping closes every connection and takes nothing away", async () => {
  const lab = await listed(secret("one", { west: "good", north: "dead" }));
  lab.secrets.set(secret("one", { west: "good new 5000", north: "dead" }));
  await lab.remote.stop();
  assert.equal(lab.open.size, 0);
  assert.deepEqual(lab.left, []);
  assert.equal(lab.host.clock.pending, 0);
});
