import { isCidrWithin, parseCidr } from "../../../src/registry/ip.ts";
import type { Cidr, StringMatch } from "../../../src/registry/model/policy.ts";
import type {
  Condition,
  Matches,
  OperationMatch,
  PathTemplate,
  ProxyPolicies,
  RequestRule,
  SourceMatch,
} from "../../../src/registry/model/proxy-policies.ts";

/** A request as a waypoint sees it. */
export interface TestRequest {
  /** Without `spiffe://`. */
  readonly principal: string;
  readonly ip: string;
  readonly host: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Of a token that was verified. */
  readonly claims: Readonly<Record<string, string>>;
}

/** What the model says of a request, as its comments read. */
export function lets(policies: ProxyPolicies | undefined, request: TestRequest): boolean {
  const enforced = (policies?.authorization ?? []).filter(({ dryRun }) => !dryRun);
  const matches = ({ rules }: (typeof enforced)[number]) => rules.some((rule) => holds(rule, request));
  if (enforced.some((policy) => policy.action === "deny" && matches(policy))) return false;
  const allows = enforced.filter(({ action }) => action === "allow");
  return allows.length === 0 || allows.some(matches);
}

const holds = ({ from, to, when }: RequestRule, request: TestRequest): boolean =>
  (from.length === 0 || from.some((match) => isFrom(match, request))) &&
  (to.length === 0 || to.some((match) => isTo(match, request))) &&
  when.every((condition) => isMet(condition, request));

function isFrom(match: SourceMatch, { principal, ip, claims }: TestRequest): boolean {
  const [, namespace = "", serviceAccount = ""] = /\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(principal) ?? [];
  return (
    fits(match.principals, text(principal)) &&
    fits(match.requestPrincipals, text(claims["iss"] === undefined ? "" : `${claims["iss"]}/${claims["sub"]}`)) &&
    fits(match.namespaces, text(namespace)) &&
    fits(match.serviceAccounts, (one) => one.namespace === namespace && one.serviceAccount === serviceAccount) &&
    fits(match.ipBlocks, within(ip)) &&
    fits(match.remoteIpBlocks, within(ip))
  );
}

const isTo = (match: OperationMatch, { host, port, method, path }: TestRequest): boolean =>
  fits(match.hosts, text(host)) &&
  fits(match.ports, (one) => one === port) &&
  fits(match.methods, text(method)) &&
  fits(match.paths, (one) => (one.kind === "template" ? isLike(one, path) : text(path)(one)));

function isMet(condition: Condition, request: TestRequest): boolean {
  switch (condition.on) {
    case "source":
      return isFrom(condition.match as SourceMatch, request);
    case "operation":
      return isTo(condition.match as OperationMatch, request);
    case "header":
      return fits(condition.match, text(request.headers[condition.name] ?? ""));
    case "claim":
      return fits(condition.match, text(request.claims[condition.path.join(".")] ?? ""));
    case "destinationIp":
      return fits(condition.match, within("10.96.0.1"));
    case "serverName":
      return fits(condition.match, text(""));
  }
}

const fits = <V>(match: Matches<V> | undefined, one: (value: V) => boolean): boolean =>
  match === undefined || ((match.values.length === 0 || match.values.some(one)) && !match.notValues.some(one));

const text =
  (own: string) =>
  (match: StringMatch): boolean => {
    if (match.kind === "presence") return own !== "";
    if (match.kind === "exact") return own === match.value;
    return match.kind === "prefix" ? own.startsWith(match.value) : own.endsWith(match.value);
  };

const within =
  (ip: string) =>
  (range: Cidr): boolean =>
    isCidrWithin(parseCidr(ip)!, range);

const isLike = ({ value }: PathTemplate, path: string): boolean =>
  new RegExp(
    `^${value
      .split(/(\{\*\*?\})/)
      .map((part) => (part === "{*}" ? "[^/]+" : part === "{**}" ? ".*" : part.replace(/[.$+()]/g, "\\$&")))
      .join("")}$`,
  ).test(path);
