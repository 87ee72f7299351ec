import "reflect-metadata";
import { webcrypto, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import * as x509 from "@peculiar/x509";
import { certify } from "../../src/ca/client.ts";
import { MeshError } from "../../src/errors.ts";
import type { Causeway } from "./causeway-process.ts";

x509.cryptoProvider.set(globalThis.crypto);
const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const ANSWER_MS = 45_000;

/** What the certificate service gave. */
export interface Issued {
  readonly spiffeId: string;
  /** Leaf first, without a root. */
  readonly chain: readonly X509Certificate[];
  /** PEM of what came in the last element. */
  readonly roots: string;
  /** PEM, of the leaf's key. */
  readonly key: string;
}

export interface AskerOptions {
  readonly plane: () => Causeway;
  /** Of the ztunnel of a node. */
  readonly token: string;
  readonly cluster: string;
}

/** Asks for the identities of a node's pods as ztunnel does, with requests that a library makes which is not ours. */
export class SpireAsker {
  readonly #options: AskerOptions;

  constructor(options: AskerOptions) {
    this.#options = options;
  }

  /** @param names what the request itself says; by default what is asked for, as ztunnel's does. @throws MeshError */
  async ask(spiffeId: string, names: readonly string[] = [spiffeId]): Promise<Issued> {
    const { plane, token, cluster } = this.#options;
    const { xds: address, rootCertificate } = plane().connection!;
    const keys = await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"]);
    const san = new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: "url" as const, value })));
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      keys,
      signingAlgorithm: P256,
      extensions: names.length === 0 ? [] : [san],
    });
    const publicKey = Buffer.from(await webcrypto.subtle.exportKey("spki", keys.publicKey));
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
    const elements = await certify(
      {
        ...{ address, token, clusterId: cluster, impersonate: spiffeId, ttlSeconds: 3_600 },
        roots: readFileSync(rootCertificate, "utf8"),
        signal: AbortSignal.timeout(ANSWER_MS),
      },
      { csr: request.toString("pem"), publicKey },
    );
    const chain = elements.slice(0, -1).map((pem) => new X509Certificate(pem));
    const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.toString("base64")}\n-----END PRIVATE KEY-----\n`;
    return { spiffeId: uriOf(chain[0]!), chain, roots: elements.at(-1)!, key };
  }

  /** What was said instead of a certificate, with its code before it; empty if there was one. */
  async refusal(spiffeId: string, names?: readonly string[]): Promise<string> {
    try {
      await this.ask(spiffeId, names);
      return "";
    } catch (thrown) {
      const { code, message } = MeshError.from(thrown);
      return `${code}: ${message}`;
    }
  }
}

export const uriOf = ({ subjectAltName = "" }: X509Certificate): string =>
  subjectAltName
    .split(", ")
    .filter((name) => name.startsWith("URI:"))
    .map((name) => name.slice("URI:".length))
    .join(" ");

/** Each PEM block, as SHA-256 of its DER. */
export const fingerprintsIn = (pem: string): readonly string[] =>
  pem
    .split(/(?=-----BEGIN)/)
    .filter((block) => block.includes("BEGIN CERTIFICATE"))
    .map((block) => new X509Certificate(block).fingerprint256);

/** If each is issued by the next, and the last by one of the roots. */
export function leadsTo(chain: readonly X509Certificate[], roots: string): boolean {
  const anchors = roots
    .split(/(?=-----BEGIN)/)
    .filter((block) => block.includes("BEGIN CERTIFICATE"))
    .map((block) => new X509Certificate(block));
  return chain.every((certificate, at) =>
    (at + 1 < chain.length ? [chain[at + 1]!] : anchors).some(
      (issuer) => issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey),
    ),
  );
}
