import type { HeaderChanges, HttpMatch, Redirect, Rewrite } from "../model/http-rule.ts";
import type { Unread } from "./authorization-policy.ts";
import { FieldError, type Fields } from "./fields.ts";
import type { ObjectId } from "./metadata.ts";
import type { RouteStatus } from "./route-status.ts";

export type RouteKind = "HTTPRoute" | "GRPCRoute";

/** An HTTPRoute or GRPCRoute as written, as far as it can be read. */
export interface Route {
  readonly kind: RouteKind;
  readonly id: ObjectId;
  readonly parents: readonly ParentRef[];
  readonly rules: readonly RouteRule[];
  /** What could not be read, and what the rest does without it. */
  readonly errors: readonly Unread[];
  /** What was read and has no effect here. */
  readonly ignored: readonly Unread[];
  /** True if `rules` and `parents` are those of the object before it had `errors`. */
  readonly kept: boolean;
  readonly status: RouteStatus | undefined;
}

/** To what a route belongs. */
export interface ParentRef {
  /** Empty for the core group. */
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Empty for any. */
  readonly sectionName: string;
  readonly port: number | undefined;
  /** As written, to be said again in the status. */
  readonly written: Fields;
}

export interface RouteRule {
  /** Any of them; none if all that it has could not be read, and then it matches nothing. */
  readonly matches: readonly HttpMatch[];
  /** Why what it matches is answered with 500, as a sentence; undefined if it is not. */
  readonly broken: string | undefined;
  readonly filters: RouteFilters;
  readonly backends: readonly BackendRef[];
  /** 0 for none, undefined if nobody said. */
  readonly timeoutMs: number | undefined;
  readonly backendTimeoutMs: number | undefined;
  readonly retry: RouteRetry | undefined;
}

export interface RouteRetry {
  readonly attempts: number | undefined;
  readonly codes: readonly number[];
  readonly backoffMs: number | undefined;
}

export interface RouteFilters {
  readonly requestHeaders: HeaderChanges;
  readonly responseHeaders: HeaderChanges;
  readonly mirrors: readonly RouteMirror[];
  readonly redirect: Redirect | undefined;
  readonly rewrite: Rewrite | undefined;
}

export interface RouteMirror {
  readonly target: BackendTarget;
  readonly perMillion: number;
}

export interface BackendRef {
  readonly target: BackendTarget;
  readonly weight: number;
  readonly filters: RouteFilters;
  /** Why it cannot be used, as a sentence; undefined if it can. */
  readonly broken: string | undefined;
}

/** Where a route sends to. */
export interface BackendTarget {
  /** As `spec.rules[0].backendRefs[1]`. */
  readonly field: string;
  /** Empty for the core group. */
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  readonly port: number | undefined;
}

/** What could be read of a route; one that has errors now, and had none before, goes on as it was. */
export function lastGood(now: Route, before: Route): Route {
  const same = now.id.createdMs === before.id.createdMs;
  if (now.errors.length === 0 || !same || (before.errors.length > 0 && !before.kept)) return now;
  const { id, errors, status } = now;
  return { ...before, id, errors, status, kept: true };
}

/** Beyond this what is wrong with one object is not listed. */
export const ERRORS_MAX = 20;

/** What `read` gives; if it cannot be read, undefined, and one more error. */
export function attempt<V>(errors: Unread[], read: () => V, effect = ""): V | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    const { field, message } = error;
    errors.push({ field, message: effect === "" ? message : `${message}; ${effect}` });
    return undefined;
  }
}
