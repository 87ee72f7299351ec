import "reflect-metadata";
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { KubeObject } from "../../src/kube/object.ts";
import { parseDurationMs } from "../../src/duration.ts";
import { derOf, type TestAuthority } from "./tls.ts";

x509.cryptoProvider.set(globalThis.crypto);
const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

interface RequestSpec {
  readonly request: string;
  readonly isCA?: boolean;
  readonly duration?: string;
}

/** cert-manager's CA issuer: obeys the names of the request, and gives what its Secret holds above itself. */
export class CertManagerSigner {
  #serial = 0x1000;

  /** @param above in PEM: the rest of `tls.crt` and `ca.crt` of the CA's Secret, each before its issuer. */
  constructor(
    readonly authority: TestAuthority,
    readonly above: readonly string[] = [],
  ) {}

  /** @returns PEM, as in `status`: roots are left out of the chain, and `ca` is the topmost. */
  async sign({ spec }: KubeObject, now: number, leaf: boolean): Promise<{ certificate: string; ca: string }> {
    const { request, isCA = false, duration = "2160h" } = spec as RequestSpec;
    const csr = new x509.Pkcs10CertificateRequest(Buffer.from(request, "base64").toString());
    assert.ok(await csr.verify(), "the request is signed by its key");
    const asked = csr.getExtension("2.5.29.19");
    const constraints = asked && new x509.BasicConstraintsExtension(asked.rawData);
    if (constraints !== null && constraints.ca !== isCA)
      throw new Error(`encoded CSR error: IsCA is ${isCA}, the request says ${constraints.ca}`);
    const names = csr.getExtension("2.5.29.17");
    const own = new x509.X509Certificate(this.authority.root);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: (this.#serial += 1).toString(16),
      subject: csr.subject,
      issuer: own.subject,
      notBefore: new Date(now),
      notAfter: new Date(now + parseDurationMs(duration)!),
      publicKey: await csr.publicKey.export(),
      signingKey: await this.#key(),
      signingAlgorithm: P256,
      extensions: [
        // As cert-manager does, whatever path length the request asks for.
        new x509.BasicConstraintsExtension(isCA && !leaf, undefined, true),
        new x509.KeyUsagesExtension(
          isCA ? x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign : x509.KeyUsageFlags.digitalSignature,
          true,
        ),
        ...(names === null ? [] : [names]),
        await x509.AuthorityKeyIdentifierExtension.create(own.publicKey),
      ],
    });
    const upwards = [this.authority.root, ...this.above];
    const chain = [certificate.toString("pem"), ...upwards.filter((pem) => !isSelfSigned(pem))];
    return { certificate: chain.map(line).join(""), ca: line(upwards.at(-1)!) };
  }

  #key(): Promise<webcrypto.CryptoKey> {
    return webcrypto.subtle.importKey("pkcs8", derOf(this.authority.key), P256, false, ["sign"]);
  }
}

const line = (pem: string): string => `${pem.trim()}\n`;

function isSelfSigned(pem: string): boolean {
  const { subject, issuer } = new x509.X509Certificate(pem);
  return subject === issuer;
}
