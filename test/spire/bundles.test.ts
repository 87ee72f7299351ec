import assert from "node:assert/strict";
import { before, test } from "mocha";
import { readBundles, writeBundles } from "../../src/spire/remembered-bundles.ts";
import { type SaidBundle, SpireBundles } from "../../src/spire/bundles.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";

const DAY_MS = 86_400_000;
const start = new TestHost().clock.now();
const trustDomain = "mesh.test";
let [first, second, third, ended, leaf]: Uint8Array[] = [];
before(async () => {
  const make = async (name: string, lifeMs = DAY_MS) => {
    const shape = { name, notBeforeMs: start - DAY_MS, notAfterMs: start + lifeMs };
    return derOf((await TestAuthority.create(shape)).root);
  };
  [first, second, third] = [await make("CN=one"), await make("CN=two"), await make("CN=three", 9 * DAY_MS)];
  ended = await make("CN=ended", -1000);
  leaf = derOf((await TestAuthority.create({ name: "CN=leaf", ca: false })).root);
});

const ours = (sequence: bigint, ...authorities: readonly Uint8Array[]): SaidBundle => ({
  ...{ trustDomain, authorities, sequence },
});
const theirs = (name: string, ...authorities: readonly Uint8Array[]): SaidBundle => ({
  ...{ trustDomain: name, authorities },
});

function lab() {
  const host = new TestHost();
  const counts = { changes: 0 };
  const bundles = new SpireBundles(host, { trustDomain, onChange: () => (counts.changes += 1), onFaults: () => {} });
  const faults = (): string => bundles.faults.map(({ severity, message }) => `${severity} ${message}`).join("\n");
  return { host, counts, bundles, faults };
}

test("SPIRE's roots are known by trust domain, its own and those that it is federated with, each apart", () => {
  const { bundles, counts, host, faults } = lab();
  assert.equal(bundles.own, undefined);
  bundles.sayOwn(ours(1n, first!, second!, first!));
  bundles.sayFederated([theirs("west.test", third!)]);
  assert.deepEqual(bundles.roots, [first, second]);
  assert.deepEqual(bundles.bundles.get("west.test")?.roots, [third]);
  assert.deepEqual(bundles.held.federated, [{ trustDomain: "west.test", roots: [third] }]);
  assert.equal(host.metric("spire_bundle_roots{trust_domain=mesh.test}"), 2);
  assert.deepEqual([counts.changes, faults()], [2, ""]);
  bundles.sayOwn(ours(1n, first!, second!));
  assert.equal(counts.changes, 2, "what is the same is no change");
});

test("what cannot be used takes nothing away, and says why, once in the log", () => {
  const { bundles, counts, host, faults } = lab();
  bundles.sayOwn(ours(1n, first!));
  for (const [said, why] of [
    [theirs("other.test", second!), /SPIRE is of trust domain other.test, and this mesh of mesh.test/],
    [ours(2n), /is empty, and would end the trust in every workload/],
    [ours(2n, second!, Buffer.from("nonsense")), /authority 2 of 2 cannot be read/],
    [ours(2n, leaf!), /authority 1 of 1 may not sign certificates/],
    [ours(2n, ended!), /has no root that is still valid, "CN=ended" ended at/],
    [ours(2n, ...Array.from({ length: 65 }, () => second!)), /it has 65 authorities; 64 is the most/],
  ] as const) {
    bundles.sayOwn(said);
    bundles.sayOwn(said);
    assert.deepEqual(bundles.roots, [first], String(why));
    assert.match(faults(), why);
    assert.match(faults(), /^error .*What was known before still counts/);
    assert.equal(host.lines.filter((line) => line.startsWith("error spire: ") && why.test(line)).length, 1);
  }
  assert.equal(host.metric("spire_bundles_refused_total"), 6);
  bundles.sayOwn(ours(2n, first!, second!));
  assert.deepEqual([bundles.roots, faults()], [[first, second], ""]);
  assert.equal(counts.changes, 2);
});

