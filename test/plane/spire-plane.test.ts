import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { DeltaClient } from "../../src/xds/delta-client.ts";
import { dialXds } from "../../src/xds/dial.ts";
import { ADDRESS_TYPE } from "../../src/xds/resource.ts";
import { until } from "../kits/until.ts";
import { entriesFor, hex, inPem, REVIEWS, SpireLab, trustDomain } from "./spire-lab.ts";

let lab: SpireLab;
beforeEach(() => (lab = new SpireLab()));
afterEach(() => lab.close());

const spireRoots = (): readonly string[] => hex(lab.spire.trust.own.roots);

/** Reads the mesh as a ztunnel does. */
async function readsMesh(): Promise<number> {
  const id = "agent~127.0.0.1~test.istio-system~istio-system.svc.cluster.local";
  const client = new DeltaClient({ id, metadata: new Map([["NAMESPACE", "istio-system"]]) }, [ADDRESS_TYPE]);
  const done = new AbortController();
  const token = await lab.ztunnelToken();
  const target = { address: `127.0.0.1:${lab.plane.ports.xds}`, roots: lab.roots, token, clusterId: "east" };
  await dialXds({ target, client, onUpdate: () => setImmediate(() => done.abort()), signal: done.signal });
  return client.held(ADDRESS_TYPE).size;
}

test("a ztunnel gets identities that SPIRE signed, with SPIRE's roots and not those of our own authority", async () => {
  await lab.startSpire();
  lab.spire.entries.put(...entriesFor(REVIEWS));
  await lab.startPlane();
  const { spiffeId, roots, notAfter } = await lab.ask();
  assert.equal(spiffeId, REVIEWS);
  assert.deepEqual(hex(roots), spireRoots());
  assert.ok(notAfter - Date.now() <= 86_400_000, "SPIRE's own authority bounds it");
  const [own, ...spires] = inPem(lab.published.at(-1)!);
  assert.deepEqual([own === undefined, spires], [false, spireRoots()]);
  assert.equal(lab.roots, lab.published.at(-1));
  assert.deepEqual([lab.ready(), lab.problems()], ["", ""]);
  assert.equal(lab.plane.signer()!.kind, "SPIRE");
});

test("an entry that is removed ends the identity, and one that is put back restores it, without a restart", async () => {
  await lab.startSpire();
  lab.spire.entries.put(...entriesFor(REVIEWS));
  await lab.startPlane();
  await lab.ask();
  lab.spire.entries.remove(...entriesFor(REVIEWS).map(({ id }) => id!));
  lab.passSeconds(60);
  await assert.rejects(lab.ask(), /reviews/);
  await until(() =>
    /identity spiffe:\/\/shop.test\/ns\/bookshop\/sa\/reviews: It gets no certificate/.test(lab.problems()),
  );
  assert.equal(lab.host.metric("workload_identities_unsigned"), 1);
  assert.equal(lab.ready(), "");
  lab.spire.entries.put(...entriesFor(REVIEWS));
  lab.passSeconds(60);
  assert.equal((await lab.ask()).spiffeId, REVIEWS);
  await until(() => lab.problems() === "");
  assert.equal(lab.host.metric("workload_identities_unsigned"), 0);
});

