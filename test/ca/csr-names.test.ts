import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { sign } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "mocha";
import { newCsr } from "../../src/ca/client.ts";
import { readCsr } from "../../src/ca/csr.ts";
import { bitString, contextTag, der, integer, oid, sequence, TAG } from "../../src/ca/der.ts";
import { toPem } from "../../src/pem.ts";
import { requireOnlyName } from "../../src/ca/csr-names.ts";

const uri = "spiffe://cluster.local/ns/shop/sa/cart";
const read = (csr: string) => readCsr(csr, (parts) => requireOnlyName(parts, uri));

let folder = "";
before(() => void (folder = mkdtempSync(join(tmpdir(), "causeway-csr-names-"))));
after(() => rmSync(folder, { recursive: true }));

/** A request as openssl makes it, with these lines for its subject and its extensions. */
function requested(subject: string, extensions: string): string {
  const file = join(folder, "req.cnf");
  const sections = `[dn]\n${subject}\n[ext]\n${extensions}\n`;
  writeFileSync(file, `[req]\nprompt = no\ndistinguished_name = dn\nreq_extensions = ext\n${sections}`);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null"];
  const nobody = subject === "" ? ["-subj", "/"] : [];
  const { status, stdout, stderr } = spawnSync("openssl", ["req", "-new", ...key, "-config", file, ...nobody], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

/** One with these attributes, in DER. */
function having(...attributes: readonly Buffer[]): string {
  const { privateKey, publicKey } = newCsr();
  const info = sequence(integer(Buffer.of(0)), sequence(), publicKey, der(contextTag(0, true), ...attributes));
  const signature = bitString(sign("sha256", info, privateKey));
  return toPem("CERTIFICATE REQUEST", sequence(info, sequence(oid("1.2.840.10045.4.3.2")), signature));
}
const password = sequence(oid("1.2.840.113549.1.9.7"), der(TAG.set, der(TAG.utf8String, Buffer.from("secret"))));
const nameAsked = sequence(
  oid("1.2.840.113549.1.9.14"),
  der(
    TAG.set,
    sequence(sequence(oid("2.5.29.17"), der(TAG.octetString, sequence(der(contextTag(6, false), Buffer.from(uri)))))),
  ),
);

const san = (names: string): string => `subjectAltName = critical,${names}`;

test("a request as ztunnel makes it has the identity as its one name, and its bytes are handed on as they came", async () => {
  const { csr, publicKey } = newCsr(uri);
  const parts = await read(csr);
  assert.deepEqual(Buffer.from(parts.publicKey), Buffer.from(publicKey));
  assert.equal(Buffer.from(parts.whole).toString("base64"), csr.replace(/-----.*-----|\s/g, ""));
});

test("openssl reads the name that our own requests have", async function () {
  if (spawnSync("openssl", ["version"]).status !== 0) this.skip();
  const { stdout } = spawnSync("openssl", ["req", "-noout", "-text", "-verify"], {
    input: newCsr(uri).csr,
    encoding: "utf8",
  });
  assert.match(stdout, /X509v3 Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster.local\/ns\/shop\/sa\/cart/);
  await read(requested("", san(`URI:${uri}`)));
  await read(having(nameAsked));
});

/** A sidecar's, as Istio's agent writes it: Go spells an empty organization as a PrintableString. */
test("the empty organization of a sidecar's request is no subject", async () => {
  const { csr } = newCsr(uri);
  const { subject: _none, ...parts } = await readCsr(csr);
  for (const subject of ["300b3109300706035504 0a1300", "300b31093007060355040a0c00"])
    requireOnlyName({ ...parts, subject: Buffer.from(subject.replace(" ", ""), "hex") }, uri);
});

const refused: readonly (readonly [string, () => string, RegExp])[] = [
  ["no name", () => newCsr().csr, /it has no name, where URI:spiffe:.*cart must be all that it asks for/],
  [
    "another identity",
    () => newCsr("spiffe://cluster.local/ns/shop/sa/pay").csr,
    /has the name URI:spiffe:.*\/sa\/pay/,
  ],
  ["another trust domain", () => newCsr("spiffe://other/ns/shop/sa/cart").csr, /has the name URI:spiffe:\/\/other/],
  ["the scheme in capitals", () => newCsr(uri.replace("spiffe", "SPIFFE")).csr, /has the name URI:SPIFFE/],
  ["a second identity", () => requested("", san(`URI:${uri},URI:${uri}2`)), /has the name URI:spiffe:.*cart2/],
  ["its name twice", () => requested("", san(`URI:${uri},URI:${uri}`)), /has its name twice/],
  [
    "a DNS name beside",
    () => requested("", san(`URI:${uri},DNS:istiod.istio-system.svc`)),
    /the name DNS:istiod.istio-system.svc/,
  ],
  ["a DNS name first", () => requested("", san(`DNS:a.example,URI:${uri}`)), /the name DNS:a.example/],
  ["an address", () => requested("", san(`URI:${uri},IP:10.0.0.1`)), /the name of the kind 7/],
  ["a common name", () => requested("CN = istiod", san(`URI:${uri}`)), /it has a subject/],
  ["an organization", () => requested("O = admins", san(`URI:${uri}`)), /it has a subject/],
  [
    "a right of an authority",
    () => requested("", `${san(`URI:${uri}`)}\nbasicConstraints = CA:TRUE`),
    /the extension 2.5.29.19/,
  ],
  ["another attribute", () => having(password), /has the attribute 1.2.840.113549.1.9.7/],
  ["another attribute beside its name", () => having(nameAsked, password), /has several attributes/],
  ["its name asked for twice", () => having(nameAsked, nameAsked), /has several attributes/],
  ["control characters", () => newCsr("spiffe://x/\n\u001b[31m").csr, /has the name URI:spiffe:\/\/x\/\\n/],
];
for (const [what, csr, why] of refused)
  test(`a request with ${what} is refused where the signer would write that into the certificate`, async () => {
    await assert.rejects(read(csr()), (error: Error & { code?: string; detail?: unknown }) => {
      assert.match(error.message, why);
      assert.deepEqual([error.code, error.detail], ["invalid", { stage: "request" }]);
      return true;
    });
  });
