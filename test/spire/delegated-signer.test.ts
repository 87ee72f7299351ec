import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { before, test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import type { Bearer, CsrOrder, IssuedSvid, TrustBundle } from "../../src/ca/signer.ts";
import { MeshError } from "../../src/errors.ts";
import { clusterId } from "../../src/names.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Source } from "../../src/registry/collection/source.ts";
import { DelegatedSigner } from "../../src/spire/delegated-signer.ts";
import { signerKit } from "../kits/signer.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { type LeafShape, SigningSpireServer } from "./signing-server.ts";
import { agentOn, bearerOf, CART, east, entryFor, podNamed, trustDomain } from "./lab.ts";

const staying = new AbortController().signal;
const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };
const bearer = bearerOf(podNamed("cart-0"));
const HOUR_MS = 3_600_000;

/** SPIRE's root, what it signs with, and another root that it does not have. */
let root: TestAuthority;
let issuing: TestAuthority;
let other: TestAuthority;
before(async () => {
  const start = new TestHost().clock.now();
  const life = { notBeforeMs: start - HOUR_MS, notAfterMs: start + 24 * HOUR_MS };
  root = await TestAuthority.create({ ...life, name: "CN=SPIRE root", notAfterMs: start + 1000 * HOUR_MS });
  issuing = await TestAuthority.create({ ...life, name: "CN=SPIRE CA", pathLength: 0 }, root);
  other = await TestAuthority.create({ ...life, name: "CN=other root" });
});

function lab() {
  const host = new TestHost();
  const server = new SigningSpireServer(() => host.clock.now(), [issuing]);
  server.held = [entryFor()];
  server.nodes = [agentOn("n1")];
  let roots: readonly Uint8Array[] = [derOf(root.root)];
  const graph = new Graph();
  const bundles = new Source<string, TrustBundle>(graph, "trust-bundles");
  bundles.set(trustDomain, { trustDomain, roots });
  graph.flush();
  const signer = new DelegatedSigner(host, {
    ...{ server, trustDomain, cluster: "prod-east", localCluster: east, bundles },
    roots: () => roots,
  });
  const issue = (more: Partial<CsrOrder> = {}, signal = staying): Promise<IssuedSvid> =>
    signer.issue({ identity, csr: newCsr(CART).csr, ttlSeconds: 3600, bearer, ...more }, signal);
  const trust = (...anchors: readonly Uint8Array[]): void => void (roots = anchors);
  const called = (name: string): number => server.calls.filter((call) => call.startsWith(name)).length;
  return { host, server, signer, issue, trust, called };
}

signerKit("SPIRE behind a delegated signer", () => {
  const { signer, host } = lab();
  return Promise.resolve({ signer, clock: host.clock, trustDomain, bearer, foreign: true });
});

test("SPIRE signs what an entry vouches for, and the entry is told for the books", async () => {
  const { issue, server, called } = lab();
  const { chain, entries } = await issue();
  assert.deepEqual(entries, ["cart-n1"]);
  assert.equal(new X509Certificate(chain[0]).subjectAltName, `URI:${CART}`);
  assert.equal(called("mint"), 1);
  assert.ok(server.calls.includes(`entries ${CART}`));
});

test("without an entry SPIRE is not asked to sign, and the refusal names what is missing", async () => {
  const { issue, server, called } = lab();
  server.held = [entryFor({ selectors: ["k8s:ns:shop", "k8s:pod-label:tier:gold"] })];
  await assert.rejects(issue(), (error: MeshError) => {
    assert.equal(error.code, "denied");
    assert.match(
      error.message,
      /pod shop\/cart-0 on node n1; of the nearest, cart-n1, the pod lacks its selector k8s:pod-label:tier:gold/,
    );
    assert.match(String(error.detail["told"]), /one lacks k8s:pod-label:tier$/);
    return true;
  });
  assert.equal(called("mint"), 0);
});

