import type { Caller } from "../caller.ts";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { printable } from "../printable.ts";
import { type Claims, unprovenClaims } from "./bearer-token.ts";
import { accountOf, boundPod } from "./token-holder.ts";
import { AUDIENCE } from "./token-issuer.ts";

const SERVICE_ACCOUNTS = "system:serviceaccounts";
const BINDING = { name: "authentication.kubernetes.io/pod-name", uid: "authentication.kubernetes.io/pod-uid" };

/** What a token says of itself, fit to be asked about; an API server has yet to say whether it is true. */
export interface TokenClaims {
  readonly username: string;
  readonly pod: Caller["pod"];
  readonly expiresAt: EpochMs;
}

/** Whose a token is, by the word of an API server. */
export interface TokenHolder {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: Caller["pod"];
}

/**
 * Looks at a token before an API server is bothered with it (contract operations.md 4.4, 18).
 * @throws MeshError `unauthenticated` for one that no API server would say is good, and ours, now.
 */
export function readTokenClaims(token: string, now: EpochMs): TokenClaims {
  const { sub, exp, aud, ...claims } = unprovenClaims(token);
  if (typeof sub !== "string") throw refuse("the token names no subject");
  accountOf(sub);
  const audiences = Array.isArray(aud) ? (aud as readonly unknown[]) : [aud];
  if (!audiences.includes(AUDIENCE))
    throw refuse(`the token is not for audience ${AUDIENCE}: project one into the pod that is`);
  if (typeof exp !== "number" || !Number.isFinite(exp * 1000)) throw refuse("the token never expires");
  const expiresAt = exp * 1000;
  if (expiresAt <= now) throw refuse("the token has expired");
  return { username: sub, pod: boundPod(claims["kubernetes.io"]), expiresAt };
}

/**
 * Whose the token is, by the status of its review (contract ztunnel.md 4.4, and stricter: operations.md 4.3).
 * @param status as it was answered: nothing of it was checked.
 * @param claims of the same token: they must not say other than the answer.
 * @throws MeshError `unauthenticated` if it proves nobody.
 */
export function readReview(status: unknown, claims: TokenClaims): TokenHolder {
  const { authenticated, user, audiences, error } = fieldsOf(status);
  if (authenticated !== true) {
    const why = typeof error === "string" && error !== "" ? `: ${printable(error, 200)}` : "";
    throw refuse(`the API server does not accept the token${why}`);
  }
  // An API server that knows nothing of audiences accepts every token of its own, and answers without any.
  if (!listOf(audiences).includes(AUDIENCE)) throw refuse(`the token was not accepted for audience ${AUDIENCE}`);
  const { username, groups, extra } = fieldsOf(user);
  if (!listOf(groups).includes(SERVICE_ACCOUNTS)) throw refuse(`its user is not in group ${SERVICE_ACCOUNTS}`);
  if (typeof username !== "string") throw refuse("the token is not of a service account");
  const account = accountOf(username);
  if (username !== claims.username) throw refuse(`the token says ${claims.username}, its review ${username}`);
  return { ...account, pod: agreed(reviewedPod(fieldsOf(extra)), claims.pod) };
}

function reviewedPod(extra: Claims): Caller["pod"] {
  const [name, uid] = [extra[BINDING.name], extra[BINDING.uid]];
  if (name === undefined && uid === undefined) return undefined;
  const [podName, podUid] = [onlyText(name), onlyText(uid)];
  if (podName === undefined || podUid === undefined) throw refuse("the token's binding to a pod cannot be read");
  return { name: podName, uid: podUid };
}

/** The token is proven by now, so a binding that only its claims name binds it too. */
function agreed(reviewed: Caller["pod"], claimed: Caller["pod"]): Caller["pod"] {
  if (reviewed === undefined || claimed === undefined) return reviewed ?? claimed;
  if (reviewed.name === claimed.name && reviewed.uid === claimed.uid) return reviewed;
  throw refuse("the token and its review name different pods");
}

const refuse = (why: string): MeshError => new MeshError("unauthenticated", why);

const fieldsOf = (value: unknown): Claims => (value !== null && typeof value === "object" ? (value as Claims) : {});

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function onlyText(value: unknown): string | undefined {
  const [text, ...more] = listOf(value);
  return typeof text === "string" && text !== "" && more.length === 0 ? text : undefined;
}
