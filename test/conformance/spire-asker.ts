import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { certify } from "../../src/ca/client.ts";
import { MeshError } from "../../src/errors.ts";
import { makeCsr } from "../kits/csr.ts";
import type { Causeway } from "./causeway-process.ts";

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
    const { pem: csr, key, publicKey } = await makeCsr({ uris: names });
    const elements = await certify(
      {
        ...{ address, token, clusterId: cluster, impersonate: spiffeId, ttlSeconds: 3_600 },
        roots: readFileSync(rootCertificate, "utf8"),
        signal: AbortSignal.timeout(ANSWER_MS),
      },
      { csr, publicKey },
    );
    const chain = elements.slice(0, -1).map((pem) => new X509Certificate(pem));
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
  certificatesIn(pem).map(({ fingerprint256 }) => fingerprint256);

/** If each is issued by the next, and the last by one of the roots. */
export function leadsTo(chain: readonly X509Certificate[], roots: string): boolean {
  const anchors = certificatesIn(roots);
  return chain.every((certificate, at) =>
    (at + 1 < chain.length ? [chain[at + 1]!] : anchors).some(
      (issuer) => issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey),
    ),
  );
}

const certificatesIn = (pem: string): readonly X509Certificate[] =>
  pem
    .split(/(?=-----BEGIN)/)
    .filter((block) => block.includes("BEGIN CERTIFICATE"))
    .map((block) => new X509Certificate(block));
