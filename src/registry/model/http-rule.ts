import type { BackendName } from "./proxy-backend.ts";

/** What is done with the requests that match: one match of one rule of an HTTPRoute or GRPCRoute, or what holds without. */
export interface HttpRule {
  /** Who says so, for logs, as `HTTPRoute shop/cart rule 0 match 1` or `default`. */
  readonly name: string;
  readonly match: HttpMatch;
  readonly action: HttpAction;
  readonly requestHeaders: HeaderChanges;
  readonly responseHeaders: HeaderChanges;
  readonly mirrors: readonly Mirror[];
  /** From the end of the request to the end of the answer; 0 for none, undefined if nobody said. */
  readonly timeoutMs: number | undefined;
  readonly retry: RetryPolicy | undefined;
}

/** All of it must match; what is empty or undefined matches anything. */
export interface HttpMatch {
  readonly path: PathMatch | undefined;
  /** As `GET`. */
  readonly method: string | undefined;
  readonly headers: readonly NamedMatch[];
  readonly queryParams: readonly NamedMatch[];
}

/** A prefix matches whole segments: `/a` takes `/a` and `/a/b`, not `/ab`. A regex is RE2 and matches the whole path. */
export interface PathMatch {
  readonly kind: "exact" | "prefix" | "regex";
  readonly value: string;
}

/** `name` is lower case for headers. A regex is RE2 and matches the whole value. */
export interface NamedMatch {
  readonly name: string;
  readonly kind: "exact" | "regex";
  readonly value: string;
}

export type HttpAction =
  | { readonly kind: "forward"; readonly backends: readonly WeightedBackend[]; readonly rewrite: Rewrite | undefined }
  | { readonly kind: "redirect"; readonly redirect: Redirect }
  /** Nothing to send it to; `why` is a sentence for logs. */
  | { readonly kind: "refuse"; readonly status: number; readonly why: string };

/** Those of weight 0 get nothing; at least one has more. A `refused` one answers its share with 500 (Gateway API). */
export interface WeightedBackend {
  readonly backend: BackendName | "refused";
  readonly weight: number;
  readonly requestHeaders: HeaderChanges;
  readonly responseHeaders: HeaderChanges;
}

/** In this order: remove, set, add. Names are lower case. */
export interface HeaderChanges {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly add: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

export interface Mirror {
  readonly backend: BackendName;
  /** Of a million requests. */
  readonly perMillion: number;
}

export interface RetryPolicy {
  /** After the first try; 1 to 100. */
  readonly attempts: number;
  /** Status codes of answers that are tried again, 400 to 599; connections that fail are, too. */
  readonly codes: readonly number[];
  /** Undefined if nobody said. */
  readonly perTryTimeoutMs: number | undefined;
  readonly backoffMs: number | undefined;
}

export interface Rewrite {
  readonly hostname: string | undefined;
  readonly path: PathChange | undefined;
}

/** `prefix` replaces what the match's prefix took. */
export interface PathChange {
  readonly kind: "full" | "prefix";
  readonly value: string;
}

export interface Redirect {
  readonly scheme: "http" | "https" | undefined;
  readonly hostname: string | undefined;
  readonly port: number | undefined;
  readonly path: PathChange | undefined;
  readonly status: 301 | 302 | 303 | 307 | 308;
}

export const NO_CHANGES: HeaderChanges = { set: [], add: [], remove: [] };
export const ANY_REQUEST: HttpMatch = { path: undefined, method: undefined, headers: [], queryParams: [] };
