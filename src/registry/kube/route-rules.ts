import type { HttpMatch } from "../model/http-rule.ts";
import type { Unread } from "./authorization-policy.ts";
import { FieldError, fieldsOf, integerOf, isAbsent, listOf, textOf, type Fields } from "./fields.ts";
import { idOf, type Metadata } from "./metadata.ts";
import { readBackend } from "./route-backends.ts";
import { NO_FILTERS, readFilters } from "./route-filters.ts";
import { readRouteStatus } from "./route-status.ts";
import { coreGroup } from "./route-target.ts";
import { onlyFieldsOf } from "./service-scope.ts";
import {
  attempt,
  ERRORS_MAX,
  type BackendRef,
  type ParentRef,
  type Route,
  type RouteFilters,
  type RouteKind,
  type RouteRule,
} from "./route.ts";

/** The API takes fewer: 16 rules with 128 matches in all, 16 backends, 32 parents. */
const RULES_MAX = 64;
const MATCHES_MAX = 128;
const PARENTS_MAX = 32;
const BACKENDS_MAX = 64;

/** How the rules of one kind of route are read. */
export interface RouteReading {
  /** Of a rule. */
  readonly fields: readonly string[];
  /** What a rule without matches matches. */
  readonly any: HttpMatch;
  /** @throws FieldError */
  readonly match: (value: unknown, field: string) => HttpMatch;
  readonly times: (
    rule: Fields,
    field: string,
    errors: Unread[],
  ) => Pick<RouteRule, "timeoutMs" | "backendTimeoutMs" | "retry">;
}

export function readRoute(kind: RouteKind, metadata: Metadata, object: Fields, reading: RouteReading): Route {
  const errors: Unread[] = [];
  const ignored: Unread[] = [];
  const spec = attempt(errors, () => fieldsOf(object["spec"], "spec")) ?? {};
  const { namespace } = metadata;
  const parents = attempt(errors, () => listOf(spec["parentRefs"], "spec.parentRefs", PARENTS_MAX)) ?? [];
  const rules = attempt(errors, () => listOf(spec["rules"], "spec.rules", RULES_MAX)) ?? [];
  if (Array.isArray(spec["hostnames"]) && spec["hostnames"].length > 0)
    ignored.push({ field: "spec.hostnames", message: "has no effect on the routes of a service: its own names count" });
  return {
    kind,
    id: idOf(metadata),
    parents: parents.flatMap(
      (item, at) => attempt(errors, () => [readParent(item, `spec.parentRefs[${at}]`, namespace)]) ?? [],
    ),
    rules: rules.map((item, at) => readRule(item, `spec.rules[${at}]`, namespace, reading, { errors, ignored })),
    errors: errors.slice(0, ERRORS_MAX),
    ignored: ignored.slice(0, ERRORS_MAX),
    kept: false,
    status: readRouteStatus(metadata, object),
  };
}

/** @throws FieldError */
function readParent(item: unknown, field: string, ownNamespace: string): ParentRef {
  const ref = fieldsOf(item, field);
  const group = isAbsent(ref["group"]) ? "gateway.networking.k8s.io" : textOf(ref["group"], `${field}.group`, 253);
  return {
    group: coreGroup(group),
    kind: isAbsent(ref["kind"]) ? "Gateway" : textOf(ref["kind"], `${field}.kind`, 63),
    namespace: textOf(ref["namespace"], `${field}.namespace`, 63) || ownNamespace,
    name: textOf(ref["name"], `${field}.name`, 253),
    sectionName: textOf(ref["sectionName"], `${field}.sectionName`, 253),
    port: integerOf(ref["port"], `${field}.port`, 1, 65_535),
    written: ref,
  };
}

interface Findings {
  readonly errors: Unread[];
  readonly ignored: Unread[];
}

