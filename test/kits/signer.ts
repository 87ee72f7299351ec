import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { test } from "mocha";
import * as pkijs from "pkijs";
import { newCsr } from "../../src/ca/client.ts";
import { toPem } from "../../src/pem.ts";
import type { Bearer, CsrOrder, Signer } from "../../src/ca/signer.ts";
import { MeshError } from "../../src/errors.ts";
import type { Clock } from "../../src/host.ts";

x509.cryptoProvider.set(globalThis.crypto);
pkijs.setEngine("node", new pkijs.CryptoEngine({ name: "node", crypto: globalThis.crypto }));

export interface SignerLab {
  readonly signer: Signer;
  readonly clock: Clock;
  readonly trustDomain: string;
  /** Who may show `ns/shop/sa/cart`. */
  readonly bearer?: Bearer;
  /** Somebody else writes the leaf, whose subject, order of names and times are its own as far as the standard goes. */
  readonly foreign?: boolean;
}

/** What every signer must do, held to by libraries that are not ours. */
export function signerKit(name: string, open: () => Promise<SignerLab>): void {
  const identityOf = ({ trustDomain }: SignerLab) => ({ trustDomain, namespace: "shop", serviceAccount: "cart" });
  const never = new AbortController().signal;
  const uriOf = ({ trustDomain }: SignerLab): string => `spiffe://${trustDomain}/ns/shop/sa/cart`;
  const orderOf = (lab: SignerLab, csr = newCsr(uriOf(lab)).csr, ttlSeconds = 3600): CsrOrder => {
    return { identity: identityOf(lab), csr, ttlSeconds, bearer: lab.bearer };
  };
  const sign = async (lab: SignerLab, ttlSeconds?: number): Promise<readonly Uint8Array[]> =>
    (await lab.signer.issue(orderOf(lab, undefined, ttlSeconds), never)).chain;

  test(`${name}: a leaf is an X509-SVID for the identity and the key that were asked for`, async () => {
    const lab = await open();
    const { csr, publicKey } = newCsr(uriOf(lab));
    const { chain } = await lab.signer.issue(orderOf(lab, csr), never);
    const certificate = new x509.X509Certificate(Uint8Array.from(chain[0]));
    if (lab.foreign !== true) assert.equal(certificate.subject, "");
    assert.deepEqual(Buffer.from(certificate.publicKey.rawData), Buffer.from(publicKey));
    const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)!;
    assert.equal(names.critical || certificate.subject !== "", true);
    assert.deepEqual(names.names.toJSON(), [{ type: "url", value: uriOf(lab) }]);
    assert.equal(certificate.getExtension(x509.BasicConstraintsExtension)!.ca, false);
    const { critical, usages } = certificate.getExtension(x509.KeyUsagesExtension)!;
    const { digitalSignature, keyEncipherment, keyAgreement } = x509.KeyUsageFlags;
    assert.ok(critical);
    assert.equal(usages & digitalSignature, digitalSignature);
    assert.equal(usages & ~(digitalSignature | keyEncipherment | keyAgreement), 0);
    assert.deepEqual(
      [...certificate.getExtension(x509.ExtendedKeyUsageExtension)!.usages].sort(),
      [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth].sort(),
    );
  });

  test(`${name}: a leaf names its key and its issuer's as others compute them`, async () => {
    const lab = await open();
    const [leaf, issuer = lab.signer.bundles.get(lab.trustDomain)!.roots[0]!] = await sign(lab);
    const certificate = new x509.X509Certificate(Uint8Array.from(leaf!));
    const expected = await x509.SubjectKeyIdentifierExtension.create(certificate.publicKey);
    assert.equal(certificate.getExtension(x509.SubjectKeyIdentifierExtension)!.keyId, expected.keyId);
    const above = new x509.X509Certificate(Uint8Array.from(issuer)).getExtension(x509.SubjectKeyIdentifierExtension)!;
    assert.equal(certificate.getExtension(x509.AuthorityKeyIdentifierExtension)!.keyId, above.keyId);
  });

  test(`${name}: openssl verifies a leaf for servers and for clients, to the letter`, async function () {
    if (spawnSync("openssl", ["version"]).status !== 0) this.skip();
    const lab = await open();
    const [leaf, ...between] = (await sign(lab)).map((bytes) => toPem("CERTIFICATE", bytes));
    const roots = lab.signer.bundles.get(lab.trustDomain)!.roots.map((bytes) => toPem("CERTIFICATE", bytes));
    const folder = mkdtempSync(join(tmpdir(), "causeway-signer-"));
    const file = (called: string, text: string): string => {
      writeFileSync(join(folder, called), text);
      return join(folder, called);
    };
    const at = ["-attime", String(Math.floor(lab.clock.now() / 1000))];
    const chain = between.length === 0 ? [] : ["-untrusted", file("between", between.join(""))];
    const trust = ["-CAfile", file("roots", roots.join("")), ...chain];
    for (const purpose of ["sslserver", "sslclient"]) {
      const args = ["verify", "-x509_strict", "-purpose", purpose, ...at, ...trust, file("leaf", leaf!)];
      const { status, stderr, stdout } = spawnSync("openssl", args, { encoding: "utf8" });
      assert.equal(status, 0, stdout + stderr);
    }
    rmSync(folder, { recursive: true });
  });

  test(`${name}: the chain leads from the leaf to a root of the bundle, each issued by the next`, async () => {
    const lab = await open();
    const chain = (await sign(lab)).map((bytes) => new X509Certificate(bytes));
    const roots = lab.signer.bundles.get(lab.trustDomain)!.roots.map((bytes) => new X509Certificate(bytes));
    for (const [at, certificate] of chain.entries()) {
      const issuers = at + 1 < chain.length ? [chain[at + 1]!] : roots;
      assert.ok(
        issuers.some((issuer) => certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)),
        `certificate ${at + 1} of ${chain.length}`,
      );
      assert.ok(!roots.some(({ raw }) => raw.equals(certificate.raw)), "the root is left out");
    }
  });

  test(`${name}: a path validation to RFC 5280 by another library ends at a root of the bundle`, async () => {
    const lab = await open();
    const read = (bytes: Uint8Array): pkijs.Certificate => pkijs.Certificate.fromBER(Uint8Array.from(bytes));
    const trustedCerts = lab.signer.bundles.get(lab.trustDomain)!.roots.map(read);
    const [leaf, ...between] = (await sign(lab)).map(read);
    // It takes the last for the one to validate.
    const certs = [...between, leaf!];
    const engine = new pkijs.CertificateChainValidationEngine({
      trustedCerts,
      certs,
      checkDate: new Date(lab.clock.now()),
    });
    const { result, resultMessage } = await engine.verify();
    assert.ok(result, resultMessage);
  });

  test(`${name}: a leaf lives as long as asked, no longer than its issuer, and half of its life lies ahead`, async () => {
    const lab = await open();
    const seconds = (ms: number): number => Math.floor(ms / 1000) * 1000;
    for (const ttlSeconds of [60, 600, 86_400, 100 * 365 * 86_400]) {
      // Clocks may be real ones: a second can pass while it is signed.
      const before = seconds(lab.clock.now());
      const leaf = new X509Certificate((await sign(lab, ttlSeconds))[0]!);
      const after = lab.clock.now();
      const [from, to] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
      const endIfBegun = (at: number): number => Math.min(at + ttlSeconds * 1000, seconds(lab.signer.expiresAt));
      const earliest = lab.foreign === true ? before + 1 : endIfBegun(before);
      assert.ok(to >= earliest && to <= endIfBegun(after), `${to} for ${earliest} to ${endIfBegun(after)}`);
      assert.ok(from <= after && before - from <= 120_000);
      assert.ok((from + to) / 2 > before, `renewal after ${ttlSeconds} s would be due at once`);
    }
  });

  test(`${name}: no two serial numbers are the same`, async () => {
    const lab = await open();
    const serials = new Set<string>();
    for (let count = 0; count < 50; count += 1) serials.add(new X509Certificate((await sign(lab))[0]!).serialNumber);
    assert.equal(serials.size, 50);
  });

  test(`${name}: another trust domain is not signed for`, async () => {
    const lab = await open();
    const identity = { ...identityOf(lab), trustDomain: "other.example" };
    const { csr } = newCsr("spiffe://other.example/ns/shop/sa/cart");
    await assert.rejects(
      lab.signer.issue({ ...orderOf(lab, csr), identity }, never),
      (error) => error instanceof MeshError && error.code === "denied",
    );
  });

  test(`${name}: a request that its key did not sign is refused, as the caller's fault`, async () => {
    const lab = await open();
    const other = Buffer.from(newCsr(uriOf(lab)).csr.replace(/-----.*-----/g, ""), "base64");
    other[other.length - 1]! ^= 1;
    await assert.rejects(
      lab.signer.issue(orderOf(lab, toPem("CERTIFICATE REQUEST", other)), never),
      (error) => error instanceof MeshError && error.code === "invalid" && error.detail["stage"] === "request",
    );
  });

  test(`${name}: it says who it is, under which roots its chains end`, async () => {
    const lab = await open();
    const chain = await sign(lab);
    const described = lab.signer.describe();
    assert.notEqual(described.kind, "");
    assert.equal(described.trustDomain, lab.trustDomain);
    assert.deepEqual(described.roots, lab.signer.bundles.get(lab.trustDomain)!.roots);
    assert.deepEqual(described.chain, chain.slice(1));
  });

  test(`${name}: a call that was given up is not signed`, async () => {
    const lab = await open();
    const left = AbortSignal.abort(new MeshError("unavailable", "left"));
    await assert.rejects(lab.signer.issue(orderOf(lab), left), /left/);
  });
}
