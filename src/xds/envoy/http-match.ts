import type { HttpRule, NamedMatch, PathMatch } from "../../registry/model/http-rule.ts";
import { regexProblem } from "../../regex.ts";
import { refuse } from "./encodable.ts";
import type { envoy } from "./message.ts";
import { literal, regexMatcher, type StringMatcher } from "./text-matchers.ts";

type RouteMatch = envoy.config.route.v3.RouteMatch.$Properties;

/** @throws MeshError `invalid` */
export function routeMatch(rule: HttpRule): RouteMatch {
  const { path, method, headers, queryParams } = rule.match;
  return {
    ...pathMatch(path, rule),
    headers: [
      ...(method === undefined ? [] : [{ name: ":method", stringMatch: { exact: method } }]),
      ...headers.map((match) => ({ name: match.name, stringMatch: valueMatch(match, rule, "header") })),
    ],
    queryParameters: queryParams.map((match) => ({
      name: match.name,
      stringMatch: match.kind === "exact" ? queryText(match.value) : valueMatch(match, rule, "query parameter"),
    })),
  };
}

/** Without the slashes that it ends with: `/a/` is the prefix `/a`, and `/` is none. */
export const prefixOf = (value: string): string => value.replace(/\/+$/, "");

function pathMatch(path: PathMatch | undefined, rule: HttpRule): RouteMatch {
  if (path === undefined) return { prefix: "/" };
  const field = `the path of its match, ${JSON.stringify(path.value.slice(0, 80))},`;
  if (path.kind === "regex") return { safeRegex: { regex: checkedRegex(path.value, rule, "the path of its match") } };
  if (!path.value.startsWith("/")) refuse(rule, field, `must begin with "/"`);
  if (/[?#]/.test(path.value)) refuse(rule, field, `must not have "?" or "#"`);
  if (path.kind === "exact") return { path: path.value };
  const prefix = prefixOf(path.value);
  return prefix === "" ? { prefix: "/" } : { pathSeparatedPrefix: prefix };
}

function valueMatch({ name, kind, value }: NamedMatch, rule: HttpRule, what: string): StringMatcher {
  if (kind === "exact") return { exact: value };
  return { safeRegex: { regex: checkedRegex(value, rule, `its match of the ${what} ${name}`) } };
}

/** Envoy looks at parameters as they are written, which may be in several ways. */
function queryText(text: string): StringMatcher {
  if (/^[A-Za-z0-9._~-]*$/.test(text)) return { exact: text };
  const letters = [...text].map((letter) => {
    const escaped = [...Buffer.from(letter)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
    return `(?:${literal(letter)}|(?i:${escaped})${letter === " " ? "|\\+" : ""})`;
  });
  return regexMatcher(letters.join(""));
}

function checkedRegex(text: string, rule: HttpRule, field: string): string {
  const problem = regexProblem(text);
  if (problem !== undefined) refuse(rule, field, problem);
  return text;
}
