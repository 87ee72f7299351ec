import type { ClusterId } from "../../names.ts";

/** What a peer may take from us, and what it may bring (contract peering.md 2.3 and 2.18). */
export interface PeerGrant {
  /**
   * True for what Workspaces leave (contract peering.md B22): it narrows what grants give, and never adds. Unknown is one
   * that counts as both, as that could not be read.
   */
  readonly bound: boolean | "unknown";
  /** Whom it is for; with a trust domain as well only if both fit. Both undefined is everybody, or by a bound the rest. */
  readonly cluster: ClusterId | undefined;
  readonly trustDomain: string | undefined;
  /** What it may read here; undefined if the grant does not limit that. */
  readonly exports: GrantScope | undefined;
  /** What it may contribute endpoints to; undefined if the grant does not limit that. */
  readonly imports: GrantScope | undefined;
}

/** A PeerGrant with the value `true` is a bound. */
export const BOUND_LABEL = "trust.causeway.dev/bound";
/** The cluster that a bound names which is for whoever has none of its own. */
export const EVERY_OTHER = "*";
/** In one list of a grant. */
export const PATTERNS_MAX = 1_000;

/** A service is in it if its namespace and its name both are. */
export interface GrantScope {
  /** Names, or patterns in which `*` stands for any text; empty is none at all. */
  readonly namespaces: readonly string[];
  /** Names of Services, likewise; undefined is all of those namespaces. */
  readonly services: readonly string[] | undefined;
}

/** True if the scope takes in the service. */
export const inScope = ({ namespaces, services }: GrantScope, namespace: string, name: string): boolean =>
  namespaces.some((pattern) => matchesPattern(pattern, namespace)) &&
  (services === undefined || services.some((pattern) => matchesPattern(pattern, name)));

/** `*` stands for any text, also for none; piece by piece, as a regular expression of many stars could take for ever. */
export function matchesPattern(pattern: string, text: string): boolean {
  const pieces = pattern.split("*");
  const [head, tail] = [pieces[0]!, pieces.at(-1)!];
  if (pieces.length === 1) return pattern === text;
  if (!text.startsWith(head) || !text.endsWith(tail) || text.length < head.length + tail.length) return false;
  let at = head.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at);
    if (found < 0 || found + piece.length > text.length - tail.length) return false;
    at = found + piece.length;
  }
  return true;
}