test("while SPIRE is away discovery serves on, certificates wait, and nobody else signs; all of it ends when it is back", async () => {
  await lab.startSpire();
  lab.spire.entries.put(...entriesFor(REVIEWS));
  await lab.startPlane();
  await lab.ask();
  await lab.spire.stop();
  lab.passSeconds(60);
  await assert.rejects(lab.ask(), { code: "unavailable" });
  assert.ok((await readsMesh()) > 0);
  await until(() => /^SPIRE's server: .*Until it answers no workload gets a certificate/m.test(lab.problems()));
  assert.equal(lab.ready(), "");
  assert.deepEqual(inPem(lab.published.at(-1)!).slice(1), spireRoots(), "what was known stays");
  await lab.spire.resume();
  assert.equal((await lab.askAgain()).spiffeId, REVIEWS);
  await until(() => lab.problems() === "");
});

test("workloads know SPIRE's next root before anything under it, also if it signs at once", async () => {
  await lab.startSpire();
  lab.spire.entries.put(...entriesFor(REVIEWS));
  await lab.startPlane();
  const before = spireRoots();
  for (const _ of [1, 2, 3]) {
    await lab.spire.rotate();
    const { roots } = await lab.ask();
    assert.deepEqual(hex(roots), spireRoots());
    assert.deepEqual(inPem(lab.published.at(-1)!).slice(1), spireRoots());
  }
  assert.equal(spireRoots().length, before.length + 3);
  lab.spire.trust.dropOld();
  await until(() => inPem(lab.published.at(-1)!).length === 2);
  assert.deepEqual(hex((await lab.ask()).roots), spireRoots());
  await until(() => inPem(lab.roots).length === 2);
});

test("trust domains that SPIRE is federated with come to workloads and proxies, each apart, and go", async () => {
  await lab.startSpire();
  const west = new SpireLab();
  const { trust } = await west.startSpire({ trustDomain: "west.test" });
  lab.spire.trust.federate("west.test", trust.own.roots);
  lab.spire.entries.put(...entriesFor(REVIEWS));
  await lab.startPlane();
  await until(() => lab.plane.trust.rootsOf("west.test").length > 0);
  assert.deepEqual(hex(lab.plane.trust.rootsOf("west.test")), hex(trust.own.roots));
  assert.deepEqual(hex((await lab.ask()).roots), [...spireRoots(), ...hex(trust.own.roots)]);
  assert.deepEqual(inPem(lab.published.at(-1)!).slice(1), spireRoots(), "nobody of west.test may prove to be us");
  lab.spire.trust.federate("west.test", []);
  await until(() => lab.plane.trust.rootsOf("west.test").length === 0);
  assert.deepEqual(hex((await lab.ask()).roots), spireRoots());
  await west.close();
});

test("a control plane that starts while SPIRE is down goes on with the bundles that it remembers", async () => {
  await lab.startSpire();
  await lab.startPlane();
  const known = spireRoots();
  const file = join(lab.folder, "state", "spire-bundles.json");
  await lab.plane.close();
  assert.ok(existsSync(file));
  await lab.spire.stop();
  lab.published.length = 0;
  await lab.startPlane();
  assert.deepEqual(inPem(lab.published[0]!).slice(1), known);
  assert.deepEqual(new Set(hex(lab.plane.trust.rootsOf(trustDomain))), new Set(inPem(lab.roots)));
  await assert.rejects(lab.ask(), { code: "unavailable" });
});

test("one that remembers none publishes no roots before it knows SPIRE's, and serves discovery meanwhile", async () => {
  await lab.startPlane();
  assert.deepEqual(lab.published, [""]);
  assert.equal(lab.ready(), "");
  assert.ok((await readsMesh()) > 0);
  assert.match(lab.problems(), /SPIRE's roots: SPIRE's bundle of trust domain shop.test is not known yet/);
  await assert.rejects(lab.ask(), { code: "unavailable" });
  await lab.startSpire();
  lab.spire.entries.put(...entriesFor(REVIEWS));
  await until(() => lab.published.length > 1);
  assert.deepEqual(inPem(lab.published[1]!).slice(1), spireRoots());
  assert.equal((await lab.askAgain()).spiffeId, REVIEWS);
  await until(() => lab.problems() === "");
});

test("SPIRE of another trust domain is believed by nobody, and the problem says what to set", async () => {
  await lab.startSpire({ trustDomain: "other.test" });
  await lab.startPlane();
  assert.match(lab.problems(), /SPIRE is of trust domain other.test, and this mesh of shop.test.*--trust-domain/);
  assert.deepEqual(lab.published, [""]);
  await assert.rejects(lab.ask(), { code: "unavailable" });
  assert.deepEqual(hex(lab.plane.trust.rootsOf("other.test")), []);
  assert.ok((await readsMesh()) > 0);
});

test("a bundle of SPIRE's that is empty or has ended takes no root away", async () => {
  await lab.startSpire();
  lab.spire.entries.put(...entriesFor(REVIEWS));
  await lab.startPlane();
  const known = inPem(lab.published.at(-1)!);
  for (const [bundle, why] of [
    ["empty", /is empty, and would end the trust in every workload/],
    ["expired", /has no root that is still valid/],
  ] as const) {
    lab.spire.faults = { bundle };
    await until(() => why.test(lab.problems()));
    assert.deepEqual(inPem(lab.published.at(-1)!), known);
    assert.equal((await lab.ask()).spiffeId, REVIEWS);
  }
  lab.spire.faults = {};
  await until(() => lab.problems() === "");
});
