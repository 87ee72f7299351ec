import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import { authorityDocument } from "../../src/manager/store/relay-books.ts";
import { clusterId } from "../../src/names.ts";
import { pemBlocks } from "../../src/pem.ts";
import { provenCluster, whyVoid } from "../../src/relay/client-proof.ts";
import { issuedAtOf, RelayAuthority } from "../../src/relay/relay-authority.ts";
import { RelayServing } from "../../src/relay/relay-serving.ts";
import { MemoryTrustStore } from "../kits/memory-trust-store.ts";
import { TestHost } from "../kits/test-host.ts";
import { TestAuthority } from "../kits/tls.ts";

const east = clusterId("east");
const YEAR_MS = 365 * 86_400_000;
const NAME = "relay-tls-signing-secret";

function lab() {
  const [host, store] = [new TestHost(), new MemoryTrustStore()];
  const document = authorityDocument(store);
  return { host, store, document, open: () => RelayAuthority.open(host, document) };
}
const leafOf = (pem: string): Buffer => pemBlocks(pem, "CERTIFICATE")[0]!;
const credentials = (...chain: readonly Uint8Array[]) => ({
  authorization: undefined,
  clusterId: undefined,
  certificateChain: chain,
  remoteAddress: "10.0.0.1:4",
});

test("the relay's root is made once, and is the same after a restart and in each replica", async () => {
  const { open, store } = lab();
  const [one, two] = await Promise.all([open(), open()]);
  assert.equal(one.rootSha256, two.rootSha256);
  assert.equal((await open()).rootSha256, one.rootSha256);
  assert.deepEqual([...store.documents.keys()], [NAME]);
});

test("a document that cannot be used is never replaced, and its name and the fix are told", async () => {
  const { open, store, host } = lab();
  await open();
  const { data } = store.documents.get(NAME)!;
  const other = await TestAuthority.create();
  const leaf = await other.issue();
  const damaged: readonly (readonly [string, Record<string, string>, RegExp])[] = [
    ["no certificate", { "tls.crt": "" }, /tls\.crt has no certificate/],
    ["no key", { "tls.key": "junk" }, /tls\.key is no private key in PEM/],
    ["another's key", { "tls.key": other.key }, /tls\.key is not the key of tls\.crt/],
    ["a leaf", { "tls.crt": leaf.certificate, "tls.key": leaf.key }, /tls\.crt is no authority's/],
    ["half a list", { "ca.crt": "-----BEGIN CERTIFICATE-----\nMA" }, /cut short or damaged/],
  ];
  for (const [what, parts, why] of damaged) {
    store.put(NAME, new Map([...data, ...Object.entries(parts)]));
    const before = store.documents.get(NAME);
    const all = new RegExp(
      `^document ${NAME} holds no authority for the relay: .*${why.source}.*; restore it, or remove`,
    );
    await assert.rejects(open(), { code: "invalid", message: all }, what);
    assert.equal(store.documents.get(NAME), before);
  }
  store.put(NAME, data);
  host.clock.advance(11 * YEAR_MS);
  await assert.rejects(open(), /it ended at 20/);
});

test("in the last fifth of its life it is renewed with its key, and old and new certificates verify each other's", async () => {
  const { open, host } = lab();
  const authority = await open();
  const before = authority.roots[0]!;
  const old = leafOf((await authority.certify(east, newCsr().csr, host.clock.now() + 7.99 * YEAR_MS)).chain[0]!);
  host.clock.advance(7.9 * YEAR_MS);
  await authority.renewIfDue();
  assert.equal(authority.roots.length, 1);
  host.clock.advance(0.15 * YEAR_MS);
  await authority.renewIfDue();
  assert.equal(authority.roots.length, 2);
  assert.deepEqual(authority.roots[1], before);
  assert.equal(provenCluster(credentials(old), authority, host.clock).cluster, east);
  const answer = await authority.certify(east, newCsr().csr, host.clock.now());
  assert.equal(answer.relayRoots.length, 2);
  assert.ok(new X509Certificate(answer.chain[0]!).verify(new X509Certificate(before).publicKey));
  // Another replica takes what is there, and makes no third.
  assert.deepEqual((await open()).roots, authority.roots);
});

test("a client certificate is a cluster's for 30 days, for clients alone, whatever its request asked for", async () => {
  const { open, host } = lab();
  const authority = await open();
  const { csr } = newCsr("spiffe://relay.causeway.dev/cluster/west");
  const leaf = leafOf((await authority.certify(east, csr, host.clock.now())).chain[0]!);
  const proven = provenCluster(credentials(leaf), authority, host.clock);
  assert.deepEqual(
    [proven.cluster, proven.issuedAt, proven.expiresAt, issuedAtOf(leaf)],
    [east, host.clock.now(), host.clock.now() + 30 * 86_400_000, host.clock.now()],
  );
  assert.equal(whyVoid(proven, proven.issuedAt), undefined);
  assert.equal(whyVoid(proven, proven.issuedAt + 1)?.detail["reason"], "CertificateVoid");
  host.clock.advance(30 * 86_400_000);
  assert.throws(() => provenCluster(credentials(leaf), authority, host.clock), /it ended at 20/);
});

test("the manager's own certificate proves no cluster, nor does one of another root or of two names", async () => {
  const { open, host } = lab();
  const authority = await open();
  const serving = new RelayServing(host, authority, ["localhost"]).start(() => {});
  assert.throws(
    () => provenCluster(credentials(leafOf(serving.chain)), authority, host.clock),
    /it is not for clients/,
  );
  assert.throws(() => provenCluster(credentials(authority.roots[0]!), authority, host.clock), /authority/);
  const stranger = await (await lab().open()).certify(east, newCsr().csr, host.clock.now());
  // The same name and another key: a root is told by its signature.
  assert.throws(() => provenCluster(credentials(leafOf(stranger.chain[0]!)), authority, host.clock), {
    code: "unauthenticated",
  });
  assert.throws(() => provenCluster(credentials(), authority, host.clock), /it showed no certificate/);
});

test("what the manager shows ends with its root, and is renewed at half of its 30 days", async () => {
  const { open, host } = lab();
  const authority = await open();
  const renewed: string[] = [];
  const serving = new RelayServing(host, authority, ["manager.mesh", "10.0.0.7"]);
  const { chain, clientRoots } = serving.start((next) => renewed.push(next.chain));
  const [leaf, root] = pemBlocks(chain, "CERTIFICATE");
  assert.deepEqual(root, Buffer.from(authority.roots[0]!));
  assert.deepEqual(pemBlocks(clientRoots!, "CERTIFICATE"), [root]);
  assert.equal(
    new X509Certificate(leaf!).subjectAltName,
    "URI:spiffe://relay.causeway.dev/manager, DNS:manager.mesh, IP Address:10.0.0.7",
  );
  await host.clock.pass(14.9 * 86_400_000);
  assert.equal(renewed.length, 0);
  await host.clock.pass(0.2 * 86_400_000);
  assert.equal(renewed.length, 1);
  // Once the root is renewed it is shown within the hour: tokens name the new one from then on.
  host.clock.advance(8 * YEAR_MS);
  await host.clock.pass(3_600_000);
  const last = pemBlocks(renewed.at(-1)!, "CERTIFICATE")[1]!;
  assert.deepEqual([last, authority.roots.length], [Buffer.from(authority.roots[0]!), 2]);
  assert.notDeepEqual(last, root);
  serving.close();
  assert.equal(host.clock.pending, 0);
});
