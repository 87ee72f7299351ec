import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, type KeyObject, sign, webcrypto } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import fc from "fast-check";
import { test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import { parseCsr } from "../../src/ca/csr.ts";
import { bitString, contextTag, der, integer, oid, sequence, TAG } from "../../src/ca/der.ts";
import { toPem } from "../../src/pem.ts";
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

const refused = (pem: string, reason: RegExp): Promise<void> =>
  assert.rejects(
    parseCsr(pem),
    (error) => error instanceof MeshError && error.code === "invalid" && reason.test(error.message),
  );

test("a request of an allowed kind gives its public key", async () => {
  for (const algorithm of [P256, { ...P256, namedCurve: "P-384", hash: "SHA-384" }, rsa(2048)]) {
    const { pem, spki } = await request(algorithm);
    assert.deepEqual(Buffer.from(await parseCsr(pem)), spki);
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
  assert.deepEqual(Buffer.from(await parseCsr(pem)), spki);
});

test("keys that are weak or of another kind are refused", async () => {
  await refused(
    (await request(rsa(1024))).pem,
    /its key is rsa 1024; use P-256 or P-384, .* or RSA of 2048 to 4096 bits/,
  );
  await refused((await request({ ...P256, namedCurve: "P-521", hash: "SHA-512" })).pem, /its key is secp521r1/);
});

const ECDSA_SHA256 = "1.2.840.10045.4.3.2";
const RSA_SHA256 = "1.2.840.113549.1.1.11";

/** A request for a key in whatever encoding, signed by whomever. */
function requestFor(publicKey: Uint8Array, signer: KeyObject, algorithm = ECDSA_SHA256): string {
  const info = sequence(integer(Buffer.of(0)), sequence(), publicKey, der(contextTag(0, true)));
  return toPem(
    "CERTIFICATE REQUEST",
    sequence(info, sequence(oid(algorithm)), bitString(sign("sha256", info, signer))),
  );
}
const spkiOf = (key: KeyObject): Buffer => key.export({ type: "spki", format: "der" });
/** The public key of a modulus of this many bits whose factors nobody knows. */
const rsaOf = (modulusBits: number, e = "AQAB"): Buffer =>
  spkiOf(
    createPublicKey({
      key: { kty: "RSA", n: Buffer.alloc(modulusBits / 8, 0xff).toString("base64url"), e },
      format: "jwk",
    }),
  );

test("no key of another kind or size is taken", async () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const cases: readonly (readonly [Buffer, RegExp])[] = [
    [spkiOf(generateKeyPairSync("ec", { namedCurve: "P-224" }).publicKey), /its key is secp224r1/],
    [spkiOf(generateKeyPairSync("ed25519").publicKey), /its key is ed25519/],
    [spkiOf(generateKeyPairSync("dsa", { modulusLength: 1024, divisorLength: 160 }).publicKey), /its key is dsa/],
    [spkiOf(generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).publicKey), /its key is rsa-pss/],
    [rsaOf(512), /its key is rsa 512/],
    [rsaOf(16_384), /its key is rsa 16384/],
    [rsaOf(3072, Buffer.alloc(384, 0x7f).toString("base64url")), /its key is rsa 3072/],
  ];
  for (const [spki, reason] of cases) await refused(requestFor(spki, privateKey), reason);
});

test("a key is taken in its one encoding only, for it is copied into the certificate", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = spkiOf(publicKey);
  assert.deepEqual(Buffer.from(await parseCsr(requestFor(spki, privateKey))), spki);
  const point = spki.subarray(26);
  const compressed = Buffer.concat([Buffer.of(2 + (point.at(-1)! & 1)), point.subarray(1, 33)]);
  const named = sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7"));
  assert.deepEqual(sequence(named, bitString(point)), spki);
  await refused(requestFor(sequence(named, bitString(compressed)), privateKey), /prime256v1 in this encoding/);
  await refused(requestFor(sequence(explicitP256(), bitString(point)), privateKey), /prime256v1 in this encoding/);

  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const whole = spkiOf(rsa.publicKey);
  assert.deepEqual(Buffer.from(await parseCsr(requestFor(whole, rsa.privateKey, RSA_SHA256))), whole);
  // The length of the algorithm in two bytes where one will do, as BER allows.
  const ber = sequence(Buffer.of(0x30, 0x81), whole.subarray(5));
  await refused(requestFor(ber, rsa.privateKey, RSA_SHA256), /a length is not in its shortest form/);
});

