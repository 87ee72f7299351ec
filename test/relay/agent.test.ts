import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { afterEach, beforeEach, test } from "mocha";
import { authorityOf } from "../../src/ca/cacerts.ts";
import { MeshError } from "../../src/errors.ts";
import { pemBlocks } from "../../src/pem.ts";
import { TestHost } from "../kits/test-host.ts";
import { DAY_MS, HOUR_MS, LabCluster, LabRoot, orderOf, TRUST_DOMAIN } from "./agent-lab.ts";

let host: TestHost;
let a: LabRoot;
let b: LabRoot;
let east: LabCluster;
beforeEach(() => {
  host = new TestHost();
  [a, b] = [new LabRoot(host, "Root a"), new LabRoot(host, "Root b")];
  east = new LabCluster(host);
});
afterEach(() => east.agent.close());

const pass = (ms: number) => host.clock.pass(ms);
const files = () => (assert.equal(east.disk.kind, "own"), east.disk.kind === "own" ? east.disk.files : undefined)!;
const installed = () => authorityOf(files(), TRUST_DOMAIN, host.clock.now());
const commonNames = (ders: readonly Uint8Array[]) =>
  ders.map((der) => /CN=(.*)/.exec(new X509Certificate(der).subject)![1]);
const problems = () => east.agent.problems.map(({ message }) => message);

/** East with an intermediate under `a`, taken up and reported. */
async function settled(order = orderOf(a, [a]), lifetimeMs = 30 * DAY_MS): Promise<void> {
  east.connect();
  east.hear({ kind: "order", order });
  await pass(100);
  east.answer(a, undefined, { lifetimeMs });
  await pass(100);
  await east.takeUp();
  await pass(10_000);
}

function shortLived() {
  const { intermediate, ...order } = orderOf(a, [a]);
  return { ...order, intermediate: { ...intermediate, lifetimeMs: 2 * HOUR_MS } };
}