test("who asks for its own identity with a token that names no live pod is refused", async () => {
  const { issue, server } = lab();
  await assert.rejects(issue({ bearer: undefined }), { code: "denied", message: /bound to no live pod/ });
  assert.deepEqual(server.calls, []);
});

test("a request that asks for more than the identity never reaches SPIRE", async () => {
  const { issue, server } = lab();
  for (const csr of [newCsr().csr, newCsr(`${CART}2`).csr, newCsr("spiffe://other/ns/shop/sa/cart").csr, "junk"])
    await assert.rejects(issue({ csr }), (error: MeshError) => {
      assert.deepEqual([error.code, error.detail], ["invalid", { stage: "request" }]);
      return true;
    });
  assert.deepEqual(server.calls, []);
});

test("an entry that is removed is the last word within five seconds, and one that comes back too", async () => {
  const { issue, server, host, called } = lab();
  await issue();
  const held = server.held;
  server.held = [];
  host.clock.advance(4_999);
  await issue();
  assert.equal(called(`entries ${CART}`), 1);
  host.clock.advance(1);
  await assert.rejects(issue(), { code: "denied" });
  server.held = held;
  host.clock.advance(5_000);
  await issue();
});

test("nobody is refused by what was known of nodes: agents and aliases are asked for again first", async () => {
  const { issue, server, host, called } = lab();
  server.nodes = [];
  await assert.rejects(issue(), { code: "denied", message: /no live agent on node n1/ });
  server.nodes = [agentOn("n1")];
  host.clock.advance(5_000);
  await issue();
  assert.equal(called("agents"), 2);
  // What is known of nodes is good for half a minute, while it serves.
  server.nodes = [];
  host.clock.advance(24_999);
  await issue();
  assert.equal(called("agents"), 2);
  host.clock.advance(5_001);
  await assert.rejects(issue(), { code: "denied" });
});

test("an agent that is banned vouches for nobody after half a minute", async () => {
  const { issue, server, host } = lab();
  await issue();
  server.nodes = [agentOn("n1", { banned: true })];
  host.clock.advance(30_000);
  await assert.rejects(issue(), { code: "denied", message: /is banned/ });
});

test("a hundred that ask at once for one identity share one look-up, and 10,000 entries of others cost nothing", async () => {
  const { issue, server, called } = lab();
  const others = Array.from({ length: 10_000 }, (_, at) => entryFor({ id: `o${at}`, spiffeId: `${CART}-${at}` }));
  server.held = [...others.slice(0, 5_000), entryFor(), ...others.slice(5_000)];
  const { csr } = newCsr(CART);
  await Promise.all(Array.from({ length: 100 }, () => issue({ csr })));
  assert.deepEqual([called("entries"), called("agents"), called("mint")], [2, 1, 100]);
});

test("of entries of one identity that has thousands of pods, the pod's own counts", async () => {
  const { issue, server } = lab();
  const own = Array.from({ length: 10_000 }, (_, at) =>
    entryFor({ id: `e${at}`, parentId: agentOn(`m${at % 500}`).id, selectors: [`k8s:pod-uid:uid-${at}`] }),
  );
  server.held = [...own, entryFor({ id: "own", selectors: ["k8s:pod-uid:uid-cart-0"] })];
  assert.deepEqual((await issue()).entries, ["own"]);
});

/** How long the next one lives, in seconds. */
async function life({ host, issue }: ReturnType<typeof lab>, more: Partial<CsrOrder> = {}): Promise<number> {
  host.clock.advance(5_000);
  const { chain } = await issue({ ttlSeconds: 86_400, ...more });
  return (Date.parse(new X509Certificate(chain[0]).validTo) - host.clock.now()) / 1000;
}

