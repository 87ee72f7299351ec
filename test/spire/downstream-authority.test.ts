import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { before, test } from "mocha";
import type { Authority } from "../../src/ca/authority.ts";
import { MeshError } from "../../src/errors.ts";
import { DownstreamAuthority } from "../../src/spire/downstream-authority.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { DownstreamServer } from "./downstream-server.ts";

const HOUR_MS = 3_600_000;
const trustDomain = "mesh.test";
const start = new TestHost().clock.now();
const lives = { notBeforeMs: start - HOUR_MS, notAfterMs: start + 1000 * HOUR_MS };
let root: TestAuthority;
let other: TestAuthority;
before(async () => {
  root = await TestAuthority.create({ name: "CN=spire root", ...lives });
  other = await TestAuthority.create({ name: "CN=other root", ...lives });
});

function lab(roots: readonly TestAuthority[] = [root]) {
  const host = new TestHost();
  const server = new DownstreamServer(host, trustDomain, root);
  const bundles = { roots: roots.map(({ root: pem }) => derOf(pem)), tainted: [] as Uint8Array[] };
  const signing: Authority[] = [];
  const counts = { refreshes: 0 };
  let onRefresh = (): void => {};
  const downstream = new DownstreamAuthority(host, {
    ...{ trustDomain, server, bundles },
    refresh: () => {
      counts.refreshes += 1;
      onRefresh();
      return Promise.resolve();
    },
    onAuthority: (authority) => void signing.push(authority),
    onFaults: () => {},
  });
  const faults = (): string => downstream.faults.map(({ severity, message }) => `${severity} ${message}`).join("\n");
  const knowsOnRefresh = (...known: readonly TestAuthority[]): void => {
    onRefresh = () => (bundles.roots = known.map(({ root: pem }) => derOf(pem)));
  };
  return { host, server, bundles, signing, counts, downstream, faults, knowsOnRefresh };
}

test("an authority that SPIRE gives signs, until half of its life, and then another one with another key", async () => {
  const { host, server, signing, downstream, faults } = lab();
  assert.match(downstream.whyNot()!, /SPIRE has given us no authority yet/);
  await downstream.start();
  assert.deepEqual([signing.length, downstream.whyNot(), faults()], [1, undefined, ""]);
  assert.equal(signing[0]!.notAfter, start + 24 * HOUR_MS);
  assert.deepEqual(signing[0]!.roots, [derOf(root.root)]);
  assert.equal(downstream.ttlSecondsMax, (24 * 3600) / 6);
  await host.clock.pass(10 * HOUR_MS);
  assert.equal(signing.length, 1);
  await host.clock.pass(2 * HOUR_MS);
  assert.equal(signing.length, 2);
  assert.ok(!signing[0]!.privateKey.equals(signing[1]!.privateKey));
  assert.equal(host.metric("spire_downstream_ca_renewals_total{result=ok}"), 2);
  assert.deepEqual(server.asked, [86_400, 86_400]);
  downstream.close();
  await host.clock.pass(100 * HOUR_MS);
  assert.equal(signing.length, 2);
});

test("a life that SPIRE cuts short shortens what is signed, and the time to the next renewal", async () => {
  const { host, server, signing, downstream } = lab();
  server.lifeMs = HOUR_MS;
  await downstream.start();
  assert.equal(downstream.ttlSecondsMax, 600);
  await host.clock.pass(HOUR_MS / 2);
  assert.equal(signing.length, 2);
});

