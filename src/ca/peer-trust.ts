import { X509Certificate } from "node:crypto";
import type { RevocationList } from "./crl.ts";
import { certificateName, Revocations } from "./revocations.ts";

/** What verifies those who show a certificate: a signing authority has it. */
export interface Trusted {
  /** Authorities that a peer need not show, in DER. */
  readonly chain: readonly Uint8Array[];
  readonly roots: readonly Uint8Array[];
  readonly revocations: readonly RevocationList[];
}

/**
 * The look at a chain that OpenSSL has let pass, for what it cannot be asked: with lists it refuses everybody for whose
 * authority there is none. It is also asked again for connections that are open, when roots or lists have changed.
 */
export class PeerTrust {
  readonly #known: readonly X509Certificate[];
  readonly #roots: readonly X509Certificate[];
  readonly #revocations: Revocations;
  /** A connection asks for each of its streams. */
  readonly #asked = new WeakMap<readonly Uint8Array[], { readonly why: string | undefined }>();

  constructor({ chain, roots, revocations }: Trusted) {
    this.#roots = roots.map((der) => new X509Certificate(der));
    this.#known = [...chain.map((der) => new X509Certificate(der)), ...this.#roots];
    this.#revocations = new Revocations(revocations);
  }

  /**
   * Why a chain proves nobody: no way leads from its first certificate to a root of ours over issuers of which none is
   * revoked. Who issued whom is verified by signature, as what a peer shows beside its certificate is its choice.
   * @param chain in DER, the peer's own first.
   */
  whyNot(chain: readonly Uint8Array[]): string | undefined {
    const known = this.#asked.get(chain);
    if (known !== undefined) return known.why;
    const [own, ...shown] = chain.map((der) => new X509Certificate(der));
    const why = own === undefined ? "there is none" : this.#whyNot(own, [...shown, ...this.#known], new Set());
    this.#asked.set(chain, { why });
    return why;
  }

  /** @param tried by fingerprint: chains may lead in circles. */
  #whyNot(certificate: X509Certificate, others: readonly X509Certificate[], tried: Set<string>): string | undefined {
    tried.add(certificate.fingerprint256);
    const revoked = this.#revocations.whyRevoked(certificate);
    if (revoked !== undefined) return revoked;
    if (this.#roots.some(({ raw }) => raw.equals(certificate.raw))) return undefined;
    let why = `no root that we trust leads to ${certificateName(certificate)}`;
    for (const issuer of others) {
      if (tried.has(issuer.fingerprint256) || !issued(issuer, certificate)) continue;
      const above = this.#whyNot(issuer, others, tried);
      if (above === undefined) return undefined;
      why = above;
    }
    return why;
  }
}

const issued = (issuer: X509Certificate, certificate: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