test("a trust domain leaves the federation by absence, or without authorities, and not by a bundle that cannot be read", () => {
  const { bundles, faults } = lab();
  const names = () => bundles.held.federated.map(({ trustDomain: name }) => name);
  bundles.sayOwn(ours(1n, first!));
  bundles.sayFederated([theirs("a.test", second!), theirs("b.test", third!), theirs("c.test", third!)]);
  bundles.sayFederated([theirs("a.test", leaf!), theirs("b.test"), theirs("Not A Name", third!)]);
  assert.deepEqual(names(), ["a.test"]);
  assert.deepEqual(bundles.bundles.get("a.test")?.roots, [second]);
  assert.match(faults(), /trust domain a.test, which it is federated with, cannot be used: authority 1 of 1 may not/);
  assert.match(faults(), /federated with "Not A Name"/);
  bundles.sayOwn(ours(2n, first!));
  assert.match(faults(), /a\.test/, "our own bundle says nothing of others");
  bundles.sayFederated([]);
  assert.deepEqual([names(), faults(), bundles.roots], [[], "", [first]]);
});

test("our own trust domain is nobody's to federate", () => {
  const { bundles } = lab();
  bundles.sayOwn(ours(1n, first!));
  bundles.sayFederated([theirs(trustDomain, second!)]);
  assert.deepEqual(bundles.roots, [first]);
});

test("roots that SPIRE drops are dropped, unless its server says an older bundle than before", async () => {
  const { bundles, faults, host } = lab();
  bundles.sayOwn(ours(6n, first!, second!));
  bundles.sayOwn(ours(7n, second!));
  assert.deepEqual(bundles.roots, [second]);
  bundles.sayOwn(ours(1n, third!));
  assert.deepEqual(bundles.roots, [third, second]);
  assert.match(faults(), /^warning SPIRE's server says an older bundle than before/);
  bundles.sayOwn(ours(2n, third!));
  assert.deepEqual(bundles.roots, [third, second], "it is still older than what is known");
  await host.clock.pass(2 * DAY_MS);
  bundles.sayOwn(ours(2n, third!));
  assert.deepEqual([bundles.roots, faults()], [[third], ""]);
});

test("of a tainted authority operators hear, and its root stays trusted until SPIRE drops it", () => {
  const { bundles, faults, counts } = lab();
  bundles.sayOwn(ours(1n, first!, second!));
  bundles.sayOwn({ ...ours(1n, first!, second!), tainted: [first!] });
  assert.deepEqual([bundles.roots, bundles.tainted, counts.changes], [[first, second], [first], 2]);
  assert.match(faults(), /^warning SPIRE has tainted its authority "CN=one"/);
});

test("an operator hears of roots that have all ended since they were said", async () => {
  const { bundles, faults, host } = lab();
  bundles.sayOwn(ours(1n, first!));
  assert.equal(faults(), "");
  await host.clock.pass(2 * DAY_MS);
  assert.match(faults(), /No root that SPIRE named for trust domain mesh.test is still valid, so no SVID verifies/);
});

test("a trust domain that was another's before is not ours by what that other one was federated with", () => {
  const { bundles } = lab();
  bundles.sayFederated([theirs("west.test", third!)]);
  const text = writeBundles(bundles.held);
  assert.equal(readBundles(text, trustDomain).federated.length, 1);
  assert.deepEqual(readBundles(text, "west.test"), { own: undefined, federated: [] });
});

test("what is held outlives a process, for its own trust domain only", () => {
  const { bundles } = lab();
  bundles.sayOwn({ ...ours(2n ** 63n + 1n, first!, second!), tainted: [first!] });
  bundles.sayFederated([theirs("west.test", third!)]);
  const text = writeBundles(bundles.held);
  const again = lab();
  again.bundles.recall(readBundles(text, trustDomain));
  assert.deepEqual(again.bundles.held, bundles.held);
  assert.throws(() => readBundles(text, "other.test"), /it is of trust domain mesh.test, and ours is other.test/);
  for (const wrong of ["", "{}", "null", text.replace(/"authorities": \[[^\]]*\]/, '"authorities": ["AAAA"]')])
    assert.throws(() => readBundles(wrong, trustDomain), /does not hold what is remembered of SPIRE's bundles/);
});