test("an entry says how long its identity lives, within what was asked for, or leaves it to SPIRE's server", async () => {
  const opened = lab();
  const { server, host } = opened;
  host.random.next = () => 0;
  server.defaultSeconds = 1200;
  assert.equal(await life(opened), 1200);
  server.held = [entryFor({ x509SvidTtlSeconds: 600 })];
  assert.equal(await life(opened), 600);
  server.held = [entryFor({ x509SvidTtlSeconds: 40_000 })];
  assert.equal(await life(opened), 40_000);
  assert.equal(await life(opened, { ttlSeconds: 900 }), 900);
  server.held = [entryFor()];
  assert.equal(await life(opened, { ttlSeconds: 900 }), 900);
});

test("a server whose default is longer than what was asked for is asked once more, for that", async () => {
  const opened = lab();
  opened.host.random.next = () => 0;
  assert.equal(await life(opened, { ttlSeconds: 900 }), 900);
  assert.deepEqual(
    opened.server.calls.filter((call) => call.startsWith("mint")),
    ["mint 0", "mint 900"],
  );
});

test("the server's default is asked for by one of many, and in ten minutes again; the others differ by chance", async () => {
  const opened = lab();
  const { server, host, issue } = opened;
  const { csr } = newCsr(CART);
  const all = (): Promise<unknown> => Promise.all(Array.from({ length: 50 }, () => issue({ csr, ttlSeconds: 86_400 })));
  const minted = (): readonly number[] =>
    server.calls.flatMap((call) => (call.startsWith("mint ") ? [Number(call.slice(5))] : []));
  await all();
  const [first, ...others] = minted();
  assert.equal(first, 0);
  assert.equal(others.length, 49);
  assert.ok(others.every((seconds) => seconds > 3_600 * 0.89 && seconds <= 3_600) && new Set(others).size > 20);
  server.defaultSeconds = 1200;
  host.clock.advance(600_000);
  server.calls.length = 0;
  await issue();
  await all();
  assert.equal(minted().filter((seconds) => seconds === 0).length, 1);
  assert.ok(minted().every((seconds) => seconds <= 1200));
});

test("a server that does not tell its default keeps nobody waiting for each other", async () => {
  const { server, issue, called } = lab();
  server.failures.set("mint", new MeshError("timeout", "no answer came"));
  const { csr } = newCsr(CART);
  const ends = await Promise.allSettled(Array.from({ length: 20 }, () => issue({ csr })));
  assert.ok(ends.every(({ status }) => status === "rejected"));
  assert.equal(called("mint"), 20);
  server.failures.clear();
  await issue({ csr });
});

test("a node of another cluster is looked for under that cluster's name, which must not be what SPIRE calls ours", async () => {
  const { issue, server } = lab();
  const inCluster = (name: string): Bearer => ({ ...bearer, cluster: clusterId(name) });
  await assert.rejects(issue({ bearer: inCluster("west") }), { message: /no live agent on node n1.*in cluster west/ });
  const selectors = ["k8s_psat:cluster:west", "k8s_psat:agent_node_name:n1"];
  const west = agentOn("n1", { id: "spiffe://cluster.local/spire/agent/k8s_psat/west/u", selectors });
  const again = lab();
  again.server.nodes = [agentOn("n1"), west];
  again.server.held = [entryFor({ id: "in-west", parentId: west.id })];
  assert.deepEqual((await again.issue({ bearer: inCluster("west") })).entries, ["in-west"]);
  await assert.rejects(again.issue(), { code: "denied" });
  await assert.rejects(issue({ bearer: inCluster("prod-east") }), { message: /its nodes cannot be told from ours/ });
  assert.equal(server.calls.filter((call) => call.startsWith("mint")).length, 0);
});

for (const [code, name] of [
  ["unavailable", "is down"],
  ["timeout", "is too slow"],
  ["exhausted", "has too much to do"],
] as const)
  for (const call of ["entries", "agents", "mint"])
    test(`while SPIRE's server ${name} at ${call}, requests are to be asked again, and recover without us`, async () => {
      const { issue, server } = lab();
      server.failures.set(call, new MeshError(code, `SPIRE's server ${name}`));
      await assert.rejects(issue(), { code, message: `SPIRE's server ${name}` });
      server.failures.clear();
      await issue();
    });

