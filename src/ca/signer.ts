import type { EpochMs } from "../host.ts";
import type { ClusterId } from "../names.ts";
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

/** A request that has been read: what a key of our own signs. */
export interface SigningRequest {
  readonly identity: ServiceAccountId;
  /** SubjectPublicKeyInfo in DER, of an allowed kind; its owner has shown that it holds the private key. */
  readonly publicKey: Uint8Array;
  readonly ttlSeconds: number;
}

/** Who signs, for people. */
export interface SignerDescription {
  /** As `local key`, or `SPIRE`. */
  readonly kind: string;
  /** One of `KEY_TYPES`; undefined until somebody else has shown with which it signs. */
  readonly key: string | undefined;
  readonly trustDomain: string;
  /** When the first certificate of the chain ends, or a root that signs itself; undefined as `key`. */
  readonly notAfter: EpochMs | undefined;
  /** Its certificate, and those between it and a root, in DER; empty if it is a root itself. */
  readonly chain: readonly Uint8Array[];
  readonly roots: readonly Uint8Array[];
}

/** A live pod, as far as it can be told by what it is: see `LivePods`. */
export interface PodFacts {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Empty until it is scheduled. */
  readonly node: string;
  readonly serviceAccount: string;
  readonly labels: ReadonlyMap<string, string>;
}

/** Who will show a certificate. */
export interface Bearer {
  /** Where the pods are: names of nodes and pods are those of a cluster. */
  readonly cluster: ClusterId;
  readonly node: string;
  /** At least one. A ztunnel shows one certificate for all pods of an account on its node. */
  readonly pods: readonly [PodFacts, ...(readonly PodFacts[])];
}

/** A request of a caller that has been proven and authorized, whose key nobody has looked at yet. */
export interface CsrOrder {
  readonly identity: ServiceAccountId;
  /** PKCS#10, in PEM. */
  readonly csr: string;
  readonly ttlSeconds: number;
  /** Undefined if it is not known which pod asks for its own identity. */
  readonly bearer: Bearer | undefined;
}

export interface IssuedSvid {
  readonly chain: SvidChain;
  /** What vouched for the bearer: ids of SPIRE's registration entries; none where only we did. */
  readonly entries: readonly string[];
}

/** Issues X.509-SVIDs. It trusts its caller: who may have which identity is settled before. */
export interface Signer {
  /** What verifies its certificates. Rotation is a change like any other. */
  readonly bundles: Collection<string, TrustBundle>;
  /** When its own certificate ends; nothing it signs lives longer. */
  readonly expiresAt: EpochMs;
  describe(): SignerDescription;
  /**
   * @returns a leaf that has passed lint, whoever signed it, and is valid for `ttlSeconds` or for less, as its issuer
   * has it.
   * @throws MeshError as `parseCsr`, with `stage: "request"` in its detail; `unavailable` (ask again), `invalid` (the
   * key), or `denied` (the authority refused), in whose detail `told` may have what the caller is to hear of it.
   */
  issue(order: CsrOrder, signal: AbortSignal): Promise<IssuedSvid>;
}
