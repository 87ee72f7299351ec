import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { test } from "mocha";
import {
  type CertificateTemplate,
  type CheckedTemplate,
  EMPTY_NAME,
  type IssuingKey,
  keyIdOf,
  organizationName,
  signatureOf,
  signCertificate,
  type UnlintedCertificate,
} from "../../src/ca/certificate.ts";
import { lintTemplate } from "../../src/ca/lint-template.ts";
import { ownCertificate } from "../../src/ca/own-certificate.ts";
import { MeshError } from "../../src/errors.ts";

const keysOf = (namedCurve = "P-256") => generateKeyPairSync("ec", { namedCurve });
const spki = (key: ReturnType<typeof keysOf>["publicKey"]): Buffer => key.export({ type: "spki", format: "der" });
const root = keysOf();
const issuer: IssuingKey = {
  subject: organizationName("cluster.local", "root"),
  keyId: keyIdOf(spki(root.publicKey)),
  privateKey: root.privateKey,
};
const own = keysOf();
const now = 1_700_000_000_000;
const uri = "spiffe://cluster.local/ns/istio-system/sa/istiod";

type Kind = "control-plane" | "authority" | "server" | "client";
type Template = CertificateTemplate & { readonly purpose: Kind };

const common = {
  serial: Buffer.alloc(16, 0x45),
  notBefore: now,
  notAfter: now + 3_600_000,
  publicKey: spki(own.publicKey),
};
const templates: Readonly<Record<Kind, Template>> = {
  "control-plane": {
    ...common,
    subject: EMPTY_NAME,
    purpose: "control-plane",
    names: { uris: [uri], dns: ["istiod.istio-system.svc", "localhost"], ips: [Buffer.of(127, 0, 0, 1)] },
  },
  server: {
    ...common,
    subject: EMPTY_NAME,
    purpose: "server",
    names: { uris: ["spiffe://relay.test/manager"], dns: ["manager"] },
  },
  client: { ...common, subject: EMPTY_NAME, purpose: "client", names: { uris: ["spiffe://relay.test/cluster/east"] } },
  authority: {
    ...common,
    subject: organizationName("cluster.local", "east"),
    purpose: "authority",
    pathLength: 0,
    names: { uris: ["spiffe://cluster.local"] },
  },
};
/** Signed as it is: what a mistake in the code that makes certificates would do. */
const signed = (template: CertificateTemplate, by = issuer): UnlintedCertificate =>
  signCertificate(template as CheckedTemplate, by);
const lint = (bytes: UnlintedCertificate, template: Template): Uint8Array =>
  lintTemplate(bytes, template as CheckedTemplate & { readonly purpose: Kind }, {
    issuer: issuer.subject,
    issuerKeyId: issuer.keyId,
    signature: signatureOf(issuer.privateKey),
    issuerKey: root.publicKey,
  });

test("a control plane's certificate and an authority's are let out as they are, and OpenSSL takes them", () => {
  for (const template of Object.values(templates)) {
    const bytes = ownCertificate(template, issuer, now + 3_600_000);
    const certificate = new X509Certificate(bytes);
    assert.ok(certificate.verify(root.publicKey));
    assert.equal(certificate.ca, template.purpose === "authority");
  }
});

const { "control-plane": server, authority, client } = templates;
const other = keysOf();
const weak = { ...server, publicKey: spki(keysOf("secp224r1").publicKey) };
const malformed: readonly (readonly [string, Template, () => UnlintedCertificate, RegExp])[] = [
  ["another key", server, () => signed({ ...server, publicKey: spki(other.publicKey) }), /its key is another/],
  ["another serial number", server, () => signed({ ...server, serial: Buffer.of(7) }), /its serial number is another/],
  ["a longer life", server, () => signed({ ...server, notAfter: now + 7_200_000 }), /its life is another/],
  ["an earlier life", server, () => signed({ ...server, notBefore: now - 1_000 }), /its life is another/],
  ["a name more", server, () => signed({ ...server, names: { ...server.names, dns: ["evil.example"] } }), /its names/],
  ["no URI", server, () => signed({ ...server, names: { ...server.names, uris: [] } }), /its names are others/],
  ["a subject", server, () => signed({ ...server, subject: organizationName("x") }), /its subject is another/],
  ["the shape of an authority", server, () => signed({ ...server, purpose: "authority" }), /X509-SVID 4\.1: it is an/],
  [
    "another issuer's name",
    server,
    () => signed(server, { ...issuer, subject: EMPTY_NAME }),
    /issuer is not who signed/,
  ],
  [
    "another issuer's key identifier",
    server,
    () => signed(server, { ...issuer, keyId: Buffer.alloc(20) }),
    /4\.2\.1\.1/,
  ],
  [
    "another issuer's signature",
    server,
    () => signed(server, { ...issuer, privateKey: other.privateKey }),
    /not verify/,
  ],
  ["a weak key", weak, () => signed(weak), /4\.1\.2\.7/],
  [
    "the shape of a leaf",
    authority,
    () => signed({ ...authority, purpose: "control-plane" }),
    /critical, that it is an auth/,
  ],
  ["the use of a server", client, () => signed({ ...client, purpose: "server" }), /not for a client, and nothing else/],
  [
    "the use of both",
    templates.server,
    () => signed({ ...templates.server, purpose: "control-plane" }),
    /for a server/,
  ],
  ["any path length", authority, () => signed(without(authority)), /its path length is another/],
  ["a longer path", authority, () => signed({ ...authority, pathLength: 1 }), /its path length is another/],
  ["another key identifier", authority, () => signed({ ...authority, keyId: Buffer.alloc(20) }), /name its own key/],
  ["a workload's name", named(uri), () => signed(named(uri)), /X509-SVID 3: it is named otherwise/],
  ["another's name", named("https://x"), () => signed(named("https://x")), /X509-SVID 3: it is named otherwise/],
  [
    "no subject",
    { ...authority, subject: EMPTY_NAME },
    () => signed({ ...authority, subject: EMPTY_NAME }),
    /4\.1\.2\.6/,
  ],
];
for (const [what, template, make, why] of malformed)
  test(`a certificate for a ${template.purpose} with ${what} is not let out, and the rule is named`, () => {
    assert.throws(
      () => lint(make(), template),
      (error) => error instanceof MeshError && error.code === "internal" && why.test(error.message),
      String(why),
    );
  });

for (const template of Object.values(templates))
  test(`whichever byte of a certificate for a ${template.purpose} is changed, it is not let out`, () => {
    const good = signed(template);
    for (let at = 0; at < good.length; at += 1) {
      const bytes = Buffer.from(good) as UnlintedCertificate;
      bytes[at]! ^= 0x01;
      assert.throws(() => lint(bytes, template), MeshError, `byte ${at}`);
    }
  });

test("a root that is renewed keeps the key identifier that others know it by", () => {
  const keyId = Buffer.alloc(20, 9);
  const template = { ...without(authority), keyId };
  const certificate = new X509Certificate(ownCertificate(template, issuer));
  assert.ok(certificate.raw.includes(keyId));
  assert.equal(createPublicKey(own.privateKey).equals(certificate.publicKey), true);
});

function without({ pathLength: _, ...template }: Template): Template {
  return template;
}

function named(name: string): Template {
  return { ...authority, names: { uris: [name] } };
}
