import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { before, test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import { LocalSigner } from "../../src/ca/local-signer.ts";
import { MeshError } from "../../src/errors.ts";
import { SpireBundles } from "../../src/spire/bundles.ts";
import { DownstreamSigner } from "../../src/spire/downstream-signer.ts";
import { signerKit } from "../kits/signer.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { DownstreamServer } from "./downstream-server.ts";

const trustDomain = "mesh.test";
const HOUR_MS = 3_600_000;
const start = new TestHost().clock.now();
const staying = new AbortController().signal;
const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };
const order = { identity, csr: newCsr().csr, ttlSeconds: 86_400, bearer: undefined };
let root: TestAuthority;
before(async () => {
  const life = { notBeforeMs: start - HOUR_MS, notAfterMs: start + 1000 * HOUR_MS };
  root = await TestAuthority.create({ name: "CN=spire root", ...life });
});

function lab() {
  const host = new TestHost();
  const server = new DownstreamServer(host, trustDomain, root);
  const bundles = new SpireBundles(host, { trustDomain, onChange: () => {}, onFaults: () => {} });
  bundles.sayOwn({ trustDomain, authorities: [derOf(root.root)] });
  const open = (): DownstreamSigner =>
    new DownstreamSigner(host, {
      ...{ trustDomain, server, bundles, refresh: () => Promise.resolve(), onFaults: () => {} },
      open: (authority) => Object.assign(new LocalSigner(host, authority, trustDomain), { close: () => {} }),
    });
  return { host, server, open };
}

signerKit("an authority that SPIRE gives", async () => {
  const { host, open } = lab();
  // A sixth of its authority's life bounds a leaf's, so it may end before it was asked to.
  return Promise.resolve({ signer: open(), clock: host.clock, trustDomain, foreign: true });
});

test("a certificate that is asked for while the first authority is on its way waits for it, and lives a sixth of its life", async () => {
  const { open, host } = lab();
  const signer = open();
  const { chain } = await signer.issue(order, staying);
  assert.equal(chain.length, 2);
  const { notAfter } = signer.describe();
  assert.equal(notAfter, start + 24 * HOUR_MS);
  const { validTo } = new X509Certificate(chain[0]);
  assert.equal(Date.parse(validTo), host.clock.now() + 4 * HOUR_MS);
});

test("without an authority nothing is signed, and who asks is to ask again", async () => {
  const { open, server, host } = lab();
  server.failure = new MeshError("denied", "our entry is not downstream");
  const signer = open();
  await assert.rejects(signer.issue(order, staying), (error) => {
    return (
      error instanceof MeshError && error.code === "unavailable" && /our entry is not downstream/.test(error.message)
    );
  });
  assert.deepEqual([signer.describe().key, signer.expiresAt], [undefined, 0]);
  server.failure = undefined;
  await host.clock.pass(5_000);
  assert.equal((await signer.issue(order, staying)).chain.length, 2);
  signer.close();
});
