import type { AuthorityFault } from "../ca/authority-keeper.ts";
import type { Authority } from "../ca/authority.ts";
import type { CsrOrder, IssuedSvid, Signer, SignerDescription, TrustBundle } from "../ca/signer.ts";
import { MeshError } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { SpireBundles } from "./bundles.ts";
import { DownstreamAuthority, type DownstreamOptions } from "./downstream-authority.ts";

/** What signs with an authority, and takes another one in its place. */
export interface RotatingSigner extends Signer {
  rotate(authority: Authority): void;
  close(): void;
}

export interface DownstreamSignerOptions extends Omit<DownstreamOptions, "onAuthority" | "bundles"> {
  readonly bundles: SpireBundles;
  /** Once there is an authority. */
  readonly open: (authority: Authority) => RotatingSigner;
}

/**
 * Signs here, with an authority that SPIRE vouches for: without SPIRE's attestation, and unseen by its audit log, but also
 * while its server is away (contract identity.md 1.3).
 */
export class DownstreamSigner implements Signer {
  readonly #options: DownstreamSignerOptions;
  readonly #authority: DownstreamAuthority;
  readonly #first: Promise<void>;
  #signer: RotatingSigner | undefined;

  /** Asks SPIRE for an authority at once. */
  constructor(host: Host, options: DownstreamSignerOptions) {
    this.#options = options;
    const onAuthority = (authority: Authority): void => this.#take(authority);
    this.#authority = new DownstreamAuthority(host, { ...options, onAuthority });
    this.#first = this.#authority.start();
  }

  get bundles(): Collection<string, TrustBundle> {
    return this.#options.bundles.bundles;
  }

  get expiresAt(): EpochMs {
    return this.#signer?.expiresAt ?? 0;
  }

  get faults(): readonly AuthorityFault[] {
    return this.#authority.faults;
  }

  describe(): SignerDescription {
    const { trustDomain, bundles } = this.#options;
    const none = { key: undefined, notAfter: undefined, trustDomain, chain: [] };
    return { ...none, ...this.#signer?.describe(), kind: "local key under SPIRE", roots: bundles.roots };
  }

  async issue(order: CsrOrder, signal: AbortSignal): Promise<IssuedSvid> {
    // Who comes while the first is on its way need not come again.
    await this.#first;
    signal.throwIfAborted();
    const why = this.#authority.whyNot();
    if (why !== undefined || this.#signer === undefined) throw new MeshError("unavailable", why ?? "nothing signs yet");
    const ttlSeconds = Math.min(order.ttlSeconds, this.#authority.ttlSecondsMax);
    return this.#signer.issue({ ...order, ttlSeconds }, signal);
  }

  bundlesChanged(): void {
    this.#authority.bundlesChanged();
  }

  close(): void {
    this.#authority.close();
    this.#signer?.close();
  }

  #take(authority: Authority): void {
    if (this.#signer === undefined) this.#signer = this.#options.open(authority);
    else this.#signer.rotate(authority);
  }
}
