import assert from "node:assert/strict";
import { createPrivateKey, type KeyObject } from "node:crypto";
import { test } from "mocha";
import { newCsr, type NewCsr } from "../../src/ca/client.ts";
import { clusterId } from "../../src/names.ts";
import { pinnedRoot, type Tap } from "../kits/relay-client.ts";
import { testOrder, testReport } from "../kits/relay-desk.ts";
import { RelayLab } from "../kits/relay-lab.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";

const east = clusterId("east");

/** Each way in which a private key could be written: as DER, with or without its frame, as text of it, as its secret number. */
function formsOf(key: KeyObject): readonly Buffer[] {
  const pkcs8 = key.export({ type: "pkcs8", format: "der" });
  const sec1 = key.export({ type: "sec1", format: "der" });
  const scalar = Buffer.from(key.export({ format: "jwk" }).d!, "base64url");
  assert.ok(pkcs8.includes(scalar) && sec1.includes(scalar) && scalar.length === 32);
  const raw = [pkcs8, sec1, scalar];
  const texts = raw.flatMap((bytes) => [bytes.toString("base64"), bytes.toString("base64url"), bytes.toString("hex")]);
  const lines = key.export({ type: "pkcs8", format: "pem" }).toString().split("\n").slice(1, -2);
  return [...raw, ...[...texts, ...lines].map((text) => Buffer.from(text))];
}

test("over the whole life of a cluster no private key crosses the relay in any form, and a token only in Enroll", async () => {
  await using lab = await RelayLab.open();
  const crossed: { readonly method: string; readonly bytes: Buffer }[] = [];
  const tap: Tap = (_direction, method, bytes) => void crossed.push({ method, bytes: Buffer.from(bytes) });
  const keys: KeyObject[] = [];
  const own = (made: NewCsr): NewCsr => (keys.push(made.privateKey), made);
  const pemOf = ({ privateKey }: NewCsr): string => privateKey.export({ type: "pkcs8", format: "pem" }).toString();

  // Enrol.
  const token = await lab.token("east");
  const client = own(newCsr());
  const root = await pinnedRoot(lab.port, lab.books.authority.rootSha256);
  const enrolled = await lab
    .client(undefined, tap, root)
    .enroll({ token, cluster: east, csr: client.csr, clock: Date.now() });

  // Two roots, one after the other; an intermediate under each, then reports.
  const roots = [await TestAuthority.create("CN=one"), await TestAuthority.create("CN=two")];
  const stream = lab.client({ chain: enrolled.chain.join(""), key: pemOf(client) }, tap).follow();
  stream.hello(east);
  for (const [at, authority] of roots.entries()) {
    keys.push(createPrivateKey(authority.key));
    const intermediate = await TestAuthority.create({ name: `CN=${at}`, pathLength: 0 }, authority);
    keys.push(createPrivateKey(intermediate.key));
    const signed = { chain: [derOf(intermediate.root)], root: derOf(authority.root) };
    lab.desk.signer = () => Promise.resolve(signed);
    const trusted = roots.slice(0, at + 1).map((one) => derOf(one.root));
    lab.desk.change(({ words }) => words.set(east, testOrder(`g${at}`, trusted)));
    await stream.until("order", ({ order }) => order.generation === `g${at}`);
    stream.send({ kind: "request", request: { id: `r${at}`, csr: own(newCsr()).csr, generation: `g${at}` } });
    await stream.until("certificate", ({ id }) => id === `r${at}`);
    const report = testReport(`g${at}`, Date.now(), { roots: trusted, chain: signed.chain, problems: ["none"] });
    stream.send({ kind: "report", report });
    await until(() => lab.desk.reports.length === at + 1);
  }

  // Renew, and come back with what that gave.
  const renewed = own(newCsr());
  const { chain } = await lab.client({ chain: enrolled.chain.join(""), key: pemOf(client) }, tap).renew(renewed.csr);
  const back = lab.client({ chain: chain.join(""), key: pemOf(renewed) }, tap).follow();
  back.hello(east);
  await back.until("order");

  // What the manager keeps for itself.
  const document = await lab.store.read("relay-tls-signing-secret");
  keys.push(createPrivateKey(document!.data.get("tls.key")!));

  assert.ok(crossed.length >= 14, `${crossed.length} messages`);
  assert.equal(keys.length, 9);
  // As it crossed, and what is in base64 there taken out of it: how that begins depends on what is before it.
  const plain = Buffer.concat(crossed.map(({ bytes }) => bytes));
  const bodies = plain.toString("latin1").matchAll(/-----BEGIN [A-Z ]+-----\n([A-Za-z0-9+/=\n]+)-----END/g);
  const all = Buffer.concat([plain, ...Array.from(bodies, ([, body]) => Buffer.from(body!, "base64"))]);
  for (const [at, key] of keys.entries())
    for (const form of formsOf(key)) assert.ok(!all.includes(form), `key ${at} crossed as ${form.toString("latin1")}`);
  assert.ok(!all.includes("PRIVATE KEY"));
  // The search finds what is there: public halves have crossed, in requests and certificates.
  for (const { publicKey } of [client, renewed]) assert.ok(all.includes(Buffer.from(publicKey)));

  const withToken = crossed.filter(({ bytes }) => bytes.includes(token) || bytes.includes(secretOf(token)));
  assert.deepEqual(
    withToken.map(({ method }) => method),
    ["/causeway.relay.TrustRelay/Enroll"],
  );
  for (const line of lab.host.lines) assert.ok(!line.includes(token) && !line.includes("PRIVATE KEY"), line);
});

/** The 32 bytes that nobody else knows. */
const secretOf = (token: string): Buffer => Buffer.from(token.split(".")[1]!, "base64url").subarray(46, 78);
