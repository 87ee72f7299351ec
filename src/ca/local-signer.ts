import { createPublicKey, type KeyObject } from "node:crypto";
import { MeshError } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import type { Collection } from "../registry/collection/collection.ts";
import { Graph } from "../registry/collection/graph.ts";
import { Source } from "../registry/collection/source.ts";
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
  signCertificateAside,
  signsSlowly,
  type UnlintedCertificate,
} from "./certificate.ts";
import { keyTypeOf } from "./key-type.ts";
import { BACKDATE_MS_MAX, lintSvid } from "./lint.ts";
import type { LintedCertificate, Signer, SignerDescription, SigningRequest, SvidChain, TrustBundle } from "./signer.ts";
import { checkTemplate } from "./template-check.ts";
import { type TurnLimits, Turns } from "./turns.ts";

/** Of signatures that are made aside. One of RSA 4096 takes some 4 ms, so the last in line waits about 4 seconds. */
const SLOW: TurnLimits = { atOnceMax: 2, waitingMax: 2_000, waitMs: 10_000 };

/**
 * The first signature of a key is verified, and one in so many: each would cost P-256 as much again as all else. A wrong
 * one serves nobody; that one of RSA does not give its key away, OpenSSL sees to.
 */
const VERIFIED_EVERY = 64;

/** Signs with a key that it holds. */
export class LocalSigner implements Signer {
  readonly #host: Host;
  readonly #trustDomain: string;
  readonly #graph = new Graph();
  readonly #bundles = new Source<string, TrustBundle>(this.#graph, "trust-bundles");
  readonly #turns: Turns;
  #issuer: Issuer;

  constructor(host: Host, authority: Authority, trustDomain: string) {
    this.#host = host;
    this.#issuer = issuerOf(authority);
    this.#turns = new Turns(host.clock, SLOW);
    this.#trustDomain = trustDomain;
    this.#publishRoots();
  }

  get bundles(): Collection<string, TrustBundle> {
    return this.#bundles;
  }

  get expiresAt(): EpochMs {
    return this.#issuer.authority.notAfter;
  }

  describe(): SignerDescription {
    const { authority, publicKey } = this.#issuer;
    const { chain, roots, notAfter } = authority;
    return { kind: "local key", key: keyTypeOf(publicKey), trustDomain: this.#trustDomain, notAfter, chain, roots };
  }

  /** Signs with this authority from now on. */
  rotate(authority: Authority): void {
    this.#issuer = issuerOf(authority);
    this.#publishRoots();
  }

  #publishRoots(): void {
    const { roots } = this.#issuer.authority;
    this.#bundles.set(this.#trustDomain, { trustDomain: this.#trustDomain, roots });
    this.#graph.flush();
  }

  /** In four steps, of which the types let none be left out: template, check, sign, lint. */
  async sign(request: SigningRequest, signal: AbortSignal): Promise<SvidChain> {
    signal.throwIfAborted();
    // What is signed, linted and sent along is of one authority, though another may come meanwhile.
    const issuer = this.#issuer;
    const { authority } = issuer;
    const now = this.#host.clock.now();
    const template = checkTemplate(this.#template(request, authority, now), authority.notAfter);
    const signed = issuer.slow
      ? await this.#signInTurn(template, authority, signal)
      : signCertificate(template, authority);
    return [this.#lint(signed, request, issuer, now), ...authority.chain];
  }

  #template({ identity, publicKey, ttlSeconds }: SigningRequest, issuer: Authority, now: EpochMs): CertificateTemplate {
    const uri = formatServiceAccountId(identity);
    if (identity.trustDomain !== this.#trustDomain)
      throw new MeshError(
        "denied",
        `${uri} is not of trust domain ${this.#trustDomain}, which this authority signs for`,
      );
    if (issuer.notAfter <= now) {
      const ended = new Date(issuer.notAfter).toISOString();
      throw new MeshError("unavailable", `the signing certificate ended at ${ended}; renew cacerts`);
    }
    // ztunnel renews at half of a leaf's whole life: a back-date as long as the rest would make it ask without end
    // (contract ztunnel.md 7, pitfall 20).
    const notAfter = Math.min(now + ttlSeconds * 1000, issuer.notAfter);
    const backdateMs = Math.min(BACKDATE_MS_MAX, Math.floor((notAfter - now) / 4));
    return {
      serial: serialFrom(this.#host.random.bytes(16)),
      notBefore: now - backdateMs,
      notAfter,
      subject: EMPTY_NAME,
      publicKey,
      purpose: "workload",
      names: { uris: [uri] },
    };
  }

  /** Few at once, or they would hold up all else that is done on the threads of the pool: files, names, other keys. */
  async #signInTurn(
    template: CheckedTemplate,
    authority: Authority,
    signal: AbortSignal,
  ): Promise<UnlintedCertificate> {
    using _turn = await this.#turns.take();
    signal.throwIfAborted();
    return await signCertificateAside(template, authority);
  }

  #lint(signed: UnlintedCertificate, request: SigningRequest, issuer: Issuer, now: EpochMs): LintedCertificate {
    const { authority, signature, publicKey } = issuer;
    const linted = lintSvid(signed, {
      request,
      trustDomain: this.#trustDomain,
      issuer: authority.subject,
      issuerKeyId: authority.keyId,
      issuerNotAfter: authority.notAfter,
      signature,
      issuerKey: issuer.trusted > 0 ? undefined : publicKey,
      now,
    });
    issuer.trusted = (issuer.trusted + VERIFIED_EVERY - 1) % VERIFIED_EVERY;
    return linted;
  }
}

interface Issuer {
  readonly authority: Authority;
  readonly publicKey: KeyObject;
  readonly signature: Signature;
  /** True if its signatures are made aside. */
  readonly slow: boolean;
  /** How many signatures more are taken on trust; it stays 0 until one verifies. */
  trusted: number;
}

function issuerOf(authority: Authority): Issuer {
  const publicKey = createPublicKey(authority.privateKey);
  return {
    authority,
    publicKey,
    signature: signatureOf(authority.privateKey),
    slow: signsSlowly(authority),
    trusted: 0,
  };
}
