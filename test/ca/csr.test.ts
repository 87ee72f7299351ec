import assert from "node:assert/strict";
import { generateKeyPairSync, webcrypto } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import fc from "fast-check";
import { test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import { parseCsr } from "../../src/ca/csr.ts";
import { MeshError } from "../../src/errors.ts";

x509.cryptoProvider.set(globalThis.crypto);

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const rsa = (modulusLength: number) => ({
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  publicExponent: new Uint8Array([1, 0, 1]),
  modulusLength,
});

type Algorithm = typeof P256 | ReturnType<typeof rsa>;

async function request(
  algorithm: Algorithm,
  extensions: x509.Extension[] = [],
): Promise<{ pem: string; spki: Buffer }> {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: "CN=whoever",
    keys,
    signingAlgorithm: algorithm,
    extensions,
  });
  return { pem: csr.toString("pem"), spki: Buffer.from(csr.publicKey.rawData) };
}

const refused = (pem: string, reason: RegExp): void =>
  assert.throws(
    () => parseCsr(pem),
    (error) => error instanceof MeshError && error.code === "invalid" && reason.test(error.message),
  );

test("a request of an allowed kind gives its public key", async () => {
  for (const algorithm of [P256, { ...P256, namedCurve: "P-384", hash: "SHA-384" }, rsa(2048)]) {
    const { pem, spki } = await request(algorithm);
    assert.deepEqual(Buffer.from(parseCsr(pem)), spki);
  }
});

test("what a request says of names, authority and use is not believed, and no hindrance", async () => {
  const greedy = [
    new x509.BasicConstraintsExtension(true, 5, true),
    new x509.SubjectAlternativeNameExtension([
      { type: "url", value: "spiffe://cluster.local/ns/kube-system/sa/admin" },
      { type: "dns", value: "*.example.com" },
    ]),
  ];
  const { pem, spki } = await request(P256, greedy);
  assert.deepEqual(Buffer.from(parseCsr(pem)), spki);
});

test("keys that are weak or of another kind are refused", async () => {
  refused((await request(rsa(1024))).pem, /its key is rsa 1024; use P-256, P-384, or RSA of 2048 to 4096 bits/);
  refused((await request({ ...P256, namedCurve: "P-521", hash: "SHA-512" })).pem, /its key is secp521r1/);
});

test("a request that its key did not sign is refused", async () => {
  const [one, other] = [await request(P256), await request(P256)];
  const bytes = Buffer.from(one.pem.replace(/-----.*-----/g, ""), "base64");
  const at = bytes.indexOf(one.spki);
  other.spki.copy(bytes, at);
  refused(x509.PemConverter.encode(bytes, "CERTIFICATE REQUEST"), /not signed by its own key/);
});

test("a key that is no point of its curve is refused", async () => {
  const { pem, spki } = await request(P256);
  const bytes = Buffer.from(pem.replace(/-----.*-----/g, ""), "base64");
  bytes.fill(1, bytes.indexOf(spki) + 27, bytes.indexOf(spki) + 91);
  refused(x509.PemConverter.encode(bytes, "CERTIFICATE REQUEST"), /cannot be used/);
});

test("what is no request is refused", async () => {
  const { csr } = newCsr();
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificate = csr.replaceAll("CERTIFICATE REQUEST", "CERTIFICATE");
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /one PEM block/],
    ["hello", /one PEM block/],
    [certificate, /one PEM block/],
    [publicKey.export({ type: "spki", format: "pem" }).toString(), /one PEM block/],
    [csr + csr, /one PEM block/],
    [`${csr}junk`, /one PEM block/],
    [`junk${csr}`, /one PEM block/],
    ["x".repeat(1 << 20), /over 16384 characters/],
    ["-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n", /not well-formed DER/],
  ];
  for (const [pem, reason] of cases) refused(pem, reason);
});

test("however a request is damaged, it is refused with an error, or still the same key", () => {
  const { csr, publicKey } = newCsr();
  const bytes = Buffer.from(csr.replace(/-----.*-----/g, ""), "base64");
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, length) => {
      const damaged = Buffer.from(bytes.subarray(0, length < bytes.length / 2 ? length : bytes.length));
      if (at < damaged.length) damaged[at] = value;
      try {
        assert.deepEqual(Buffer.from(parseCsr(x509.PemConverter.encode(damaged, "CERTIFICATE REQUEST"))), publicKey);
      } catch (error) {
        assert.ok(error instanceof MeshError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});
