import { NO_CHANGES, type HeaderChanges, type PathChange, type Redirect, type Rewrite } from "../model/http-rule.ts";
import { describe, FieldError, fieldsOf, integerOf, isAbsent, listOf, textOf, type Fields } from "./fields.ts";
import { readTarget } from "./route-target.ts";
import type { RouteFilters, RouteMirror } from "./route.ts";
import { isHostname } from "./workload-entry.ts";

const FILTERS_MAX = 16;
const HEADERS_MAX = 64;
const TOKEN = /^[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,256}$/;
/** What would end a header, or begin another; and halves of characters, which no message can hold. */
const UNSAFE = /[\u0000-\u0008\u000a-\u001f\u007f]|\p{Surrogate}/u;

const NEW_PATH = /^\/[^?#\u0000-\u0020\u007f\p{Surrogate}]*$/u;

export const NO_FILTERS: RouteFilters = {
  requestHeaders: NO_CHANGES,
  responseHeaders: NO_CHANGES,
  mirrors: [],
  redirect: undefined,
  rewrite: undefined,
};

/** @throws FieldError; no filter may be passed over, since what it was to do may have been to protect. */
export function readFilters(value: unknown, field: string, ownNamespace: string): RouteFilters {
  let filters = NO_FILTERS;
  for (const [at, item] of listOf(value, field, FILTERS_MAX).entries()) {
    const where = `${field}[${at}]`;
    filters = withFilter(filters, fieldsOf(item, where), where, ownNamespace);
  }
  if (filters.redirect !== undefined && filters.rewrite !== undefined)
    throw new FieldError(field, "has both a RequestRedirect and a URLRewrite; a request can have only one of them");
  return filters;
}

function withFilter(filters: RouteFilters, filter: Fields, field: string, ownNamespace: string): RouteFilters {
  const type = textOf(filter["type"], `${field}.type`);
  const part = (name: string): Fields => fieldsOf(filter[name], `${field}.${name}`);
  switch (type) {
    case "RequestHeaderModifier": {
      const requestHeaders = readChanges(part("requestHeaderModifier"), `${field}.requestHeaderModifier`);
      return { ...filters, requestHeaders: joined(filters.requestHeaders, requestHeaders) };
    }
    case "ResponseHeaderModifier": {
      const responseHeaders = readChanges(part("responseHeaderModifier"), `${field}.responseHeaderModifier`);
      return { ...filters, responseHeaders: joined(filters.responseHeaders, responseHeaders) };
    }
    case "RequestMirror": {
      const mirror = readMirror(part("requestMirror"), `${field}.requestMirror`, ownNamespace);
      return { ...filters, mirrors: [...filters.mirrors, mirror] };
    }
    case "RequestRedirect":
      return { ...filters, redirect: readRedirect(part("requestRedirect"), `${field}.requestRedirect`) };
    case "URLRewrite":
      return { ...filters, rewrite: readRewrite(part("urlRewrite"), `${field}.urlRewrite`) };
    default:
      throw new FieldError(
        `${field}.type`,
        `is ${describe(type)}, which is not supported; use RequestHeaderModifier, ResponseHeaderModifier, RequestMirror, RequestRedirect or URLRewrite`,
      );
  }
}

/** As if both were asked for, one after the other. */
export const joined = (a: HeaderChanges, b: HeaderChanges): HeaderChanges =>
  a === NO_CHANGES ? b : { set: [...a.set, ...b.set], add: [...a.add, ...b.add], remove: [...a.remove, ...b.remove] };

function readChanges(modifier: Fields, field: string): HeaderChanges {
  const pairs = (name: string): (readonly [string, string])[] =>
    listOf(modifier[name], `${field}.${name}`, HEADERS_MAX).map((item, at) => {
      const header = fieldsOf(item, `${field}.${name}[${at}]`);
      const value = textOf(header["value"], `${field}.${name}[${at}].value`, 4_096);
      return [
        headerName(header["name"], `${field}.${name}[${at}].name`, true),
        plain(value, `${field}.${name}[${at}]`),
      ];
    });
  const remove = listOf(modifier["remove"], `${field}.remove`, HEADERS_MAX).map((item, at) =>
    headerName(item, `${field}.remove[${at}]`, true),
  );
  return { set: pairs("set"), add: pairs("add"), remove };
}

/** In lower case. @throws FieldError for what is no name of a header or, if it is to change, must not. */
export function headerName(value: unknown, field: string, changes = false): string {
  const name = textOf(value, field, 256).toLowerCase();
  if (!TOKEN.test(name)) throw new FieldError(field, `is ${describe(value)}; a header name is letters, digits and '-'`);
  if (changes && name === "host")
    throw new FieldError(field, "is the host, which is no header to change; use URLRewrite with a hostname");
  return name;
}

/** @throws FieldError for text with control characters, which no header or path can have. */
export function plain(text: string, field: string): string {
  if (UNSAFE.test(text))
    throw new FieldError(field, "has control characters, or halves of characters, which cannot be sent");
  return text;
}

const MILLION = 1_000_000;

function readMirror(mirror: Fields, field: string, ownNamespace: string): RouteMirror {
  const target = readTarget(fieldsOf(mirror["backendRef"], `${field}.backendRef`), `${field}.backendRef`, ownNamespace);
  const percent = integerOf(mirror["percent"], `${field}.percent`, 0, 100);
  if (isAbsent(mirror["fraction"])) return { target, perMillion: ((percent ?? 100) * MILLION) / 100 };
  const fraction = fieldsOf(mirror["fraction"], `${field}.fraction`);
  const denominator = integerOf(fraction["denominator"], `${field}.fraction.denominator`, 1, 2_147_483_647) ?? 100;
  const numerator = integerOf(fraction["numerator"], `${field}.fraction.numerator`, 0, denominator);
  if (percent !== undefined || numerator === undefined)
    throw new FieldError(field, "must have either a percent, or a fraction with a numerator");
  return { target, perMillion: Math.round((numerator * MILLION) / denominator) };
}

const STATUSES: readonly number[] = [301, 302, 303, 307, 308];

function readRedirect(redirect: Fields, field: string): Redirect {
  const status = integerOf(redirect["statusCode"], `${field}.statusCode`, 300, 399) ?? 302;
  if (!STATUSES.includes(status))
    throw new FieldError(`${field}.statusCode`, `is ${status}; use ${STATUSES.join(", ")}`);
  const scheme = textOf(redirect["scheme"], `${field}.scheme`).toLowerCase();
  if (scheme !== "" && scheme !== "http" && scheme !== "https")
    throw new FieldError(`${field}.scheme`, `is ${describe(scheme)}; use http or https`);
  return {
    scheme: scheme === "" ? undefined : scheme,
    hostname: hostIn(redirect["hostname"], `${field}.hostname`),
    port: integerOf(redirect["port"], `${field}.port`, 1, 65_535),
    path: readPathChange(redirect["path"], `${field}.path`),
    status: status as Redirect["status"],
  };
}

const readRewrite = (rewrite: Fields, field: string): Rewrite => ({
  hostname: hostIn(rewrite["hostname"], `${field}.hostname`),
  path: readPathChange(rewrite["path"], `${field}.path`),
});

function hostIn(value: unknown, field: string): string | undefined {
  const host = textOf(value, field, 253).toLowerCase();
  if (host !== "" && !isHostname(host)) throw new FieldError(field, `is ${describe(value)}, which is no host name`);
  return host || undefined;
}

function readPathChange(value: unknown, field: string): PathChange | undefined {
  if (isAbsent(value)) return undefined;
  const change = fieldsOf(value, field);
  const text = (name: string): string => {
    const path = textOf(change[name], `${field}.${name}`);
    if (path === "" || NEW_PATH.test(path)) return path;
    throw new FieldError(`${field}.${name}`, `is ${describe(path)}; a path begins with a slash, and has no "?" or "#"`);
  };
  switch (change["type"]) {
    case "ReplaceFullPath":
      return { kind: "full", value: text("replaceFullPath") || "/" };
    case "ReplacePrefixMatch":
      return { kind: "prefix", value: text("replacePrefixMatch") };
    default:
      throw new FieldError(
        `${field}.type`,
        `is ${describe(change["type"])}; use ReplaceFullPath or ReplacePrefixMatch`,
      );
  }
}