test("a server that refuses us refuses no workload: they are to ask again", async () => {
  for (const call of ["mint", "entries", "agents"])
    for (const code of ["denied", "invalid", "internal"] as const) {
      const { issue, server } = lab();
      server.failures.set(call, new MeshError(code, "our entry is no longer admin"));
      await assert.rejects(issue(), { code: "unavailable", message: "our entry is no longer admin" });
    }
});

test("until SPIRE's own bundle is known nothing of its is let out", async () => {
  const { issue, trust } = lab();
  trust();
  await assert.rejects(issue(), { code: "unavailable", message: /SPIRE's own bundle is not known yet/ });
  trust(derOf(root.root));
  await issue();
});

/** A key that nobody asked to have certified. */
const elsewhere = newCsr().publicKey;
const wrong: readonly (readonly [string, (now: number) => LeafShape, RegExp])[] = [
  ["another identity", () => ({ uris: [`${CART}2`] }), /its name is not the identity that was asked for/],
  ["two identities", () => ({ uris: [CART, `${CART}2`] }), /not exactly one URI name/],
  ["another trust domain", () => ({ uris: ["spiffe://other/ns/shop/sa/cart"] }), /not the identity that was asked for/],
  ["another key", () => ({ publicKey: elsewhere }), /its key is not the one that was asked for/],
  ["too long a life", (now) => ({ notAfter: now + 2 * HOUR_MS }), /it lives longer than was asked for/],
  ["a life beyond its issuer's", (now) => ({ notAfter: now + 48 * HOUR_MS }), /it outlasts its issuer/],
  [
    "a life that is to come",
    (now) => ({ notBefore: now + 1000 }),
    /its life has not begun; compare its issuer's clock/,
  ],
  ["a life that began long ago", (now) => ({ notBefore: now - 122_000 }), /its life began over 120 s ago/],
  ["a life that is over", (now) => ({ notAfter: now - 1000 }), /its life is over/],
  ["the rights of an authority", () => ({ ca: true }), /it is an authority/],
  [
    "the right to sign",
    () => ({ usages: x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign }),
    /keyCertSign/,
  ],
  [
    "the right to sign lists",
    () => ({ usages: x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.cRLSign }),
    /cRLSign/,
  ],
  ["no use for servers", () => ({ purposes: [x509.ExtendedKeyUsage.clientAuth] }), /not for servers and clients both/],
  [
    "an extension of its own",
    () => ({ extensions: [new x509.Extension("1.2.3.4", false, new Uint8Array([5, 0]))] }),
    /the extension 1\.2\.3\.4/,
  ],
];
for (const [what, shape, why] of wrong)
  test(`an answer with ${what} is not let out, and the next good one is`, async () => {
    const { issue, server, host, signer } = lab();
    server.shape = shape(host.clock.now());
    await assert.rejects(issue(), { code: "internal", message: why });
    assert.equal(signer.describe().notAfter, undefined, "nothing of its issuer is believed yet");
    server.shape = {};
    await issue();
  });

test("a certificate that SPIRE's bundle does not vouch for is not let out, whatever is sent beside it", async () => {
  const { issue, server, signer } = lab();
  const now = new TestHost().clock.now();
  const life = { notBeforeMs: now - HOUR_MS, notAfterMs: now + HOUR_MS };
  const namesake = await TestAuthority.create({ ...life, name: "CN=SPIRE CA" }, other);
  const untrusted: readonly (readonly [readonly TestAuthority[], readonly Uint8Array[] | undefined, RegExp])[] = [
    [[other], undefined, /"CN=other root" is no root of its trust domain/],
    [[namesake], undefined, /no root of its trust domain issued "CN=SPIRE CA"/],
    [[namesake, other], undefined, /no root of its trust domain/],
    // The chain of the right authority under a leaf that it did not sign.
    [[namesake], [derOf(issuing.root)], /it does not name its issuer's key|its signature does not verify/],
    [[issuing], [], /no root of SPIRE's bundle is its issuer/],
    [[issuing], [Buffer.from("junk")], /SPIRE's chain cannot be used/],
  ];
  for (const [signers, above, why] of untrusted) {
    server.signers = signers;
    server.above = above;
    await assert.rejects(issue(), { code: "internal", message: why });
    assert.deepEqual(signer.describe().chain, []);
  }
  server.signers = [issuing];
  server.above = undefined;
  await issue();
});

test("an authority that allows none below it, and one that may not sign, are not believed with their first leaf", async () => {
  const { issue, server } = lab();
  const now = new TestHost().clock.now();
  const life = { notBeforeMs: now - HOUR_MS, notAfterMs: now + HOUR_MS };
  const below = await TestAuthority.create({ ...life, name: "CN=one more" }, issuing);
  server.signers = [below, issuing];
  await assert.rejects(issue(), { message: /"CN=SPIRE CA" allows 0 authorities below it, and there are 1/ });
  server.signers = [await TestAuthority.create({ ...life, name: "CN=no authority", ca: false }, root)];
  await assert.rejects(issue(), { message: /no authority/ });
});

test("a root that SPIRE signs with itself is found in its bundle, and not sent", async () => {
  const { issue, server, signer, trust } = lab();
  trust(derOf(other.root), derOf(root.root));
  server.signers = [root];
  for (const above of [[], [derOf(root.root)]]) {
    server.above = above;
    assert.equal((await issue()).chain.length, 1);
    assert.deepEqual(signer.describe().chain, []);
    assert.equal(signer.describe().key, "ec-p256");
  }
});

test("an intermediate that is in the bundle besides is sent, for those who trust its root alone", async () => {
  const { issue, trust } = lab();
  trust(derOf(issuing.root), derOf(root.root));
  assert.deepEqual(
    (await issue()).chain.slice(1).map((bytes) => Buffer.from(bytes)),
    [derOf(issuing.root)],
  );
});

test("SPIRE's next authority is verified with its first leaf, said once, and the one before still counts", async () => {
  const { issue, server, host, signer } = lab();
  const now = host.clock.now();
  const next = await TestAuthority.create(
    { name: "CN=next", notBeforeMs: now - HOUR_MS, notAfterMs: now + HOUR_MS },
    root,
  );
  const said = (): number => host.lines.filter((line) => line.startsWith("info spire: SPIRE signs with")).length;
  await issue();
  await issue();
  assert.equal(said(), 1);
  server.signers = [next];
  await issue({ ttlSeconds: 60 });
  assert.equal(said(), 2);
  assert.equal(signer.describe().notAfter, Math.floor((now + HOUR_MS) / 1000) * 1000);
  server.signers = [issuing];
  await issue();
  assert.equal(said(), 2);
});

test("when a root leaves SPIRE's bundle, what it vouched for is refused from then on", async () => {
  const { issue, trust } = lab();
  await issue();
  trust(derOf(other.root));
  await assert.rejects(issue(), { code: "internal", message: /no root of its trust domain/ });
  trust(derOf(other.root), derOf(root.root));
  await issue();
});

test("who has left while SPIRE was asked about entries costs it no signature", async () => {
  const { issue, server, called } = lab();
  const leaving = new AbortController();
  let open = (): void => {};
  server.gate = new Promise<void>((resolve) => (open = resolve));
  const waiting = issue({}, leaving.signal);
  leaving.abort(new MeshError("unavailable", "left"));
  open();
  await assert.rejects(waiting, /left/);
  assert.equal(called("mint"), 0);
});