/** P-256 by its parameters instead of its name (RFC 3279 2.3.5). */
function explicitP256(): Buffer {
  const hex = (text: string): Buffer => Buffer.from(text, "hex");
  const p = hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
  const a = hex("ffffffff00000001000000000000000000000000fffffffffffffffffffffffc");
  const b = hex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b");
  const x = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
  const y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
  const order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
  const field = sequence(oid("1.2.840.10045.1.1"), integer(p));
  const curve = sequence(der(TAG.octetString, a), der(TAG.octetString, b));
  const one = integer(Buffer.of(1));
  const generator = der(TAG.octetString, hex(`04${x}${y}`));
  return sequence(oid("1.2.840.10045.2.1"), sequence(one, field, curve, generator, integer(order), one));
}

test("a request that claims an algorithm of another kind of key is refused", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  await refused(requestFor(spkiOf(publicKey), privateKey, ECDSA_SHA256), /not signed by its own key/);
  await refused(
    requestFor(spkiOf(publicKey), privateKey, "1.2.840.113549.1.1.5"),
    /signed with 1.2.840.113549.1.1.5; use/,
  );
});

test("a request that its key did not sign is refused", async () => {
  const [one, other] = [await request(P256), await request(P256)];
  const bytes = Buffer.from(one.pem.replace(/-----.*-----/g, ""), "base64");
  const at = bytes.indexOf(one.spki);
  other.spki.copy(bytes, at);
  await refused(x509.PemConverter.encode(bytes, "CERTIFICATE REQUEST"), /not signed by its own key/);
});

test("a key that is no point of its curve is refused", async () => {
  const { pem, spki } = await request(P256);
  const bytes = Buffer.from(pem.replace(/-----.*-----/g, ""), "base64");
  bytes.fill(1, bytes.indexOf(spki) + 27, bytes.indexOf(spki) + 91);
  await refused(x509.PemConverter.encode(bytes, "CERTIFICATE REQUEST"), /its key is no point of P-256/);
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
  for (const [pem, reason] of cases) await refused(pem, reason);
});

test("whatever is sent for a request is refused with an error", async () => {
  const anything = fc.oneof(
    fc.string({ unit: "binary", maxLength: 200 }),
    fc.uint8Array({ maxLength: 400 }).map((bytes) => toPem("CERTIFICATE REQUEST", bytes)),
    // Well-formed, as far as the parser looks, with any key and signature.
    fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 80 })).map(([key, signature]) => {
      const info = sequence(integer(Buffer.of(0)), sequence(), sequence(key));
      return toPem("CERTIFICATE REQUEST", sequence(info, sequence(oid(ECDSA_SHA256)), bitString(signature)));
    }),
  );
  await fc.assert(
    fc.asyncProperty(anything, (pem) => refused(pem, /cannot be used/)),
    { numRuns: 500 },
  );
});

test("however a request is damaged, it is refused with an error, or still the same key", async () => {
  const { csr, publicKey } = newCsr();
  const bytes = Buffer.from(csr.replace(/-----.*-----/g, ""), "base64");
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), async (at, value, length) => {
      const damaged = Buffer.from(bytes.subarray(0, length < bytes.length / 2 ? length : bytes.length));
      if (at < damaged.length) damaged[at] = value;
      try {
        assert.deepEqual(
          Buffer.from(await parseCsr(x509.PemConverter.encode(damaged, "CERTIFICATE REQUEST"))),
          publicKey,
        );
      } catch (error) {
        assert.ok(error instanceof MeshError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});
