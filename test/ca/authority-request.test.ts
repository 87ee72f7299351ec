import "reflect-metadata";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createPublicKey } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { test } from "mocha";
import { type AuthorityShape, newAuthorityRequest, readAuthorityRequest } from "../../src/ca/authority-request.ts";
import { newCsr } from "../../src/ca/client.ts";
import { KEY_TYPES } from "../../src/ca/key-type.ts";
import { MeshError } from "../../src/errors.ts";
import { makeCsr } from "../kits/csr.ts";

const shape: AuthorityShape = {
  organization: "Example, Inc.",
  commonName: "cluster east",
  trustDomain: "mesh.example",
  pathLength: 1,
  keyType: "ec-p256",
};

for (const keyType of KEY_TYPES)
  test(`a request for an authority with a key of ${keyType} says all that it is to be, to others and to us`, async () => {
    const { csr, privateKey } = await newAuthorityRequest({ ...shape, keyType });
    const request = new x509.Pkcs10CertificateRequest(csr);
    assert.ok(await request.verify());
    assert.equal(request.subject, "O=Example\\, Inc., CN=cluster east");
    const constraints = request.extensions.find((one) => one instanceof x509.BasicConstraintsExtension);
    assert.deepEqual([constraints?.ca, constraints?.pathLength, constraints?.critical], [true, 1, true]);
    const usages = request.extensions.find((one) => one instanceof x509.KeyUsagesExtension);
    assert.equal(usages?.usages, x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign);
    const names = request.extensions.find((one) => one instanceof x509.SubjectAlternativeNameExtension);
    assert.deepEqual(names?.names.toJSON(), [{ type: "url", value: "spiffe://mesh.example" }]);
    const text = execFileSync("openssl", ["req", "-verify", "-noout", "-text"], { input: csr, stdio: "pipe" });
    assert.match(text.toString(), /CA:TRUE, pathlen:1[^]*URI:spiffe:\/\/mesh\.example/);

    const read = await readAuthorityRequest(csr, { ...shape, keyType });
    assert.equal(read.csr, csr);
    const own = createPublicKey(privateKey).export({ type: "spki", format: "der" });
    assert.ok(own.equals(read.publicKey));
    assert.equal(csr.includes("PRIVATE"), false);
  });

const refused: readonly (readonly [string, Partial<AuthorityShape>, RegExp])[] = [
  ["organization", { organization: "Other" }, /its subject is not O=Other, CN=cluster east, as was ordered$/],
  ["common name", { commonName: "cluster west" }, /its subject is not O=Example, Inc\., CN=cluster west/],
  [
    "trust domain",
    { trustDomain: "other.example" },
    /asks for the names URI:spiffe:\/\/mesh\.example, where URI:spiffe:\/\/other\.example alone was ordered/,
  ],
  ["path length", { pathLength: 0 }, /asks for the path length 1, where 0 was ordered/],
  ["key type", { keyType: "rsa-2048" }, /its key is ec-p256, where rsa-2048 was ordered/],
];
for (const [what, ordered, why] of refused)
  test(`a request with another ${what} than was ordered is refused, and the refusal says so`, async () => {
    const { csr } = await newAuthorityRequest(shape);
    await readAuthorityRequest(csr, shape);
    await assert.rejects(
      readAuthorityRequest(csr, { ...shape, ...ordered }),
      (thrown) => thrown instanceof MeshError && thrown.code === "invalid" && why.test(thrown.message),
    );
  });

test("a request that is a workload's, or asks for more names, is none for an authority", async () => {
  await assert.rejects(
    readAuthorityRequest(newCsr("spiffe://mesh.example").csr, shape),
    /its subject is not O=Example/,
  );
  const subject = "O=Example\\, Inc., CN=cluster east";
  const { pem } = await makeCsr({ uris: ["spiffe://mesh.example"], dns: ["istiod"], subject });
  await assert.rejects(readAuthorityRequest(pem, shape), MeshError);
});

test("a request whose signature is another's is refused", async () => {
  const { csr } = await newAuthorityRequest(shape);
  const der = Buffer.from(csr.replace(/-----.*-----/g, ""), "base64");
  der[der.length - 3]! ^= 1;
  const pem = x509.PemConverter.encode(der, "CERTIFICATE REQUEST");
  await assert.rejects(readAuthorityRequest(pem, shape), /not signed by its own key/);
});

/** A request by a library that is not ours, with these extensions. */
async function requestWith(extensions: readonly x509.Extension[]): Promise<string> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  // A UTF8String, as ours are, where the library would write another kind.
  const utf8 = (text: string): string =>
    `#0c${text.length.toString(16).padStart(2, "0")}${Buffer.from(text).toString("hex")}`;
  const name = [{ O: [utf8(shape.organization)] }, { CN: [utf8(shape.commonName)] }];
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: algorithm,
    name,
    extensions: [...extensions],
  });
  return request.toString("pem");
}

test("each single thing that a request of others asks for beside the order, or not, is refused", async () => {
  const signs = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const usage = new x509.KeyUsagesExtension(signs, true);
  const constraints = new x509.BasicConstraintsExtension(true, 1, true);
  const uri = { type: "url" as const, value: "spiffe://mesh.example" };
  const names = new x509.SubjectAlternativeNameExtension([uri]);
  await readAuthorityRequest(await requestWith([usage, constraints, names]), shape);
  const wrong: readonly (readonly [readonly x509.Extension[], RegExp])[] = [
    [[constraints, names], /does not ask for the key usage/],
    [
      [new x509.KeyUsagesExtension(signs | x509.KeyUsageFlags.digitalSignature, true), constraints, names],
      /does not ask for the key usage keyCertSign and cRLSign alone/,
    ],
    [[usage, names], /does not ask to be an authority/],
    [[usage, new x509.BasicConstraintsExtension(false, undefined, true), names], /does not ask to be an authority/],
    [[usage, new x509.BasicConstraintsExtension(true, undefined, true), names], /the path length of no end/],
    [[usage, constraints], /asks for the names \(none\)/],
    [
      [usage, constraints, new x509.SubjectAlternativeNameExtension([uri, { type: "dns", value: "istiod" }])],
      /asks for the names URI:spiffe:\/\/mesh\.example, DNS:istiod/,
    ],
    [
      [
        usage,
        constraints,
        new x509.SubjectAlternativeNameExtension([uri, { ...uri, value: "spiffe://mesh.example/" }]),
      ],
      /asks for the names/,
    ],
    [
      [usage, constraints, names, new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth])],
      /asks for the extension 2\.5\.29\.37/,
    ],
  ];
  for (const [extensions, why] of wrong)
    await assert.rejects(readAuthorityRequest(await requestWith(extensions), shape), why);
});

test("names that are longer than a certificate may have are cut alike by both sides", async () => {
  const long = { ...shape, organization: "ö".repeat(70), commonName: `cluster ${"x".repeat(100)}` };
  const { csr } = await newAuthorityRequest(long);
  await readAuthorityRequest(csr, long);
  const [o, cn] = new x509.Pkcs10CertificateRequest(csr).subject.split(", ");
  assert.equal(o!.length, "O=".length + 64);
  assert.equal(cn!.length, "CN=".length + 64);
});
