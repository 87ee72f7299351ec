import { type ErrorCode, MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { LeafIssuer } from "./leaf-maker.ts";
import type { CsrOrder, LintedCertificate } from "./signer.ts";

/** Signs with this authority from now on; messages arrive in order, so what was sent before is of the one before. */
export interface AuthorityMessage {
  readonly kind: "authority";
  /** The key is a handle: threads share what OpenSSL holds, and its bytes are in no message. */
  readonly issuer: LeafIssuer;
  readonly trustDomain: string;
}

/** Without its bearer: who may have it is settled. */
export type OrderToSign = Omit<CsrOrder, "bearer"> & { readonly now: EpochMs };

export interface OrdersMessage {
  readonly kind: "orders";
  readonly orders: readonly OrderToSign[];
}

/** What a signing thread is told. It answers each `orders` with one `Replies`, in turn. */
export type ToThread = AuthorityMessage | OrdersMessage;

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly detail: MeshError["detail"];
}

/** Plain values, as they are copied from thread to thread; the leaves in one piece that is handed over. */
export interface Replies {
  readonly leaves: Uint8Array;
  /** For each order how long its leaf is, or why there is none. */
  readonly ends: readonly (number | Refusal)[];
}

export function packReplies(results: readonly (LintedCertificate | MeshError)[]): Replies {
  let length = 0;
  for (const result of results) length += result instanceof MeshError ? 0 : result.length;
  const leaves = new Uint8Array(length);
  let at = 0;
  const ends = results.map((result) => {
    if (result instanceof MeshError) return { code: result.code, message: result.message, detail: result.detail };
    leaves.set(result, at);
    at += result.length;
    return result.length;
  });
  return { leaves, ends };
}

/** Of what `packReplies` made, which takes no leaf that was not linted: that is not lost on the way between threads. */
export function unpackReplies({ leaves, ends }: Replies): readonly (LintedCertificate | MeshError)[] {
  let at = 0;
  return ends.map((end) => {
    if (typeof end !== "number") return new MeshError(end.code, end.message, end.detail);
    return leaves.subarray(at, (at += end)) as LintedCertificate;
  });
}
