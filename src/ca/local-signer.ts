import { MeshError } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import type { Collection } from "../registry/collection/collection.ts";
import { Graph } from "../registry/collection/graph.ts";
import { Source } from "../registry/collection/source.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { Authority } from "./authority.ts";
import { EMPTY_NAME, serialFrom, signCertificate } from "./certificate.ts";
import { lintSvid } from "./lint.ts";
import type { Signer, SigningRequest, TrustBundle } from "./signer.ts";

/** Clocks of nodes differ; a leaf is valid this much before it was made (contract ztunnel.md 4.5). */
const BACKDATE_SECONDS = 120;

/** Signs with a key that it holds. */
export class LocalSigner implements Signer {
  readonly #host: Host;
  readonly #trustDomain: string;
  readonly #graph = new Graph();
  readonly #bundles = new Source<string, TrustBundle>(this.#graph, "trust-bundles");
  #authority: Authority;

  constructor(host: Host, authority: Authority, trustDomain: string) {
    this.#host = host;
    this.#authority = authority;
    this.#trustDomain = trustDomain;
    this.rotate(authority);
  }

  get bundles(): Collection<string, TrustBundle> {
    return this.#bundles;
  }

  get expiresAt(): EpochMs {
    return this.#authority.notAfter;
  }

  /** Signs with this authority from now on. */
  rotate(authority: Authority): void {
    this.#authority = authority;
    this.#bundles.set(this.#trustDomain, { trustDomain: this.#trustDomain, roots: authority.roots });
    this.#graph.flush();
  }

  sign(request: SigningRequest, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    return new Promise((resolve) => {
      signal.throwIfAborted();
      resolve([this.#issue(request), ...this.#authority.chain]);
    });
  }

  #issue(request: SigningRequest): Uint8Array {
    const { identity, publicKey, ttlSeconds } = request;
    const uri = formatServiceAccountId(identity);
    if (identity.trustDomain !== this.#trustDomain)
      throw new MeshError(
        "denied",
        `${uri} is not of trust domain ${this.#trustDomain}, which this authority signs for`,
      );
    const now = this.#host.clock.now();
    const { notAfter: issuerNotAfter, subject: issuer, keyId: issuerKeyId } = this.#authority;
    if (issuerNotAfter <= now) {
      const ended = new Date(issuerNotAfter).toISOString();
      throw new MeshError("unavailable", `the signing certificate ended at ${ended}; renew cacerts`);
    }
    // ztunnel renews at half of a leaf's whole life: a back-date as long as the rest would make it ask without end
    // (contract ztunnel.md 7, pitfall 20).
    const notAfter = Math.min(now + ttlSeconds * 1000, issuerNotAfter);
    const backdateMs = Math.min(BACKDATE_SECONDS * 1000, Math.floor((notAfter - now) / 4));
    const leaf = signCertificate(
      {
        serial: serialFrom(this.#host.random.bytes(16)),
        notBefore: now - backdateMs,
        notAfter,
        subject: EMPTY_NAME,
        publicKey,
        purpose: "workload",
        names: { uris: [uri] },
      },
      this.#authority,
    );
    lintSvid(leaf, { request, issuer, issuerKeyId, issuerNotAfter, now });
    return leaf;
  }
}
