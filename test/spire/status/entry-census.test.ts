import assert from "node:assert/strict";
import { test } from "mocha";
import { MeshError } from "../../../src/errors.ts";
import type { Claimed } from "../../../src/spire/status/census.ts";
import { EntryCensus } from "../../../src/spire/status/entry-census.ts";
import { FakeSpireServer } from "../../kits/fake-spire-server.ts";
import { TestHost } from "../../kits/test-host.ts";
import { agentOn, bearerOf, CART, entryFor, podNamed, SERVER, trustDomain } from "../lab.ts";

const cluster = "prod-east";
const cart = (...names: readonly [string, ...string[]]): Claimed => {
  const [first, ...more] = names.map((name) => podNamed(name));
  return { identity: CART, bearer: bearerOf(first!, ...more), cluster };
};

interface Lab {
  readonly host: TestHost;
  readonly server: FakeSpireServer;
  readonly census: EntryCensus;
  changes: number;
}

function labOf(claimed: () => readonly Claimed[]): Lab {
  const [host, server] = [new TestHost(), new FakeSpireServer(trustDomain)];
  server.agentList.push(agentOn("n1"));
  const onChange = () => void (lab.changes += 1);
  const census = new EntryCensus(host, { server, trustDomain, cluster, claimed, onChange });
  const lab: Lab = { host, server, census, changes: 0 };
  census.start();
  return lab;
}

/** Lets time pass, and what is under way end. */
async function pass({ host }: Lab, ms: number): Promise<void> {
  host.clock.advance(ms);
  for (let turn = 0; turn < 200; turn += 1) {
    await Promise.resolve();
    if (turn % 20 === 19) host.clock.advance(0);
  }
}

test("a census counts entries, agents, nodes and pods, and finds nobody without an entry if all have one", async () => {
  const lab = labOf(() => [cart("cart-0", "cart-1")]);
  lab.server.put(entryFor());
  lab.server.put(entryFor({ id: "other", spiffeId: "spiffe://cluster.local/ns/bank/sa/ledger" }));
  assert.equal(lab.census.census.at, undefined);
  await pass(lab, 2_000);
  const { at, ...counts } = lab.census.census;
  assert.ok(at! > lab.host.clock.now() - 1_000 && at! <= lab.host.clock.now());
  assert.deepEqual(counts, {
    ...{ entries: 2, agents: 1, nodes: 1, bareNodes: [], pods: 2, identities: 1, uncovered: 0, shown: [] },
    trouble: undefined,
  });
  assert.deepEqual([lab.changes, lab.host.metric("spire_entries")], [1, 2]);
});

test("an entry that goes is found out within a minute, long before its certificate ends, and one that comes too", async () => {
  const lab = labOf(() => [cart("cart-0")]);
  lab.server.put(entryFor());
  await pass(lab, 2_000);
  lab.server.remove("cart-n1");
  await pass(lab, 60_000);
  const { uncovered, shown } = lab.census.census;
  assert.deepEqual([uncovered, shown[0]?.spiffeId, shown[0]?.node], [1, CART, "n1"]);
  assert.match(shown[0]!.why, /no registration entry for .*cart, which pod shop\/cart-0 on node n1 needs/);
  assert.equal(lab.host.metric("spire_identities_without_entry"), 1);
  lab.server.put(entryFor());
  await pass(lab, 60_000);
  assert.equal(lab.host.metric("spire_identities_without_entry"), 0);
});

test("entries under an alias of the node's agent count; a node whose agent is banned is without one", async () => {
  const lab = labOf(() => [cart("cart-0")]);
  const alias = "spiffe://cluster.local/nodes";
  lab.server.put(
    entryFor({ id: "alias", spiffeId: alias, parentId: SERVER, selectors: [`k8s_psat:cluster:${cluster}`] }),
  );
  lab.server.put(entryFor({ parentId: alias }));
  await pass(lab, 2_000);
  assert.deepEqual([lab.census.census.uncovered, lab.census.census.bareNodes], [0, []]);
  lab.server.agentList[0] = agentOn("n1", { banned: true });
  await pass(lab, 60_000);
  const { uncovered, bareNodes, agents } = lab.census.census;
  assert.deepEqual([uncovered, bareNodes, agents], [1, ["n1"], 0]);
});

test("a list that breaks off counts for nothing: what was counted before stands, with why it is not newer", async () => {
  const lab = labOf(() => [cart("cart-0")]);
  for (let count = 0; count < 3; count += 1)
    lab.server.put(entryFor({ id: `cart-${count}`, hint: `${count}`, selectors: ["k8s:ns:shop", `k8s:sa:${count}`] }));
  lab.server.put(entryFor({ id: "last" }));
  lab.server.pageSize = 1;
  await pass(lab, 2_000);
  assert.deepEqual([lab.census.census.entries, lab.census.census.uncovered], [4, 0]);
  let pages = 0;
  lab.server.before = (call) =>
    call === "list" && ++pages > 2 ? Promise.reject(new MeshError("unavailable", "it is away")) : Promise.resolve();
  await pass(lab, 60_000);
  const { entries, uncovered, trouble } = lab.census.census;
  assert.deepEqual([entries, uncovered, trouble], [4, 0, "it is away"]);
});

test("of many identities without an entry a hundred are shown, and all are counted", async () => {
  const many = Array.from({ length: 450 }, (_, at) => ({ ...cart("cart-0"), identity: `${CART}-${at}` }));
  const lab = labOf(() => many);
  await pass(lab, 2_000);
  const { uncovered, identities, shown } = lab.census.census;
  assert.deepEqual([uncovered, identities, shown.length], [450, 450, 100]);
});

test("while something is missing SPIRE is asked sooner, but not by much if it needs long", async () => {
  const lab = labOf(() => [cart("cart-0")]);
  await pass(lab, 2_000);
  const asked = () => lab.server.calls.filter((call) => call === "agents").length;
  assert.deepEqual([lab.census.census.uncovered, asked()], [1, 1]);
  await pass(lab, 10_000);
  assert.equal(asked(), 2);
  lab.server.before = (call) =>
    call === "agents" ? (lab.host.clock.advance(2_000), Promise.resolve()) : Promise.resolve();
  await pass(lab, 10_000);
  await pass(lab, 10_000);
  assert.equal(asked(), 3, "it took 2 s");
  await pass(lab, 30_000);
  assert.equal(asked(), 4);
});

test("a census that was closed says nothing more, not even what was under way", async () => {
  const lab = labOf(() => [cart("cart-0")]);
  let answer = () => {};
  lab.server.before = () => new Promise((resolve) => (answer = resolve));
  await pass(lab, 2_000);
  lab.census.close();
  lab.server.before = () => Promise.resolve();
  answer();
  await pass(lab, 300_000);
  assert.deepEqual([lab.changes, lab.server.calls], [0, ["agents", "list"]]);
});