function readRule(
  item: unknown,
  field: string,
  ownNamespace: string,
  reading: RouteReading,
  { errors, ignored }: Findings,
): RouteRule {
  // What is in a field that nobody knows may have been its matches.
  const fields = [...reading.fields, ...UNSUPPORTED];
  const rule = attempt(errors, () => onlyFieldsOf(item, field, fields), "the rule is left out");
  if (rule === undefined) return NOTHING;
  const matches = readMatches(rule, field, reading, errors);
  const found = errors.length;
  const needed = <V>(read: () => V): V | undefined =>
    attempt(errors, read, "what the rule matches is answered with 500");
  const own = needed(() => readFilters(rule["filters"], `${field}.filters`, ownNamespace)) ?? NO_FILTERS;
  const all = needed(() => listOf(rule["backendRefs"], `${field}.backendRefs`, BACKENDS_MAX)) ?? [];
  const unread = errors[found];
  const refs = all.map((ref, at) => readBackend(ref, `${field}.backendRefs[${at}]`, ownNamespace, errors));
  const { filters, backends } = raised(own, refs, errors);
  const prefixed = needed(() => checkPrefixes(filters, matches, `${field}.filters`));
  const error = unread ?? (prefixed === undefined ? errors.at(-1) : undefined);
  for (const name of UNSUPPORTED)
    if (!isAbsent(rule[name]))
      ignored.push({ field: `${field}.${name}`, message: "is not supported, and has no effect" });
  return {
    matches,
    broken: error && `${error.field} ${error.message}`,
    filters,
    backends,
    ...reading.times(rule, field, errors),
  };
}

const UNSUPPORTED = ["sessionPersistence"];
const NOTHING: RouteRule = {
  matches: [],
  broken: undefined,
  filters: NO_FILTERS,
  backends: [],
  timeoutMs: undefined,
  backendTimeoutMs: undefined,
  retry: undefined,
};

/** One that cannot be read is left out: it would match more than was meant, or something else. */
function readMatches(rule: Fields, field: string, reading: RouteReading, errors: Unread[]): readonly HttpMatch[] {
  const all = attempt(errors, () => listOf(rule["matches"], `${field}.matches`, MATCHES_MAX), "the rule is left out");
  if (all === undefined) return [];
  if (all.length === 0) return [reading.any];
  return all.flatMap(
    (item, at) =>
      attempt(errors, () => [reading.match(item, `${field}.matches[${at}]`)], "the match is left out") ?? [],
  );
}

/**
 * What only a whole rule can do is done for the rule if it has but one backend that counts; else that backend's share is
 * answered with 500, as passing over a filter could undo what protects it.
 */
function raised(
  own: RouteFilters,
  backends: readonly BackendRef[],
  errors: Unread[],
): { filters: RouteFilters; backends: readonly BackendRef[] } {
  const live = backends.filter(({ weight }) => weight > 0);
  const only = live.length === 1 && live[0]!.broken === undefined ? live[0]!.filters : NO_FILTERS;
  const filters = {
    ...own,
    mirrors: [...own.mirrors, ...only.mirrors],
    redirect: own.redirect ?? only.redirect,
    rewrite: own.rewrite ?? only.rewrite,
  };
  if (live.length <= 1) return { filters, backends };
  const checked = backends.map((backend): BackendRef => {
    const { target, broken, filters: wanted } = backend;
    if (broken !== undefined || !changesMore(wanted)) return backend;
    const message = "of one backend among several can only change headers; its share is answered with 500";
    errors.push({ field: `${target.field}.filters`, message });
    return { ...backend, broken: `${target.field}.filters ${message}` };
  });
  return { filters, backends: checked };
}

const changesMore = ({ mirrors, redirect, rewrite }: RouteFilters): boolean =>
  mirrors.length > 0 || redirect !== undefined || rewrite !== undefined;

/** Only a match of a prefix says which part of the path is to be replaced. @throws FieldError */
function checkPrefixes({ redirect, rewrite }: RouteFilters, matches: readonly HttpMatch[], field: string): true {
  const changes = redirect?.path?.kind === "prefix" || rewrite?.path?.kind === "prefix";
  if (changes && matches.some(({ path }) => path?.kind !== "prefix"))
    throw new FieldError(
      field,
      "replaces the prefix of the path, but a match of the rule has none; use PathPrefix there",
    );
  return true;
}
