import type { EpochMs } from "../host.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { ServiceAccountId } from "../spiffe.ts";

/** What verifies the certificates of one trust domain. */
export interface TrustBundle {
  readonly trustDomain: string;
  /** Root certificates in DER; at least one. */
  readonly roots: readonly Uint8Array[];
}

declare const linted: unique symbol;
/** A certificate that `lintSvid` has let out. */
export type LintedCertificate = Uint8Array & { readonly [linted]: true };

/** In DER, leaf first, root left out. */
export type SvidChain = readonly [LintedCertificate, ...(readonly Uint8Array[])];

/** A request whose caller has been proven and authorized. */
export interface SigningRequest {
  readonly identity: ServiceAccountId;
  /** SubjectPublicKeyInfo in DER, of an allowed kind; its owner has shown that it holds the private key. */
  readonly publicKey: Uint8Array;
  readonly ttlSeconds: number;
}

/** Who signs, for people. */
export interface SignerDescription {
  /** As `local key`. */
  readonly kind: string;
  /** One of `KEY_TYPES`. */
  readonly key: string;
  readonly trustDomain: string;
  /** When the first certificate of the chain ends. */
  readonly notAfter: EpochMs;
  /** Its certificate, and those between it and a root, in DER; empty if it is a root itself. */
  readonly chain: readonly Uint8Array[];
  readonly roots: readonly Uint8Array[];
}

/** Issues X.509-SVIDs. It trusts its caller: who may have which identity is settled before. */
export interface Signer {
  /** What verifies its certificates. Rotation is a change like any other. */
  readonly bundles: Collection<string, TrustBundle>;
  /** When its own certificate ends; nothing it signs lives longer. */
  readonly expiresAt: EpochMs;
  /**
   * @returns the chain; its leaf has passed `lintSvid`, whoever signed it, and is valid for `ttlSeconds` or the issuer's remainder, if shorter.
   * @throws MeshError `unavailable` (ask again), `denied` (the authority refused) or `invalid` (the key).
   */
  sign(request: SigningRequest, signal: AbortSignal): Promise<SvidChain>;
}

/** A request of a caller that has been proven and authorized, whose key nobody has looked at yet. */
export interface CsrOrder {
  readonly identity: ServiceAccountId;
  /** PKCS#10, in PEM. */
  readonly csr: string;
  readonly ttlSeconds: number;
}

/** Reads the request too: the two together cost a core most of what a certificate costs, and can be done elsewhere. */
export interface CsrSigner {
  /**
   * @returns as `Signer.sign`.
   * @throws MeshError as `parseCsr`, with `stage: "request"` in its detail, or as `Signer.sign`.
   */
  issue(order: CsrOrder, signal: AbortSignal): Promise<SvidChain>;
}
