import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { test } from "mocha";
import {
  type CertificateTemplate,
  EMPTY_NAME,
  type IssuingKey,
  organizationName,
  signCertificate,
} from "../../src/ca/certificate.ts";
import { newCsr } from "../../src/ca/client.ts";
import { lintSvid } from "../../src/ca/lint.ts";
import { MeshError } from "../../src/errors.ts";

const now = 1_700_000_000_000;
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const issuer: IssuingKey = {
  subject: organizationName("cluster.local"),
  keyId: Buffer.alloc(20, 1),
  privateKey: createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" })),
};
const { publicKey } = newCsr();
const uri = "spiffe://cluster.local/ns/shop/sa/cart";
const good: CertificateTemplate = {
  serial: Buffer.alloc(16, 0x45),
  notBefore: now - 60_000,
  notAfter: now + 3_600_000,
  subject: EMPTY_NAME,
  publicKey,
  purpose: "workload",
  names: { uris: [uri] },
};
const context = {
  request: {
    identity: { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" },
    publicKey,
    ttlSeconds: 3600,
  },
  issuer: issuer.subject,
  issuerKeyId: issuer.keyId,
  issuerNotAfter: now + 7_200_000,
  now,
};

test("a certificate as it should be is let out", () => {
  lintSvid(signCertificate(good, issuer), context);
});

const broken: readonly (readonly [string, Partial<CertificateTemplate>, RegExp])[] = [
  ["another identity", { names: { uris: ["spiffe://cluster.local/ns/shop/sa/pay"] } }, /name is not the identity/],
  ["two identities", { names: { uris: [uri, uri] } }, /not exactly one URI name/],
  ["a DNS name beside it", { names: { uris: [uri], dns: ["shop"] } }, /not exactly one URI name/],
  ["no name", { names: {} }, /not exactly one URI name/],
  ["a DNS name instead", { names: { dns: [uri] } }, /not exactly one URI name/],
  ["a subject", { subject: organizationName("x") }, /a subject beside its name/],
  ["another key", { publicKey: newCsr().publicKey }, /key is not the one that was asked for/],
  ["a life that is over", { notAfter: now - 1000 }, /its time/],
  ["a life that has not begun", { notBefore: now + 60_000 }, /its time/],
  ["a life beyond its issuer's", { notAfter: now + 7_201_000 }, /outlasts its issuer/],
  ["a longer life than was asked for", { notAfter: now + 3_601_000 }, /longer than was asked for/],
  ["a serial of zero", { serial: Buffer.alloc(16) }, /serial number/],
  ["a serial of 21 bytes", { serial: Buffer.alloc(21, 1) }, /serial number/],
  ["the rights of an authority", { purpose: "authority" }, /./],
  ["use for servers only", { purpose: "server" }, /not for servers and clients both, and nothing else/],
];
for (const [what, change, reason] of broken)
  test(`a certificate with ${what} is not let out`, () => {
    assert.throws(
      () => lintSvid(signCertificate({ ...good, ...change }, issuer), context),
      (error) => error instanceof MeshError && reason.test(error.message),
    );
  });

test("a certificate of another issuer is not let out", () => {
  const other = { ...issuer, subject: organizationName("other") };
  assert.throws(() => lintSvid(signCertificate(good, other), context), /its issuer is not who signed it/);
});

test("a certificate that points to another key of its issuer is not let out", () => {
  const other = { ...issuer, keyId: Buffer.alloc(20, 2) };
  assert.throws(() => lintSvid(signCertificate(good, other), context), /does not name its issuer's key/);
});

test("an identity whose parts make it another is not let out, though the certificate agrees with it", () => {
  for (const serviceAccount of ["cart/../../kube-system/sa/admin", "", "..", "c\u0161rt", "c%61rt"]) {
    const identity = { ...context.request.identity, serviceAccount };
    const names = { uris: [`spiffe://cluster.local/ns/shop/sa/${serviceAccount}`] };
    const asked = { ...context, request: { ...context.request, identity } };
    assert.throws(
      () => lintSvid(signCertificate({ ...good, names }, issuer), asked),
      /service account|the path is not|name is not the identity/,
    );
  }
});

test("a certificate that is damaged is not let out", () => {
  const bytes = signCertificate(good, issuer);
  assert.throws(() => lintSvid(bytes.subarray(0, bytes.length - 10), context), MeshError);
  assert.throws(() => lintSvid(Buffer.concat([bytes, Buffer.of(0)]), context), /something follows/);
});