test("while SPIRE is away the authority signs on until it ends, and then nothing does; no restart is needed", async () => {
  const { host, server, signing, downstream, faults } = lab();
  await downstream.start();
  server.failure = new MeshError("unavailable", "SPIRE's server at unix:/s: nothing listens there: is it running?");
  await host.clock.pass(13 * HOUR_MS);
  assert.equal(downstream.whyNot(), undefined);
  assert.match(
    faults(),
    /^warning .*could not be renewed, and signs until 2023-11-15T22:13:20.000Z: SPIRE's server at/,
  );
  await host.clock.pass(12 * HOUR_MS);
  assert.match(faults(), /^error SPIRE's authority for us ended at .* is it running\?\. No workload gets/);
  const said = host.lines.filter((line) => line.includes("SPIRE gave us no authority that can be used"));
  assert.equal(said.length, 1);
  const asked = server.asked.length;
  await host.clock.pass(HOUR_MS);
  assert.ok(server.asked.length - asked <= 120 / 0.9, `${server.asked.length - asked} calls in an hour`);
  server.failure = undefined;
  await host.clock.pass(60_000);
  assert.deepEqual([signing.length, downstream.whyNot(), faults()], [2, undefined, ""]);
});

test("an authority is not used before workloads have its root, which is looked for once more", async () => {
  const { signing, downstream, counts, faults, knowsOnRefresh, host } = lab([other]);
  await downstream.start();
  assert.deepEqual([signing.length, counts.refreshes], [0, 1]);
  assert.match(faults(), /cannot be used: a leaf under it does not verify: no root of its trust domain issued/);
  knowsOnRefresh(other, root);
  await host.clock.pass(5_000);
  assert.deepEqual([signing.length, faults()], [1, ""]);
});

test("guide 002's path lengths, which SPIRE does not look at, are refused with what mends them", async () => {
  const top = await TestAuthority.create({ name: "CN=top", pathLength: 2, ...lives });
  const cluster = await TestAuthority.create({ name: "CN=cluster", pathLength: 1, ...lives }, top);
  const spire = await TestAuthority.create({ name: "CN=spire", ...lives }, cluster);
  const { server, signing, downstream, faults } = lab([top, cluster]);
  [server.issuer, server.above] = [spire, [cluster]];
  await downstream.start();
  assert.equal(signing.length, 0);
  assert.match(faults(), /^error .*allows \d authorities below it, and there are \d/);
  assert.match(
    faults(),
    /"CN=cluster" with pathlen:1: SPIRE's and ours have to fit below each of them, as with pathlen:3/,
  );

  const wider = await TestAuthority.create({ name: "CN=top", pathLength: 3, ...lives });
  const fitting = await TestAuthority.create({ name: "CN=cluster", pathLength: 2, ...lives }, wider);
  const below = await TestAuthority.create({ name: "CN=spire", ...lives }, fitting);
  const good = lab([wider, fitting]);
  [good.server.issuer, good.server.above] = [below, [fitting]];
  await good.downstream.start();
  assert.deepEqual([good.signing.length, good.faults()], [1, ""]);
});

test("what is no authority for our key and our trust domain never signs", async () => {
  const stranger = derOf((await other.issue(["spiffe://mesh.test/ns/shop/sa/cart"])).certificate);
  for (const [spoil, why] of [
    [(server: DownstreamServer) => (server.spoil = () => []), /it came without a certificate/],
    [(server: DownstreamServer) => (server.spoil = () => [derOf(other.root)]), /it is not for the key that was sent/],
    [(server: DownstreamServer) => (server.spoil = () => [stranger]), /it is not for the key that was sent/],
    [
      (server: DownstreamServer) => (server.spoil = ([own]) => Array(7).fill(own!) as Uint8Array[]),
      /7 authorities lead to its root/,
    ],
    [
      (server: DownstreamServer) => (server.name = "spiffe://other.test"),
      /it is named spiffe:\/\/other.test, and our trust/,
    ],
  ] as const) {
    const { server, signing, downstream, faults } = lab();
    spoil(server);
    await downstream.start();
    assert.equal(signing.length, 0);
    assert.match(faults(), why);
  }
});

test("an authority whose root SPIRE has dropped signs no more, and one whose root is tainted is replaced", async () => {
  const { bundles, server, signing, downstream, host } = lab([root, other]);
  await downstream.start();
  bundles.tainted = [derOf(other.root)];
  downstream.bundlesChanged();
  await host.clock.pass(0);
  assert.equal(signing.length, 1, "it is another's");
  bundles.tainted = [derOf(root.root)];
  downstream.bundlesChanged();
  assert.equal(downstream.whyNot(), undefined);
  await host.clock.pass(0);
  assert.equal(signing.length, 2);
  server.failure = new MeshError("unavailable", "down");
  bundles.roots = [derOf(other.root)];
  downstream.bundlesChanged();
  assert.match(downstream.whyNot()!, /is not good any more \(a leaf under it does not verify/);
  bundles.roots = [derOf(root.root), derOf(other.root)];
  downstream.bundlesChanged();
  assert.equal(downstream.whyNot(), undefined);
  await host.clock.pass(0);
});

test("what SPIRE refuses is said in its words, and an authority that the plane cannot take is not used", async () => {
  const { server, downstream, faults } = lab();
  server.failure = new MeshError("denied", "our entry is not downstream: true");
  await downstream.start();
  assert.match(faults(), /SPIRE has given us no authority yet: our entry is not downstream: true. No workload gets/);
  const host = new TestHost();
  const refusing = new DownstreamAuthority(host, {
    ...{
      trustDomain,
      server: new DownstreamServer(host, trustDomain, root),
      bundles: { roots: [derOf(root.root)], tainted: [] },
    },
    refresh: () => Promise.resolve(),
    onAuthority: () => {
      throw new MeshError("invalid", "no thread takes it");
    },
    onFaults: () => {},
  });
  await refusing.start();
  assert.match(refusing.whyNot()!, /no thread takes it/);
});

test("what it signs under is what the server gave: the key in its certificate is the one that signs", async () => {
  const { signing, downstream } = lab();
  await downstream.start();
  const [{ chain, privateKey }] = signing as [Authority];
  assert.ok(new X509Certificate(chain[0]!).checkPrivateKey(privateKey));
});
