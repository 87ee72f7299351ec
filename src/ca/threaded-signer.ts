import type { EpochMs, Host } from "../host.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { Authority } from "./authority.ts";
import { LocalSigner } from "./local-signer.ts";
import { SigningThreads, type StartThread } from "./signing-threads.ts";
import type { CsrOrder, IssuedSvid, Signer, SignerDescription, TrustBundle } from "./signer.ts";

/**
 * A local signer whose certificate requests are read and signed on threads of their own, so that neither a slow key nor
 * a thousand ztunnels at once hold up the event loop that all pushes go through.
 */
export class ThreadedSigner implements Signer {
  readonly #local: LocalSigner;
  readonly #threads: SigningThreads;

  constructor(host: Host, authority: Authority, trustDomain: string, start: StartThread) {
    this.#local = new LocalSigner(host, authority, trustDomain);
    this.#threads = new SigningThreads(host, authority, trustDomain, start);
  }

  get bundles(): Collection<string, TrustBundle> {
    return this.#local.bundles;
  }

  get expiresAt(): EpochMs {
    return this.#local.expiresAt;
  }

  describe(): SignerDescription {
    return this.#local.describe();
  }

  /** Signs with this authority from now on; what is under way ends under the one before. */
  rotate(authority: Authority): void {
    // First here, where a key that cannot sign is refused.
    this.#local.rotate(authority);
    this.#threads.rotate(authority);
  }

  async issue(order: CsrOrder, signal: AbortSignal): Promise<IssuedSvid> {
    return { chain: await this.#threads.issue(order, signal), entries: [] };
  }

  close(): void {
    this.#threads.close();
  }
}
