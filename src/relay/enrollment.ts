import { timingSafeEqual } from "node:crypto";
import { formatDuration } from "../duration.ts";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { Fingerprint } from "./messages.ts";
import type { RelayRefusal } from "./methods.ts";
import type { BootstrapToken } from "./token.ts";

/** What the manager keeps of a bootstrap token: not enough to make it again. */
export interface TokenRecord extends Pick<BootstrapToken, "id" | "cluster" | "hash" | "expiresAt"> {
  readonly createdAt: EpochMs;
  /** Undefined until it was used. */
  readonly use: TokenUse | undefined;
  /** Undefined unless somebody took it back. */
  readonly revokedAt: EpochMs | undefined;
}

/** The one use that a token has. */
export interface TokenUse {
  readonly at: EpochMs;
  /** The address that the call came from. */
  readonly from: string;
  /** SHA-256 of the public key that it brought a certificate: the same caller may ask again for an answer that it lost. */
  readonly key: Fingerprint;
}

/** The tokens of a manager, whichever of its replicas or commands made them. All throw MeshError `unavailable`. */
export interface TokenBook {
  add(record: TokenRecord): Promise<void>;
  find(id: string): Promise<TokenRecord | undefined>;
  /** Compares and sets, so that of several callers one has it. @returns the use that counts; undefined if it is gone. */
  redeem(id: string, use: TokenUse): Promise<TokenUse | undefined>;
  /** What is not there is no error. */
  revoke(id: string, at: EpochMs): Promise<void>;
  list(): Promise<readonly TokenRecord[]>;
}

/** A call of Enroll. */
export interface Attempt {
  readonly token: BootstrapToken;
  /** Whom the caller says to be. */
  readonly cluster: ClusterId;
  /** SHA-256 of the public key that it wants a certificate for. */
  readonly key: Fingerprint;
  /** Its clock; undefined if it does not say. */
  readonly clock: EpochMs | undefined;
  readonly now: EpochMs;
}

/** Clocks that differ by less are not worth a word. */
const SKEW_MS = 60_000;

/**
 * Why a token gets no certificate, in a sentence with the fix; `reason` in its detail tells the cases apart.
 * @param record what is kept of the token with that id; undefined if nothing is.
 */
export function whyNotEnroll(attempt: Attempt, record: TokenRecord | undefined): MeshError | undefined {
  const { token, cluster } = attempt;
  if (record === undefined || !sameHash(record.hash, token.hash))
    return refusal(
      "unauthenticated",
      "TokenUnknown",
      `bootstrap token ${token.id} is not known to this manager: another one made it, or it ended over a day ago; ${again(cluster)}`,
    );
  const name = `bootstrap token ${record.id} of cluster ${record.cluster}`;
  if (cluster !== record.cluster)
    return refusal(
      "denied",
      "OtherCluster",
      `cluster ${cluster} came with the token of cluster ${record.cluster}; each needs its own: ${again(cluster)}`,
    );
  if (record.revokedAt !== undefined)
    return refusal("denied", "TokenRevoked", `${name} was revoked at ${iso(record.revokedAt)}; ${again(cluster)}`);
  if (record.use !== undefined && record.use.key !== attempt.key) return tokenUsed(record, record.use);
  return record.expiresAt <= attempt.now ? expired(name, record, attempt) : undefined;
}

/** Whoever comes second may be who it was meant for, or a thief. */
export function tokenUsed({ id, cluster }: Pick<TokenRecord, "id" | "cluster">, { at, from }: TokenUse): MeshError {
  return refusal(
    "denied",
    "TokenUsed",
    `bootstrap token ${id} of cluster ${cluster} was used already, at ${iso(at)} from ${from}: a token is good for one call; if that was not you it was stolen: run causeway trust revoke --cluster ${cluster}, and ${again(cluster)}`,
  );
}

function expired(name: string, { expiresAt }: TokenRecord, { clock, cluster, now }: Attempt): MeshError {
  const skewMs = clock === undefined ? 0 : clock - now;
  const doubt =
    Math.abs(skewMs) < SKEW_MS
      ? ""
      : `; the clock of the cluster is ${formatDuration(Math.abs(skewMs))} ${skewMs < 0 ? "behind" : "ahead of"} ours: correct the one that is wrong`;
  const times = `at ${iso(expiresAt)}, and it is ${iso(now)} here`;
  return refusal("denied", "TokenExpired", `${name} ended ${times}${doubt}; ${again(cluster)}`);
}

/** @param code `denied` for what somebody has to mend, `unauthenticated` for who proved nothing. */
export const refusal = (
  code: "denied" | "unauthenticated" | "exhausted" | "conflict" | "timeout",
  reason: RelayRefusal,
  message: string,
): MeshError => new MeshError(code, message, { reason });

const again = (cluster: ClusterId): string => `make one with causeway trust token --cluster ${cluster}`;

const iso = (time: EpochMs): string => new Date(time).toISOString();

/** How long it takes says nothing of how much of it is right. */
function sameHash(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one, "hex"), Buffer.from(other, "hex")];
  return a.length === b.length && timingSafeEqual(a, b);
}
