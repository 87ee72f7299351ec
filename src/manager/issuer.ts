import type { ClusterId } from "../names.ts";
import type { Fingerprint, IntermediateShape, SignedIntermediate } from "../relay/messages.ts";

/** What a cluster's intermediate is to be, by the policy alone (contract identity.md 4.2, R4 and R11). */
export interface IntermediateOrder extends Omit<IntermediateShape, "graceRatio"> {
  readonly cluster: ClusterId;
  readonly trustDomain: string;
  /** PKCS#10 in PEM, verified; whoever obeys its names finds those of this order in it, and no others. */
  readonly csr: string;
  /** SubjectPublicKeyInfo in DER, of that request. */
  readonly publicKey: Uint8Array;
  /** Under which of its roots, for an issuer that can sign under several; all others sign under the one that they have. */
  readonly signingRoot?: Fingerprint | undefined;
}

/** Where intermediates come from: a root of ours, a Secret, cert-manager, or Vault. */
export interface Issuer {
  /** As `Vault https://vault.internal:8200, pki_int`, for messages. */
  readonly title: string;
  /** What the policy's status is to say beside that it works, as that something is done in another way than it says. */
  readonly notes?: readonly string[];
  /** True if it cannot be told a path length: an intermediate that allows more than was ordered is taken, and `notes` says so. */
  readonly setsNoPathLength?: boolean;
  /**
   * In DER: what verifies what it signs now, the one that does so first; then those that it wants trusted beside it.
   * @throws MeshError `unavailable` while it cannot be asked, as one that is sealed; `absent` or `invalid` for what
   *   somebody has to mend. The message names the object, the field and the fix.
   */
  roots(signal: AbortSignal): Promise<readonly Uint8Array[]>;
  /**
   * What comes back is not believed: `checkedIntermediate` holds it to the order.
   * @throws MeshError as `roots`; `denied` if it will not sign this.
   */
  sign(order: IntermediateOrder, signal: AbortSignal): Promise<SignedIntermediate>;
  /**
   * Of an issuer that makes its own roots: forgets those that nobody is to trust any more, with their keys; never the one
   * that signs now. @throws MeshError as `roots`.
   */
  retire?(roots: readonly Fingerprint[], signal: AbortSignal): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}