test("a cluster with nothing asks with a key of its own, writes all four files at once, and reports what it uses", async () => {
  const order = orderOf(a, [a]);
  east.connect();
  east.hear({ kind: "order", order });
  await pass(100);
  assert.deepEqual(
    east.sent.map(({ kind }) => kind),
    ["hello", "request"],
  );
  assert.equal(east.requests[0]!.generation, order.generation);
  await pass(1_000);
  assert.equal(east.report.chain.length, 0);
  east.answer(a);
  await pass(100);
  assert.deepEqual([...files().text.keys()].sort(), ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"]);
  assert.deepEqual(commonNames(pemBlocks(files().text.get("cert-chain.pem")!, "CERTIFICATE")), [
    "Intermediate CA east",
    "Root a",
  ]);
  assert.equal(east.history.length, 1);
  // Written is not yet in use.
  assert.equal(east.agent.generation, "");
  await east.takeUp();
  await pass(10_000);
  assert.equal(east.agent.generation, order.generation);
  assert.equal(east.report.generation, order.generation);
  assert.equal(east.report.signingRoot, a.fingerprint);
  assert.deepEqual(commonNames(east.report.chain), ["Intermediate CA east"]);
  assert.deepEqual(problems(), []);
});

test("roots change beside the same certificate and key, and other clusters hear of it", async () => {
  await settled();
  const before = installed();
  const both = orderOf(a, [a, b]);
  east.hear({ kind: "order", order: both });
  await pass(100);
  assert.deepEqual(commonNames(installed().roots), ["Root a", "Root b"]);
  assert.ok(installed().privateKey.equals(before.privateKey));
  assert.equal(east.requests.length, 1);
  await east.takeUp();
  await pass(10_000);
  assert.deepEqual(commonNames(east.report.roots), ["Root a", "Root b"]);
  assert.equal(east.report.generation, both.generation);
});

test("an order that names no root to sign under changes roots alone, whoever signs", async () => {
  const own = new LabRoot(host, "Root of our own");
  await east.agent.close();
  east = new LabCluster(host, { disk: { kind: "own", files: own.files(), wish: "" } });
  await east.takeUp();
  east.connect();
  const order = orderOf(undefined, [a, own]);
  east.hear({ kind: "order", order });
  await pass(100);
  await east.takeUp();
  await pass(10_000);
  assert.equal(east.requests.length, 0);
  assert.equal(east.report.generation, order.generation);
  assert.equal(east.report.signingRoot, own.fingerprint);
  assert.deepEqual(commonNames(east.report.chain), ["Root of our own"]);
  assert.deepEqual(commonNames(east.report.roots), ["Root a", "Root of our own"]);
});

test("a switch to another root signs only once workloads know it, and is carried out only then", async () => {
  await settled();
  east.hear({ kind: "order", order: orderOf(a, [a, b]) });
  await pass(100);
  await east.takeUp();
  const order = orderOf(b, [a, b]);
  east.hear({ kind: "order", order });
  await pass(100);
  assert.equal(east.requests.length, 2);
  east.answer(b);
  await pass(100);
  await east.takeUp();
  await pass(10_000);
  assert.equal(east.report.signingRoot, a.fingerprint);
  assert.match(east.report.waits.join(), /Root b.* is new to workloads/);
  assert.notEqual(east.report.generation, order.generation);
  await pass(2 * HOUR_MS);
  await east.takeUp();
  await pass(10_000);
  assert.equal(east.report.signingRoot, b.fingerprint);
  assert.equal(east.report.generation, order.generation);
});

test("an order that would part the mesh is refused with the reason, and all goes on", async () => {
  await settled();
  const before = files().digest;
  east.hear({ kind: "order", order: orderOf(b, [b]) });
  await pass(60_000);
  assert.equal(files().digest, before);
  assert.equal(east.requests.length, 1);
  assert.match(problems().join(), /takes roots out and puts others in at once/);
  assert.match(east.report.problems.join(), /takes roots out/);
  // The way back is an order like any other.
  east.hear({ kind: "order", order: orderOf(a, [a]) });
  await pass(10_000);
  assert.deepEqual(problems(), []);
});

test("an order that is none is refused by what is wrong with it", async () => {
  await settled();
  for (const [order, why] of [
    [orderOf(a, []), /names no roots/],
    [orderOf(b, [a]), /which is not among its roots/],
    [
      orderOf(a, [a], { trustDomain: "other.example" }),
      /is for trust domain other\.example, .*--trust-domain other\.example/,
    ],
    [orderOf(a, [a], { roots: [Buffer.from("no certificate")] }), /a root of the order cannot be read/],
    [orderOf(undefined, [a, b].slice(1)), /takes roots out/],
  ] as const) {
    const before = files().digest;
    east.hear({ kind: "order", order });
    await pass(1_000);
    assert.match(problems().join(), why);
    assert.equal(files().digest, before);
  }
});

test("what the manager answers is held to the order: a leaf, another key, another root, another life, other names", async () => {
  east.connect();
  east.hear({ kind: "order", order: orderOf(a, [a, b]) });
  await pass(100);
  const other = new LabCluster(host);
  const lies: readonly [() => void, RegExp][] = [
    [() => east.answer(b), /leads to root "O=mesh.example, CN=Root b", and not to the one that the order names/],
    [() => east.answer(a, undefined, { uri: "spiffe://other.example" }), /not of trust domain|and not spiffe/],
    [() => east.answer(a, undefined, { lifetimeMs: 300 * DAY_MS }), /later than the order says/],
    [() => east.answer(a, undefined, { lifetimeMs: 30_000 }), /which is now/],
    [
      () => {
        const { id } = east.requests.at(-1)!;
        const chain = [a.sign(new LabRoot(host, "another").publicKey)];
        east.hear({ kind: "certificate", id, signed: { chain, root: a.der } });
      },
      /is for another key than the one that was made here/,
    ],
    [
      () => {
        const { id } = east.requests.at(-1)!;
        east.hear({ kind: "certificate", id, signed: { chain: [], root: a.der } });
      },
      /it holds no certificate/,
    ],
    [
      () => {
        const { id, csr } = east.requests.at(-1)!;
        east.hear({ kind: "certificate", id, signed: { chain: [a.leaf(east.publicKeyOf(csr))], root: a.der } });
      },
      /is no certificate authority/,
    ],
  ];
  for (const [lie, why] of lies) {
    const asked = east.requests.length;
    lie();
    await pass(100);
    assert.match(problems().join(), why);
    assert.equal(east.disk.kind, "absent");
    await pass(400_000);
    // Another key: what was answered wrongly is not asked again.
    assert.ok(east.requests.length > asked);
    assert.notEqual(east.requests.at(-1)!.csr, east.requests[asked - 1]!.csr);
  }
  east.answer(a);
  await pass(100);
  assert.equal(east.disk.kind, "own");
  assert.deepEqual(problems(), []);
  await other.agent.close();
});

test("an answer that comes twice, or to a request of an older order, is dropped", async () => {
  east.connect();
  east.hear({ kind: "order", order: orderOf(a, [a]) });
  await pass(100);
  const [old] = east.requests;
  east.hear({ kind: "order", order: orderOf(a, [a, b]) });
  await pass(100);
  assert.equal(east.requests.length, 2);
  east.answer(a, old);
  await pass(100);
  assert.equal(east.disk.kind, "absent");
  east.answer(a);
  await pass(100);
  const { digest } = files();
  east.answer(a);
  await pass(100);
  assert.equal(files().digest, digest);
  assert.equal(east.history.length, 1);
});

test("a certificate is renewed when less than the ratio of its life is left, under a new key", async () => {
  await settled(shortLived(), 2 * HOUR_MS);
  const before = installed();
  await pass(1.79 * HOUR_MS);
  assert.equal(east.requests.length, 1);
  await pass(0.1 * HOUR_MS);
  const { length } = east.requests;
  assert.ok(length > 2);
  // It is asked again and again, and it is always the same request.
  assert.equal(new Set(east.requests.slice(1).map(({ csr }) => csr)).size, 1);
  // An order that is carried out stays so while it is renewed.
  assert.equal(east.report.generation, east.requests[0]!.generation);
  east.answer(a, undefined, { lifetimeMs: 2 * HOUR_MS });
  await pass(100);
  await east.takeUp();
  assert.ok(!installed().privateKey.equals(before.privateKey));
  assert.equal(east.use!.authority.privateKey.equals(before.privateKey), false);
});

test("with the manager away all goes on, and the end of the certificate is an alarm in time", async () => {
  await settled(shortLived(), 2 * HOUR_MS);
  await east.restart();
  await east.takeUp();
  await pass(1.89 * HOUR_MS);
  assert.deepEqual(problems(), []);
  assert.ok(east.use !== undefined);
  await pass(0.03 * HOUR_MS);
  assert.match(problems().join(), /ends at .*, and no other came/);
  const before = files().digest;
  await pass(0.2 * HOUR_MS);
  assert.equal(files().digest, before);
});

test("a request outlives its stream, and is sent again by the next with the same key", async () => {
  east.connect();
  east.hear({ kind: "order", order: orderOf(a, [a]) });
  await pass(100);
  east.open = false;
  await pass(600_000);
  assert.equal(east.requests.length, 1);
  east.connect();
  assert.equal(east.requests.length, 2);
  assert.deepEqual(east.requests[1], east.requests[0]);
  east.answer(a);
  await pass(100);
  assert.equal(east.disk.kind, "own");
});

test("a refusal is told with the manager's words, and asked again when the manager said", async () => {
  east.connect();
  east.hear({ kind: "order", order: orderOf(a, [a]) });
  await pass(100);
  const { id } = east.requests[0]!;
  east.hear({ kind: "refusal", id, code: "unavailable", reason: "Vault is sealed", retryAfterMs: 30_000 });
  await pass(29_000);
  assert.match(problems().join(), /Vault is sealed/);
  assert.equal(east.requests.length, 1);
  await pass(10_000);
  assert.equal(east.requests.length, 2);
  east.answer(a);
  await pass(100);
  assert.deepEqual(problems(), []);
  east.hear({ kind: "refusal", id: "", code: "absent", reason: "there is no RootTrustPolicy", retryAfterMs: 0 });
  await pass(100);
  assert.match(problems().join(), /no order for this cluster: there is no RootTrustPolicy/);
});

test("an authority of somebody else is never written, and the report says how it is handed over", async () => {
  await east.agent.close();
  east = new LabCluster(host, { disk: { kind: "foreign", why: "Secret istio-system/cacerts is not ours: label it" } });
  east.connect();
  east.hear({ kind: "order", order: orderOf(a, [a]) });
  await pass(60_000);
  assert.equal(east.disk.kind, "foreign");
  assert.equal(east.requests.length, 0);
  assert.match(problems().join(), /label it/);
});

test("what cannot be written is tried again, with the same certificate", async () => {
  east.connect();
  east.hear({ kind: "order", order: orderOf(a, [a]) });
  await pass(100);
  east.failing = { install: new MeshError("unavailable", "Secret istio-system/cacerts cannot be written: 503") };
  east.answer(a);
  await pass(20_000);
  assert.match(problems().join(), /cannot be written: 503/);
  assert.equal(east.disk.kind, "absent");
  east.failing = {};
  await pass(10_000);
  assert.equal(east.disk.kind, "own");
  assert.equal(east.requests.length, 1);
  assert.deepEqual(problems(), []);
});

test("an order whose bounds cannot be written is not carried out", async () => {
  const bounds = [{ cluster: undefined, exports: [], imports: [] }];
  east.failing = { govern: new MeshError("denied", "peergrants: forbidden") };
  const order = orderOf(a, [a], { bounds });
  await settled(order);
  assert.equal(east.agent.generation, "");
  assert.match(problems().join(), /bounds of the order do not hold: peergrants: forbidden/);
  east.failing = {};
  await pass(120_000);
  assert.deepEqual(east.bounds, bounds);
  assert.equal(east.agent.generation, order.generation);
  assert.deepEqual(problems(), []);
});

test("bounds that somebody takes away are written again", async () => {
  const bounds = [{ cluster: undefined, exports: [], imports: [] }];
  await settled(orderOf(a, [a], { bounds }));
  assert.deepEqual(east.bounds, bounds);
  east.bounds = undefined;
  await pass(80_000);
  assert.deepEqual(east.bounds, bounds);
});

test("that there is nothing is not reported before it has been looked whether there is", async () => {
  await settled();
  await east.restart();
  east.sent.length = 0;
  east.connect();
  await pass(70_000);
  assert.deepEqual(
    east.sent.map(({ kind }) => kind),
    ["hello"],
  );
  await east.takeUp();
  await pass(10_000);
  assert.equal(east.report.signingRoot, a.fingerprint);
});

test("clocks that differ are named with both times", async () => {
  await settled();
  const now = host.clock.now();
  east.hear({ kind: "ping", clock: now + 20_000 });
  assert.deepEqual(problems(), []);
  east.hear({ kind: "ping", clock: now + 31_000 });
  assert.match(problems().join(), /ours is 31 s behind/);
  east.hear({ kind: "ping", clock: now - 30 * HOUR_MS });
  const times = [now, now - 30 * HOUR_MS].map((time) => new Date(time).toISOString());
  for (const time of times) assert.ok(problems().join().includes(time), time);
  assert.match(problems().join(), /ours is 30 hours ahead/);
});

test("the key of the authority is in no message, no line of the log and no problem", async () => {
  await settled();
  const key = files().text.get("ca-key.pem")!;
  const said = [...host.lines, JSON.stringify(east.sent), ...problems(), ...east.agent.waits].join("\n");
  const body = key.split("\n").slice(1, -2);
  assert.ok(body.length >= 2 && said.length > 1000);
  for (const line of [...body, "PRIVATE KEY"]) assert.ok(!said.includes(line), line);
});
