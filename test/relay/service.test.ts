import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import * as grpc from "@grpc/grpc-js";
import { test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import { MeshError } from "../../src/errors.ts";
import { clusterId } from "../../src/names.ts";
import { RELAY_METHODS } from "../../src/relay/methods.ts";
import { makeCsr } from "../kits/csr.ts";
import { type Ended, pinnedRoot } from "../kits/relay-client.ts";
import { nameOf, testOrder, testReport } from "../kits/relay-desk.ts";
import { RelayLab } from "../kits/relay-lab.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";

const east = clusterId("east");
const enrollment = async (token: string, cluster = east, clock: number | undefined = Date.now()) => ({
  token,
  cluster,
  csr: newCsr().csr,
  clock,
});
const refused = (reason: string, why: RegExp) => (ended: unknown) => {
  const { reason: found, details } = ended as Ended;
  assert.equal(found, reason, details);
  assert.match(details, why);
  return true;
};

test("a cluster with nothing but a token gets its identity, and is known by it from then on", async () => {
  await using lab = await RelayLab.open();
  const pair = await lab.enrolled("east");
  assert.equal(nameOf(pair.chain), "URI:spiffe://relay.causeway.dev/cluster/east");
  const certificate = new X509Certificate(pair.chain);
  assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.2"]);
  assert.ok(Date.parse(certificate.validTo) - Date.now() <= 30 * 86_400_000 + 1_000);
  const stream = lab.client(pair).follow();
  lab.desk.words.set(east, testOrder("g1", [derOf(lab.root)]));
  stream.hello(east);
  assert.equal((await stream.until("order")).order.generation, "g1");
  stream.send({ kind: "report", report: testReport("g1", Date.now()) });
  await until(() => lab.desk.reports.length === 1);
  assert.deepEqual(lab.desk.told, ["east connected 1.0", "east reported g1"]);
  assert.equal(lab.host.metric("relay_connected_clusters"), 1);
  assert.equal(lab.host.metric("relay_enrollments_total{result=enrolled}"), 1);
});

test("a caller knows the manager by the root that its token names, and no other", async () => {
  await using lab = await RelayLab.open();
  await assert.rejects(pinnedRoot(lab.port, "00".repeat(32)), /the server's root is/);
  assert.equal(await pinnedRoot(lab.port, lab.books.authority.rootSha256), lab.root);
});

test("an order is sent when it changes, only its last state, and never twice", async () => {
  await using lab = await RelayLab.open();
  const stream = lab.client(await lab.enrolled("east")).follow();
  stream.hello(east);
  await until(() => lab.desk.told.length === 1);
  const roots = [derOf(lab.root)];
  lab.desk.change(({ words }) => words.set(east, testOrder("g1", roots)));
  lab.desk.change(({ words }) => words.set(east, testOrder("g2", roots)));
  await stream.until("order", ({ order }) => order.generation === "g2");
  lab.desk.change(({ words }) => words.set(east, testOrder("g2", roots)));
  const refusal = { kind: "refusal", id: "", code: "unavailable", reason: "Vault is sealed", retryAfterMs: 5 } as const;
  lab.desk.change(({ words }) => words.set(east, refusal));
  assert.deepEqual(await stream.until("refusal"), refusal);
  assert.deepEqual(
    stream.received.map((message) => (message.kind === "order" ? message.order.generation : message.kind)),
    ["g2", "refusal"],
  );
});

test("a cluster that asks twice gets the same certificate, and only one is signed", async () => {
  await using lab = await RelayLab.open();
  const root = await TestAuthority.create();
  const signed = { chain: [derOf(root.root)], root: derOf(root.root) };
  let sign: () => void = () => {};
  lab.desk.signer = () => new Promise((resolve) => (sign = () => resolve(signed)));
  const pair = await lab.enrolled("east");
  const { pem: csr } = await makeCsr({ uris: ["spiffe://cluster.local"] });
  const request = { kind: "request", request: { id: "1", csr, generation: "g1" } } as const;
  const first = lab.client(pair).follow();
  first.hello(east);
  first.send(request);
  await until(() => lab.desk.asked.length === 1);
  // The stream breaks while it is signed; whoever comes back gets it.
  const second = lab.client(pair).follow();
  second.hello(east);
  second.send(request);
  assert.equal((await first.ended).reason, "Replaced");
  sign();
  assert.equal((await second.until("certificate")).id, "1");
  second.send(request);
  await until(() => second.received.length === 2);
  assert.deepEqual(second.received[0], second.received[1]);
  assert.equal(lab.desk.asked.length, 1);
  assert.equal(lab.host.metric("relay_signatures_total{result=signed}"), 1);
});

test("why nothing was signed is told with when to ask again, and what nobody foresaw is not told", async () => {
  await using lab = await RelayLab.open();
  const stream = lab.client(await lab.enrolled("east")).follow();
  stream.hello(east);
  const ask = async (id: string): Promise<unknown> => {
    stream.send({ kind: "request", request: { id, csr: newCsr().csr, generation: "g1" } });
    const { code, reason, retryAfterMs } = await stream.until("refusal", (message) => message.id === id);
    return [code, reason, retryAfterMs];
  };
  lab.desk.signer = () => Promise.reject(new MeshError("denied", "its names are not those of the order"));
  assert.deepEqual(await ask("1"), ["denied", "its names are not those of the order", 0]);
  lab.desk.signer = () => Promise.reject(new MeshError("unavailable", "Vault is sealed", { retryAfterMs: 7_000 }));
  assert.deepEqual(await ask("2"), ["unavailable", "Vault is sealed", 7_000]);
  lab.desk.signer = () => Promise.reject(new TypeError("secret of ours"));
  assert.deepEqual(await ask("3"), ["internal", "signing failed; the trust manager's log says why", 30_000]);
  stream.send({
    kind: "request",
    request: {
      id: "4",
      csr: "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n",
      generation: "g1",
    },
  });
  const { code } = await stream.until("refusal", ({ id }) => id === "4");
  assert.equal(code, "invalid");
  assert.equal(lab.desk.asked.length, 3);
});

test("a token is good for one caller, who may ask again for an answer that it lost; a second one is shouted about", async () => {
  await using lab = await RelayLab.open();
  const token = await lab.token("east");
  const request = await enrollment(token);
  await lab.client().enroll(request);
  const again = await lab.client().enroll(request);
  assert.equal(nameOf(again.chain[0]!), "URI:spiffe://relay.causeway.dev/cluster/east");
  await assert.rejects(
    lab.client().enroll(await enrollment(token)),
    refused(
      "TokenUsed",
      /was used already, at 20\d\d-.* from 127\.0\.0\.1:\d+: .*causeway trust revoke --cluster east/,
    ),
  );
  assert.ok(lab.host.lines.some((line) => line.startsWith("error trust: a bootstrap token came a second time")));
  assert.equal(lab.host.metric("relay_refusals_total{reason=TokenUsed}"), 1);
  assert.equal(lab.desk.refusals.length, 1);
});

test("each token that is no good is refused in words of its own", async () => {
  await using lab = await RelayLab.open(["east", "west"]);
  const client = lab.client();
  const good = await lab.token("east");
  await assert.rejects(client.enroll(await enrollment(good.slice(0, 80))), refused("TokenMalformed", /cut short/));
  await assert.rejects(
    client.enroll(await enrollment(`${good.slice(0, -3)}AAA`)),
    refused("TokenMalformed", /mistyped/),
  );
  await assert.rejects(
    client.enroll(await enrollment(good, clusterId("west"))),
    refused("OtherCluster", /cluster west came with the token of cluster east/),
  );
  await using other = await RelayLab.open();
  await assert.rejects(
    client.enroll(await enrollment(await other.token("east"))),
    refused("TokenUnknown", /not known to this manager/),
  );
  const ended = await lab.token("east", -10_000);
  await assert.rejects(
    client.enroll(await enrollment(ended)),
    refused("TokenExpired", /ended at .*, and it is .* here; make one/),
  );
  await assert.rejects(
    client.enroll(await enrollment(ended, east, Date.now() - 86_400_000)),
    refused("TokenExpired", /the clock of the cluster is (24h|23h) behind ours: correct/),
  );
  const revoked = await lab.token("east");
  for (const { id, use } of await lab.books.tokens.list())
    if (use === undefined) await lab.books.tokens.revoke(id, Date.now());
  await assert.rejects(client.enroll(await enrollment(revoked)), refused("TokenRevoked", /was revoked at/));
});

test("a token is not spent on a cluster that is not registered yet", async () => {
  await using lab = await RelayLab.open([]);
  const token = await lab.token("east");
  const request = await enrollment(token);
  await assert.rejects(lab.client().enroll(request), refused("NotRegistered", /cluster east is not registered: apply/));
  lab.desk.registered.add(east);
  await lab.client().enroll(await enrollment(token));
});

test("no stream is for who shows no certificate of the relay's root", async () => {
  await using lab = await RelayLab.open();
  const none = await lab.client().follow().ended;
  refused("NoCertificate", /has not proven who it is: it showed no certificate/)(none);
  assert.equal(none.code, grpc.status.UNAUTHENTICATED);
  const stranger = await TestAuthority.create();
  const { certificate: chain, key } = await stranger.issue(["spiffe://relay.causeway.dev/cluster/east"]);
  refused("NoCertificate", /it showed no certificate/)(await lab.client({ chain, key }).follow().ended);
  await assert.rejects(lab.client().renew(newCsr().csr), refused("NoCertificate", /causeway trust token/));
});

test("a cluster that says another's name is told both, and no order of the other's", async () => {
  await using lab = await RelayLab.open(["east", "west"]);
  lab.desk.words.set(clusterId("west"), testOrder("g1", [derOf(lab.root)]));
  const stream = lab.client(await lab.enrolled("east")).follow();
  stream.hello(clusterId("west"));
  refused(
    "OtherCluster",
    /says that it is cluster west, and its client certificate that it is east/,
  )(await stream.ended);
  assert.deepEqual([stream.received, lab.desk.told], [[], []]);
});

test("what is not registered any more loses its stream, and comes back without a token", async () => {
  await using lab = await RelayLab.open();
  const pair = await lab.enrolled("east");
  const stream = lab.client(pair).follow();
  stream.hello(east);
  await until(() => lab.desk.told.length === 1);
  lab.desk.change(({ registered }) => registered.delete(east));
  refused("NotRegistered", /cluster east is not registered/)(await stream.ended);
  refused("NotRegistered", /cluster east is not registered/)(await lab.client(pair).follow().ended);
  await assert.rejects(lab.client(pair).renew(newCsr().csr), refused("NotRegistered", /not registered/));
  lab.desk.change(({ registered }) => registered.add(east));
  const back = lab.client(pair).follow();
  back.hello(east);
  await until(() => lab.desk.told.filter((line) => line === "east connected 1.0").length === 2);
});

test("enrolling anew, or a revocation, ends what the former certificate is good for, and not the new one's", async () => {
  await using lab = await RelayLab.open();
  const stolen = await lab.enrolled("east");
  const thief = lab.client(stolen).follow();
  thief.hello(east);
  await until(() => lab.desk.told.length === 1);
  const own = await lab.enrolled("east");
  refused("CertificateVoid", /client certificate of cluster east is void/)(await thief.ended);
  refused("CertificateVoid", /void/)(await lab.client(stolen).follow().ended);
  await assert.rejects(lab.client(stolen).renew(newCsr().csr), refused("CertificateVoid", /void/));
  const stream = lab.client(own).follow();
  stream.hello(east);
  await until(() => lab.desk.told.filter((line) => line === "east connected 1.0").length === 2);
  await lab.books.certificates.renounce(east, "revoked");
  refused("CertificateVoid", /make a token with causeway trust token --cluster east/)(await stream.ended);
});

test("whoever has a void client certificate uses up nothing of what the cluster may do", async () => {
  await using lab = await RelayLab.open();
  const stolen = await lab.enrolled("east");
  const own = await lab.enrolled("east");
  for (let at = 0; at < 15; at++)
    await assert.rejects(lab.client(stolen).renew(newCsr().csr), refused("CertificateVoid", /void/));
  assert.equal((await lab.client(own).renew(newCsr().csr)).chain.length, 1);
});

test("a token that was used gets its answer again, but not once another token was used since", async () => {
  await using lab = await RelayLab.open();
  const first = await enrollment(await lab.token("east"));
  await lab.client().enroll(first);
  await lab.client().enroll(first);
  const own = await lab.enrolled("east");
  await assert.rejects(lab.client().enroll(first), refused("TokenUsed", /enrolled by another token, or was revoked/));
  assert.equal((await lab.client(own).renew(newCsr().csr)).chain.length, 1);
});

test("a renewed certificate is for the new key, and the one before it lives on to its end", async () => {
  await using lab = await RelayLab.open();
  const pair = await lab.enrolled("east");
  const { csr, publicKey, privateKey } = newCsr();
  const { chain, relayRoots } = await lab.client(pair).renew(csr);
  assert.deepEqual(relayRoots, [lab.root]);
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  assert.ok(
    new X509Certificate(chain[0]!).publicKey.export({ type: "spki", format: "der" }).equals(Buffer.from(publicKey)),
  );
  for (const shown of [{ chain: chain[0]!, key }, pair]) {
    const stream = lab.client(shown).follow();
    stream.hello(east);
    lab.desk.words.set(east, testOrder("g1", [derOf(lab.root)]));
    await stream.until("order");
  }
});

test("two control planes that claim one cluster are named with both addresses", async () => {
  await using lab = await RelayLab.open();
  const pair = await lab.enrolled("east");
  for (let round = 0; round < 4; round += 1) {
    const stream = lab.client(pair).follow();
    stream.hello(east);
    await until(() => lab.desk.told.filter((line) => line === "east connected 1.0").length === round + 1);
  }
  assert.match(
    lab.desk.contests.get(east) ?? "",
    /two control planes claim to be cluster east, one from 127\.0\.0\.1:\d+ and one from 127\.0\.0\.1:\d+/,
  );
});

test("who asks without end is refused, and others are not", async () => {
  await using lab = await RelayLab.open(["east", "west"]);
  const [pair, other] = [await lab.enrolled("east"), await lab.enrolled("west")];
  const flood = lab.client(pair).follow();
  flood.hello(east);
  for (let at = 0; at < 200; at += 1) flood.send({ kind: "ping", clock: at });
  refused("TooMany", /cluster east says too much/)(await flood.ended);
  const again = lab.client(pair).follow();
  again.hello(east);
  for (let at = 0; at < 58; at += 1) again.send({ kind: "ping", clock: at });
  refused("TooMany", /cluster east says too much/)(await again.ended);
  const stream = lab.client(other).follow();
  stream.hello(clusterId("west"));
  for (let at = 0; at < 11; at += 1) {
    stream.send({ kind: "request", request: { id: `${at}`, csr: newCsr().csr, generation: "g" } });
    await stream.until("refusal", ({ id }) => id === `${at}`);
  }
  const last = await stream.until("refusal", ({ id }) => id === "10");
  assert.deepEqual([last.code, last.retryAfterMs], ["exhausted", 30_000]);
  assert.equal(lab.desk.asked.length, 10);
});

test("strangers who call Enroll without end are cut off by address before anything is read", async () => {
  await using lab = await RelayLab.open();
  const client = lab.client();
  const ends: string[] = [];
  for (let at = 0; at < 25; at += 1)
    await client
      .unary(RELAY_METHODS.enroll, Buffer.of(1, 2, 3))
      .catch((ended: Ended) => ends.push(ended.reason ?? "none"));
  assert.deepEqual(
    [ends.slice(0, 20).includes("TooMany"), ends.slice(21).every((one) => one === "TooMany")],
    [false, true],
  );
});

test("bytes that are no message end the stream, and the manager goes on", async () => {
  await using lab = await RelayLab.open();
  const pair = await lab.enrolled("east");
  const stream = lab.client(pair).follow();
  stream.sendBytes(Buffer.from("nonsense"));
  assert.equal((await stream.ended).code, grpc.status.INVALID_ARGUMENT);
  const early = lab.client(pair).follow();
  early.send({ kind: "report", report: testReport("g", 1) });
  assert.match((await early.ended).details, /says Hello before anything else/);
  const twice = lab.client(pair).follow();
  twice.hello(east);
  twice.hello(east);
  assert.match((await twice.ended).details, /said Hello twice/);
  assert.deepEqual(lab.desk.reports, []);
});

test("an order that breaks the relay's rules reaches the cluster as a refusal, and nobody else is disturbed", async () => {
  await using lab = await RelayLab.open();
  const stream = lab.client(await lab.enrolled("east")).follow();
  lab.desk.words.set(east, testOrder("g1", [Buffer.from("no certificate")]));
  stream.hello(east);
  const { code, reason } = await stream.until("refusal");
  assert.equal(code, "internal");
  assert.match(reason, /roots/);
});
