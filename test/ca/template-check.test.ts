import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { test } from "mocha";
import { type CertificateTemplate, EMPTY_NAME, organizationName, signCertificate } from "../../src/ca/certificate.ts";
import { newCsr } from "../../src/ca/client.ts";
import { lintSvid } from "../../src/ca/lint.ts";
import type { SvidChain } from "../../src/ca/signer.ts";
import { checkTemplate } from "../../src/ca/template-check.ts";
import { MeshError } from "../../src/errors.ts";
import { certificateWith, context } from "../kits/malformed-certificates.ts";

const now = 1_700_000_000_000;
const ends = now + 7_200_000;
const uri = "spiffe://cluster.local/ns/shop/sa/cart";
const workload: CertificateTemplate = {
  serial: Buffer.alloc(16, 0x45),
  notBefore: now - 60_000,
  notAfter: now + 3_600_000,
  subject: EMPTY_NAME,
  publicKey: newCsr().publicKey,
  purpose: "workload",
  names: { uris: [uri] },
};
const server: CertificateTemplate = {
  ...workload,
  purpose: "control-plane",
  names: { uris: ["spiffe://cluster.local/ns/istio-system/sa/istiod"], dns: ["istiod"] },
};
const named = (names: CertificateTemplate["names"]): CertificateTemplate => ({
  ...server,
  names: { ...server.names, ...names },
});
const client: CertificateTemplate = {
  ...workload,
  purpose: "client",
  names: { uris: ["spiffe://relay.test/cluster/east"] },
};
const authority: CertificateTemplate = {
  ...workload,
  purpose: "authority",
  subject: organizationName("cluster.local"),
  names: {},
};

test("a template as it should be is signed as it is", () => {
  const constrained = { ...authority, pathLength: 0, names: { uris: ["spiffe://cluster.local"] } };
  for (const template of [workload, server, authority, constrained, client])
    assert.equal(checkTemplate(template, ends), template);
});

const refusals: readonly (readonly [string, CertificateTemplate, RegExp])[] = [
  ["a serial of zero", { ...workload, serial: Buffer.alloc(16) }, /4\.1\.2\.2: .*not positive/],
  ["no serial", { ...workload, serial: Buffer.alloc(0) }, /4\.1\.2\.2: .*no bytes/],
  ["a serial of 21 bytes", { ...workload, serial: Buffer.alloc(21, 1) }, /4\.1\.2\.2: .*over 20/],
  ["a serial of 21 bytes once it is positive", { ...workload, serial: Buffer.alloc(20, 0xff) }, /4\.1\.2\.2/],
  ["a life that ends before it begins", { ...workload, notAfter: now - 61_000 }, /4\.1\.2\.5/],
  ["a life that is no number", { ...workload, notAfter: NaN }, /4\.1\.2\.5/],
  ["a life beyond its issuer's", { ...workload, notAfter: ends + 1 }, /outlasts its issuer/],
  ["a life beyond the year 9999", { ...workload, notAfter: 1e15 }, /4\.1\.2\.5/],
  ["a key that is none", { ...workload, publicKey: Buffer.from("junk") }, /4\.1\.2\.7/],
  ["no name", { ...workload, names: {} }, /not exactly one name/],
  ["two names", { ...workload, names: { uris: [uri, uri] } }, /not exactly one name/],
  ["a DNS name beside its identity", { ...workload, names: { uris: [uri], dns: ["x"] } }, /not exactly one name/],
  ["a subject", { ...workload, subject: organizationName("x") }, /a subject beside its name/],
  ["a name with dots", { ...workload, names: { uris: ["spiffe://a/ns/b/sa/.."] } }, /SPIFFE-ID 2/],
  ["a client with an address", { ...client, names: { ...client.names, dns: ["x"] } }, /a client has one name/],
  ["a client without a path", { ...client, names: { uris: ["spiffe://relay.test"] } }, /SPIFFE-ID 2/],
  ["a client with dots", { ...client, names: { uris: ["spiffe://relay.test/cluster/.."] } }, /SPIFFE-ID 2/],
  ["a client with two names", { ...client, names: { uris: [uri, uri] } }, /not exactly one URI/],
  ["a client with a subject", { ...client, subject: organizationName("x") }, /a subject beside its names/],
  ["a control plane without identity", named({ uris: [] }), /X509-SVID 2: it has not exactly one URI/],
  ["a control plane with two identities", named({ uris: [uri, uri] }), /not exactly one URI/],
  ["a control plane named like an authority", named({ uris: ["spiffe://cluster.local"] }), /SPIFFE-ID 2/],
  ["a control plane without a server's name", named({ dns: [] }), /has DNS names/],
  ["a server whose name has a NUL", named({ dns: ["istiod\0.evil"] }), /is no DNS name/],
  ["an address of five bytes", named({ ips: [Buffer.alloc(5)] }), /4 or 16 bytes/],
  ["an authority of a workload's name", { ...authority, names: { uris: [uri] } }, /X509-SVID 3: .*no path/],
  ["an authority of no trust domain", { ...authority, names: { uris: ["spiffe://A"] } }, /X509-SVID 3/],
  ["a path length below zero", { ...authority, pathLength: -1 }, /4\.2\.1\.9/],
  ["a path length over a byte", { ...authority, pathLength: 300 }, /4\.2\.1\.9/],
  ["an authority without a subject", { ...authority, subject: EMPTY_NAME }, /an authority has a subject/],
];
for (const [what, template, reason] of refusals)
  test(`a template with ${what} is not signed, and the rule is named`, () => {
    assert.throws(
      () => checkTemplate(template, ends),
      (error) => error instanceof MeshError && error.code === "internal" && reason.test(error.message),
    );
  });

test("no template is signed unchecked, and no certificate returned unlinted: the compiler says so", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuer = {
    subject: context.issuer,
    keyId: context.issuerKeyId,
    privateKey: createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" })),
  };
  // @ts-expect-error: a template that nobody checked
  assert.ok(signCertificate(workload, issuer));
  assert.ok(signCertificate(checkTemplate(workload), issuer));
  const unlinted = certificateWith();
  // @ts-expect-error: a certificate that nobody linted
  const wrong: SvidChain = [unlinted];
  const right: SvidChain = [lintSvid(unlinted, context)];
  // @ts-expect-error: bytes from anywhere
  assert.throws(() => lintSvid(Buffer.alloc(3), context));
  assert.deepEqual(wrong, right);
});
