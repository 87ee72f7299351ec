import type { EpochMs } from "./host.ts";
import type { ServiceAccountId } from "./spiffe.ts";

/** Whose word counts for the identities of one trust domain. */
export interface TrustAnchors {
  readonly trustDomain: string;
  /** Root certificates in DER; `own` for those of our own authority, whichever they are at the time. */
  readonly roots: readonly Uint8Array[] | "own";
}

/** Who somebody is, shown by a certificate whose chain ends at a root of the very trust domain that it names. */
export interface VerifiedIdentity {
  readonly identity: ServiceAccountId;
  /** When the first certificate of its chain ends, the root's included. */
  readonly expiresAt: EpochMs;
}

/** Which half of a handshake a certificate was shown in. */
export type HandshakeRole = "client" | "server";

/**
 * Roots by trust domain. TLS can only be given all of them in one pool, so after each handshake `verify` looks again at
 * the chain: a root vouches for the trust domains that it was offered for, and for no other (contract identity.md 2.3).
 */
export interface Trust {
  /**
   * Replaces all that `source` has said: the mesh config, or one peer. None withdraws it. What several sources say of a
   * trust domain adds up.
   * @param source as `mesh-config` or `peer/west`.
   */
  offer(source: string, anchors: readonly TrustAnchors[]): void;
  /** In DER, each once; empty for a trust domain that nobody vouches for. */
  rootsOf(trustDomain: string): readonly Uint8Array[];
  /** Of all trust domains, each once: what to give to TLS. */
  readonly pooledRoots: readonly Uint8Array[];
  /**
   * @param chain what the other end showed, in DER, leaf first; what does not belong to the chain is passed over.
   * @throws MeshError `unauthenticated`, with the reason: for logs, and for the operator of either end.
   */
  verify(chain: readonly Uint8Array[], role: HandshakeRole, now: EpochMs): VerifiedIdentity;
  /** Calls `observer` after each change of the roots; it must not offer any itself. */
  observe(observer: () => void): Disposable;
}
