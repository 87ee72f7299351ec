import type { StringMatch } from "../../registry/model/policy.ts";
import type { OperationMatch, PathTemplate } from "../../registry/model/proxy-policies.ts";
import { type Clause, type Permission, permissions } from "./rbac-clauses.ts";
import type { Needs } from "./rbac-layer.ts";
import { literal, patternOf, regexMatcher, type StringMatcher, textMatcher } from "./text-matchers.ts";

/** What is asked for at `port` of the service: which port that is we know, whatever the connection's was. */
export function operationPermission(match: OperationMatch, port: number, needs: Needs): Clause<Permission> {
  const { hosts, methods, paths } = match;
  return permissions.every([
    permissions.matches(match.ports, (value) => value === port),
    needs("http", hosts !== undefined, () => permissions.matches(hosts, host)),
    needs("http", methods !== undefined, () => permissions.matches(methods, (value) => header(":method", value))),
    needs("http", paths !== undefined, () => permissions.matches(paths, urlPath)),
  ]);
}

/** Any of its values, if it comes more than once. One that is empty is none. */
export function header(name: string, match: StringMatch): Permission {
  // `\C` is any byte: headers may hold some that are no UTF-8, which a dot does not match.
  return headerIs(name, textMatcher(match) ?? regexMatcher("\\C+"));
}

export const serverName = (match: StringMatch): Permission => ({
  requestedServerName: textMatcher(match) ?? regexMatcher(".+"),
});

const headerIs = (name: string, stringMatch: StringMatcher): Permission => ({ header: { name, stringMatch } });

/** Host names know no case, may end with a dot, and come with a port or without; one that names a port means that. */
function host(match: StringMatch): Clause<Permission> {
  if (match.kind === "presence") return header(":authority", match);
  const end = match.kind === "prefix" || /:[0-9]+$/.test(match.value) ? "" : "\\.?(:[0-9]+)?";
  return headerIs(":authority", regexMatcher(`(?i)${patternOf(match, ".")}${end}`));
}

/** The path without its query. */
function urlPath(match: StringMatch | PathTemplate): Clause<Permission> {
  // Every request has one.
  if (match.kind === "presence") return true;
  const path = match.kind === "template" ? regexMatcher(templatePattern(match.value)) : textMatcher(match)!;
  return { urlPath: { path } };
}

/** `{*}` stands for one segment, `{**}` for any. */
const templatePattern = (template: string): string =>
  template
    .split(/(\{\*\*?\})/)
    .map((part) => (part === "{*}" ? "[^/]+" : part === "{**}" ? ".*" : literal(part)))
    .join("");
