import type { EpochMs, Host } from "../host.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { Authority } from "./authority.ts";
import { LocalSigner } from "./local-signer.ts";
import { SigningThreads, type StartThread } from "./signing-threads.ts";
import type {
  CsrOrder,
  CsrSigner,
  Signer,
  SignerDescription,
  SigningRequest,
  SvidChain,
  TrustBundle,
} from "./signer.ts";

/**
 * A local signer whose certificate requests are read and signed on threads of their own, so that neither a slow key nor
 * a thousand ztunnels at once hold up the event loop that all pushes go through.
 */
export class ThreadedSigner implements Signer, CsrSigner {
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

  sign(request: SigningRequest, signal: AbortSignal): Promise<SvidChain> {
    return this.#local.sign(request, signal);
  }

  issue(order: CsrOrder, signal: AbortSignal): Promise<SvidChain> {
    return this.#threads.issue(order, signal);
  }

  close(): void {
    this.#threads.close();
  }
}
