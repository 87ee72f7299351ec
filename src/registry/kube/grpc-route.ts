import type { HttpMatch, PathMatch } from "../model/http-rule.ts";
import { describe, FieldError, isAbsent, textOf, type Fields } from "./fields.ts";
import { readNamed, regex } from "./http-route.ts";
import type { Metadata } from "./metadata.ts";
import { headerName } from "./route-filters.ts";
import { readRoute } from "./route-rules.ts";
import type { Route } from "./route.ts";
import { onlyFieldsOf } from "./service-scope.ts";

const NAME = /^[A-Za-z0-9_.-]+$/;
/** What stands for a name that nobody gave. */
const ANY_NAME = "[^/]+";

/** Never throws: what it cannot read is among its errors. */
export const readGrpcRoute = (metadata: Metadata, object: Fields): Route =>
  readRoute("GRPCRoute", metadata, object, {
    fields: ["name", "matches", "filters", "backendRefs"],
    any: { path: undefined, method: undefined, headers: [], queryParams: [] },
    match: readMatch,
    times: () => ({ timeoutMs: undefined, backendTimeoutMs: undefined, retry: undefined }),
  });

/** @throws FieldError */
function readMatch(value: unknown, field: string): HttpMatch {
  const match = onlyFieldsOf(value, field, ["method", "headers"]);
  return {
    path: readMethod(match["method"], `${field}.method`),
    method: undefined,
    headers: readNamed(match["headers"], `${field}.headers`, (name, at) => headerName(name, at)),
    queryParams: [],
  };
}

/** gRPC calls `/package.Service/Method`. */
function readMethod(value: unknown, field: string): PathMatch | undefined {
  if (isAbsent(value)) return undefined;
  const { type: said, ...names } = onlyFieldsOf(value, field, ["type", "service", "method"]);
  const service = textOf(names["service"], `${field}.service`);
  const method = textOf(names["method"], `${field}.method`);
  const type = isAbsent(said) ? "Exact" : said;
  if (type !== "Exact" && type !== "RegularExpression")
    throw new FieldError(`${field}.type`, `is ${describe(type)}; use Exact or RegularExpression`);
  if (service === "" && method === "") throw new FieldError(field, "names neither a service nor a method");
  if (type === "RegularExpression") return { kind: "regex", value: pattern(service, method, field) };
  for (const [part, name] of [
    ["service", service],
    ["method", method],
  ] as const)
    if (name !== "" && !NAME.test(name))
      throw new FieldError(`${field}.${part}`, `is ${describe(name)}; use letters, digits, '_' and '.'`);
  if (method === "") return { kind: "prefix", value: `/${service}` };
  if (service === "") return { kind: "regex", value: `/${ANY_NAME}/${method.replaceAll(".", "\\.")}` };
  return { kind: "exact", value: `/${service}/${method}` };
}

function pattern(service: string, method: string, field: string): string {
  const group = (text: string, part: string): string =>
    text === "" ? ANY_NAME : `(?:${regex(text, `${field}.${part}`)})`;
  return regex(`/${group(service, "service")}/${group(method, "method")}`, field);
}
