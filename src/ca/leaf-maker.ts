import { createPublicKey, type KeyObject } from "node:crypto";
import { MeshError } from "../errors.ts";
import type { EpochMs, Random } from "../host.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { Authority } from "./authority.ts";
import {
  type CertificateTemplate,
  type CheckedTemplate,
  EMPTY_NAME,
  serialFrom,
  signatureOf,
  type Signature,
  signCertificate,
  type UnlintedCertificate,
} from "./certificate.ts";
import { BACKDATE_MS_MAX, lintSvid } from "./lint.ts";
import type { LintedCertificate, SigningRequest } from "./signer.ts";
import { checkTemplate } from "./template-check.ts";

/**
 * The first signature of a key is verified, and one in so many: each would cost P-256 as much again as all else. A wrong
 * one serves nobody; that one of RSA does not give its key away, OpenSSL sees to.
 */
const VERIFIED_EVERY = 64;

/** What of an authority makes a leaf. */
export type LeafIssuer = Pick<Authority, "subject" | "keyId" | "privateKey" | "notAfter">;

/** Makes the leaves of one authority, in four steps of which the types let none be left out: template, check, sign, lint. */
export class LeafMaker {
  readonly publicKey: KeyObject;
  readonly #issuer: LeafIssuer;
  readonly #trustDomain: string;
  readonly #random: Random;
  readonly #signature: Signature;
  /** How many signatures more are taken on trust; it stays 0 until one verifies. */
  #trusted = 0;

  /** @throws MeshError `invalid` for a key that no authority may have. */
  constructor(issuer: LeafIssuer, trustDomain: string, random: Random) {
    this.#issuer = issuer;
    this.#trustDomain = trustDomain;
    this.#random = random;
    this.#signature = signatureOf(issuer.privateKey);
    this.publicKey = createPublicKey(issuer.privateKey);
  }

  /** On this thread, while it waits. @throws MeshError as `Signer.issue`. */
  make(request: SigningRequest, now: EpochMs): LintedCertificate {
    return this.#lint(signCertificate(this.#checked(request, now), this.#issuer), request, now);
  }

  /** The same with another way to sign, as one that takes its time aside. */
  async makeWith(
    sign: (template: CheckedTemplate) => Promise<UnlintedCertificate>,
    request: SigningRequest,
    now: EpochMs,
  ): Promise<LintedCertificate> {
    return this.#lint(await sign(this.#checked(request, now)), request, now);
  }

  #checked(request: SigningRequest, now: EpochMs): CheckedTemplate {
    return checkTemplate(this.#template(request, now), this.#issuer.notAfter);
  }

  #template({ identity, publicKey, ttlSeconds }: SigningRequest, now: EpochMs): CertificateTemplate {
    const issuerNotAfter = this.#issuer.notAfter;
    const uri = formatServiceAccountId(identity);
    if (identity.trustDomain !== this.#trustDomain)
      throw new MeshError(
        "denied",
        `${uri} is not of trust domain ${this.#trustDomain}, which this authority signs for`,
      );
    if (issuerNotAfter <= now) {
      const ended = new Date(issuerNotAfter).toISOString();
      throw new MeshError("unavailable", `the signing certificate ended at ${ended}; renew cacerts`);
    }
    // ztunnel renews at half of a leaf's whole life: a back-date as long as the rest would make it ask without end
    // (contract ztunnel.md 7, pitfall 20).
    const notAfter = Math.min(now + ttlSeconds * 1000, issuerNotAfter);
    const backdateMs = Math.min(BACKDATE_MS_MAX, Math.floor((notAfter - now) / 4));
    return {
      serial: serialFrom(this.#random.bytes(16)),
      notBefore: now - backdateMs,
      notAfter,
      subject: EMPTY_NAME,
      publicKey,
      purpose: "workload",
      names: { uris: [uri] },
    };
  }

  #lint(signed: UnlintedCertificate, request: SigningRequest, now: EpochMs): LintedCertificate {
    const { subject, keyId, notAfter } = this.#issuer;
    const linted = lintSvid(signed, {
      request,
      trustDomain: this.#trustDomain,
      issuer: subject,
      issuerKeyId: keyId,
      issuerNotAfter: notAfter,
      signature: this.#signature,
      issuerKey: this.#trusted > 0 ? undefined : this.publicKey,
      now,
    });
    this.#trusted = (this.#trusted + VERIFIED_EVERY - 1) % VERIFIED_EVERY;
    return linted;
  }
}
