import type { BackendRef, BackendTarget, Route, RouteRule } from "../kube/route.ts";
import type { HttpAction, HttpMatch, HttpRule, Mirror, RetryPolicy, WeightedBackend } from "../model/http-rule.ts";
import { resolveBackend, type BackendReads, type RefReason, type ResolvedBackend } from "./route-backends.ts";
import type { RouteOptions } from "./route-parents.ts";

/** One match of one rule, and how specific it is: greater ones come first, compared number by number. */
export interface OrderedRule {
  readonly weight: readonly number[];
  readonly rule: HttpRule;
}

export interface CompiledRules {
  readonly rules: readonly OrderedRule[];
  /** Each reference that leads nowhere, once. */
  readonly unresolved: readonly { readonly reason: RefReason; readonly message: string }[];
}

/** Unless a route says how often. */
const ATTEMPTS = 2;

/** What a route makes of requests, whatever it is attached to. */
export function compileRoute(route: Route, reads: BackendReads, options: RouteOptions): CompiledRules {
  const unresolved: { reason: RefReason; message: string }[] = [];
  const resolve = (target: BackendTarget): ResolvedBackend => {
    const found = resolveBackend(route, target, reads, options);
    if ("reason" in found) unresolved.push({ reason: found.reason, message: found.message });
    return found;
  };
  const { kind, id } = route;
  const rules = route.rules.flatMap((rule, at) => {
    const common = commonOf(rule, resolve);
    return rule.matches.map((match, number) => ({
      weight: kind === "HTTPRoute" ? httpWeight(match) : grpcWeight(match),
      rule: { name: `${kind} ${id.namespace}/${id.name} rule ${at} match ${number}`, match, ...common },
    }));
  });
  return { rules, unresolved };
}

type Resolve = (target: BackendTarget) => ResolvedBackend;

function commonOf(rule: RouteRule, resolve: Resolve): Omit<HttpRule, "name" | "match"> {
  const { filters, timeoutMs, backendTimeoutMs } = rule;
  const retry = retryOf(rule);
  return {
    action: actionOf(rule, resolve),
    requestHeaders: filters.requestHeaders,
    responseHeaders: filters.responseHeaders,
    mirrors: filters.mirrors.flatMap(({ target, perMillion }): Mirror[] => {
      const { backend } = resolve(target);
      return backend === "refused" || perMillion === 0 ? [] : [{ backend, perMillion }];
    }),
    timeoutMs: retry === undefined ? shorter(timeoutMs, backendTimeoutMs) : timeoutMs,
    retry,
  };
}

/** Of two times of which 0 is none, and undefined nothing that was said. */
const shorter = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : a === 0 || b === 0 ? a + b : Math.min(a, b);

function retryOf({ retry, backendTimeoutMs }: RouteRule): RetryPolicy | undefined {
  if (retry === undefined || retry.attempts === 0) return undefined;
  return {
    attempts: retry.attempts ?? ATTEMPTS,
    codes: retry.codes,
    perTryTimeoutMs: backendTimeoutMs || undefined,
    backoffMs: retry.backoffMs,
  };
}

function actionOf({ broken, filters, backends }: RouteRule, resolve: Resolve): HttpAction {
  const refuse = (why: string): HttpAction => ({ kind: "refuse", status: 500, why });
  if (broken !== undefined) return refuse(`${broken}.`);
  if (filters.redirect !== undefined) return { kind: "redirect", redirect: filters.redirect };
  if (backends.length === 0) return refuse("The rule has no backendRefs.");
  const resolved = backends.map((ref) => weighted(ref, resolve));
  const live = resolved.filter(({ weight }) => weight > 0);
  if (live.length === 0) return refuse("All backendRefs of the rule have weight 0.");
  if (live.every(({ backend }) => backend === "refused")) return refuse("No backendRef of the rule can be sent to.");
  return { kind: "forward", backends: resolved, rewrite: filters.rewrite };
}

function weighted({ target, weight, filters, broken }: BackendRef, resolve: Resolve): WeightedBackend {
  const backend = broken === undefined ? resolve(target).backend : "refused";
  return { backend, weight, requestHeaders: filters.requestHeaders, responseHeaders: filters.responseHeaders };
}

/**
 * Exact paths, then prefixes, the longer first, then expressions, and what takes any path last; of equals a method, then
 * more headers, then more parameters (Gateway API, which leaves the place of expressions open).
 */
function httpWeight({ path, method, headers, queryParams }: HttpMatch): readonly number[] {
  const any = path === undefined || (path.kind === "prefix" && path.value === "/");
  const rank = any ? 0 : { regex: 1, prefix: 2, exact: 3 }[path.kind];
  return [rank, any ? 0 : path.value.length, method === undefined ? 0 : 1, headers.length, queryParams.length];
}

/** More characters of the service, then of the method, then more headers (Gateway API); names before expressions. */
function grpcWeight({ path, headers }: HttpMatch): readonly number[] {
  if (path === undefined) return [0, 0, 0, headers.length];
  const [, service = "", method = ""] = path.value.split("/");
  if (path.kind === "regex") return [1, path.value.length, 0, headers.length];
  return [2, service.length, method.length, headers.length];
}
