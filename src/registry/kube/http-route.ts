import { regexProblem } from "../../regex.ts";
import type { HttpMatch, NamedMatch, PathMatch } from "../model/http-rule.ts";
import type { Unread } from "./authorization-policy.ts";
import { durationOf } from "./duration.ts";
import { describe, FieldError, fieldsOf, integerOf, isAbsent, listOf, textOf, type Fields } from "./fields.ts";
import type { Metadata } from "./metadata.ts";
import { headerName, plain } from "./route-filters.ts";
import { readRoute } from "./route-rules.ts";
import { attempt, type Route, type RouteRetry, type RouteRule } from "./route.ts";
import { onlyFieldsOf } from "./service-scope.ts";

const VALUE_CHARS_MAX = 4_096;
const NAMED_MAX = 16;
const METHOD = /^[A-Z]{1,20}$/;
const ANY_PATH: PathMatch = { kind: "prefix", value: "/" };

/** Never throws: what it cannot read is among its errors, and so is an expression that is not RE2's. */
export const readHttpRoute = (metadata: Metadata, object: Fields): Route =>
  readRoute("HTTPRoute", metadata, object, {
    fields: ["name", "matches", "filters", "backendRefs", "timeouts", "retry"],
    any: { path: ANY_PATH, method: undefined, headers: [], queryParams: [] },
    match: readMatch,
    times: readTimes,
  });

/** @throws FieldError, also for a field that nobody knows: without it more would match than was meant. */
function readMatch(value: unknown, field: string): HttpMatch {
  const match = onlyFieldsOf(value, field, ["path", "method", "headers", "queryParams"]);
  const method = textOf(match["method"], `${field}.method`);
  if (method !== "" && !METHOD.test(method))
    throw new FieldError(`${field}.method`, `is ${describe(method)}; use a method in capitals, as GET`);
  return {
    path: readPath(match["path"], `${field}.path`),
    method: method || undefined,
    headers: readNamed(match["headers"], `${field}.headers`, (name, at) => headerName(name, at)),
    queryParams: readNamed(match["queryParams"], `${field}.queryParams`, (name, at) =>
      plain(textOf(name, at, 256), at),
    ),
  };
}

function readPath(value: unknown, field: string): PathMatch {
  if (isAbsent(value)) return ANY_PATH;
  const path = onlyFieldsOf(value, field, ["type", "value"]);
  const text = isAbsent(path["value"]) ? "/" : plain(textOf(path["value"], `${field}.value`), `${field}.value`);
  const type = isAbsent(path["type"]) ? "PathPrefix" : path["type"];
  if (type === "RegularExpression") return { kind: "regex", value: regex(text, `${field}.value`) };
  if (type !== "Exact" && type !== "PathPrefix")
    throw new FieldError(`${field}.type`, `is ${describe(type)}; use Exact, PathPrefix or RegularExpression`);
  if (!text.startsWith("/") || /[?#]/.test(text))
    throw new FieldError(`${field}.value`, `is ${describe(text)}; a path begins with a slash, and has no "?" or "#"`);
  if (type === "Exact") return { kind: "exact", value: text };
  return { kind: "prefix", value: text.replace(/\/+$/, "") || "/" };
}

/** Of several with one name the first counts (Gateway API). */
export function readNamed(
  value: unknown,
  field: string,
  nameOf: (name: unknown, field: string) => string,
): readonly NamedMatch[] {
  const found = new Map<string, NamedMatch>();
  for (const [at, item] of listOf(value, field, NAMED_MAX).entries()) {
    const match = onlyFieldsOf(item, `${field}[${at}]`, ["type", "name", "value"]);
    const name = nameOf(match["name"], `${field}[${at}].name`);
    const where = `${field}[${at}].value`;
    const text = plain(textOf(match["value"], where, VALUE_CHARS_MAX), where);
    const type = isAbsent(match["type"]) ? "Exact" : match["type"];
    if (name === "") throw new FieldError(`${field}[${at}].name`, "is missing");
    if (type !== "Exact" && type !== "RegularExpression")
      throw new FieldError(`${field}[${at}].type`, `is ${describe(type)}; use Exact or RegularExpression`);
    if (found.has(name)) continue;
    found.set(name, type === "Exact" ? { name, kind: "exact", value: text } : regexNamed(name, text, where));
  }
  return [...found.values()];
}

const regexNamed = (name: string, text: string, field: string): NamedMatch => ({
  name,
  kind: "regex",
  value: regex(text, field),
});

/** @throws FieldError for one that proxies could not take. */
export function regex(text: string, field: string): string {
  const problem = regexProblem(text);
  if (problem !== undefined) throw new FieldError(field, problem);
  return text;
}

type Times = Pick<RouteRule, "timeoutMs" | "backendTimeoutMs" | "retry">;

/** A time that cannot be read is none that was said: no request fails for it. */
function readTimes(rule: Fields, field: string, errors: Unread[]): Times {
  const read = <V>(reading: () => V): V | undefined => attempt(errors, reading, "without it the rule goes on");
  const timeouts = read(() => fieldsOf(rule["timeouts"], `${field}.timeouts`)) ?? {};
  return {
    timeoutMs: read(() => durationOf(timeouts["request"], `${field}.timeouts.request`)),
    backendTimeoutMs: read(() => durationOf(timeouts["backendRequest"], `${field}.timeouts.backendRequest`)),
    retry: read(() => readRetry(rule["retry"], `${field}.retry`)),
  };
}

function readRetry(value: unknown, field: string): RouteRetry | undefined {
  if (isAbsent(value)) return undefined;
  const retry = onlyFieldsOf(value, field, ["codes", "attempts", "backoff"]);
  const codes = listOf(retry["codes"], `${field}.codes`, 100).map(
    (code, at) => integerOf(code, `${field}.codes[${at}]`, 400, 599) ?? 0,
  );
  return {
    attempts: integerOf(retry["attempts"], `${field}.attempts`, 0, 100),
    codes: [...new Set(codes.filter((code) => code > 0))].sort((a, b) => a - b),
    backoffMs: durationOf(retry["backoff"], `${field}.backoff`),
  };
}
