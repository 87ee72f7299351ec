import { BlockList } from "node:net";
import type { Cidr, StringMatch } from "../../src/registry/model/policy.ts";
import type {
  Condition,
  Matches,
  OperationMatch,
  RequestPolicy,
  RequestRule,
  SourceMatch,
} from "../../src/registry/model/proxy-policies.ts";

/** What a policy may look at, as whoever wrote it thinks of it. */
export interface SeenRequest {
  /** Without `spiffe://`. */
  readonly principal: string;
  readonly sourceIp: string;
  readonly destinationIp: string;
  readonly port: number;
  /** Undefined for bytes that are no HTTP. */
  readonly http: SeenHttp | undefined;
}

export interface SeenHttp {
  readonly method: string;
  readonly host: string;
  /** Normalised, without the query. */
  readonly path: string;
  /** Each value that it came with. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly claims: Readonly<Record<string, unknown>> | undefined;
}

/** Says by the words of the model, and by none of Envoy's, whether `policy` matches. */
export const policyMatches = (policy: RequestPolicy, request: SeenRequest): boolean =>
  policy.rules.some((rule) => ruleMatches(rule, request, policy.action));

function ruleMatches({ from, to, when }: RequestRule, request: SeenRequest, action: RequestPolicy["action"]): boolean {
  // Without HTTP, what would need it allows nothing, and denies whatever it was.
  const unseen = action === "deny";
  return (
    (from.length === 0 || from.some((match) => source(match, request, unseen))) &&
    (to.length === 0 || to.some((match) => operation(match, request, unseen))) &&
    when.every((condition) => holds(condition, request, unseen))
  );
}

function source(match: SourceMatch, request: SeenRequest, unseen: boolean): boolean {
  const [, namespace, account] = /^[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(request.principal) ?? [];
  const claims = request.http?.claims;
  const { iss, sub } = claims ?? {};
  const asked = iss === undefined || sub === undefined ? undefined : `${String(iss)}/${String(sub)}`;
  return (
    meets(match.principals, (value) => text(value, request.principal)) &&
    meets(match.namespaces, (value) => text(value, namespace)) &&
    meets(match.serviceAccounts, (value) => value.namespace === namespace && value.serviceAccount === account) &&
    meets(match.ipBlocks, (value) => within(value, request.sourceIp)) &&
    meets(match.remoteIpBlocks, (value) => within(value, request.sourceIp)) &&
    (match.requestPrincipals === undefined ||
      (request.http === undefined ? unseen : meets(match.requestPrincipals, (value) => text(value, asked))))
  );
}

function operation(match: OperationMatch, request: SeenRequest, unseen: boolean): boolean {
  const { http } = request;
  if (!meets(match.ports, (value) => value === request.port)) return false;
  const asksHttp = [match.hosts, match.methods, match.paths].some((asked) => asked !== undefined);
  if (http === undefined) return !asksHttp || unseen;
  return (
    meets(match.hosts, (value) => hostIs(value, http.host)) &&
    meets(match.methods, (value) => text(value, http.method)) &&
    meets(match.paths, (value) =>
      value.kind === "template" ? template(value.value, http.path) : text(value, http.path),
    )
  );
}

function holds(condition: Condition, request: SeenRequest, unseen: boolean): boolean {
  const { http } = request;
  switch (condition.on) {
    case "source":
      return source(condition.match, request, unseen);
    case "operation":
      return operation(condition.match, request, unseen);
    case "destinationIp":
      return meets(condition.match, (value) => within(value, request.destinationIp));
    case "serverName":
      // Nobody here speaks TLS within the tunnel.
      return meets(condition.match, () => false);
    case "header":
      if (http === undefined) return unseen;
      return meets(condition.match, (value) =>
        (http.headers.get(condition.name) ?? []).some((one) => text(value, one)),
      );
    case "claim":
      if (http === undefined) return unseen;
      return meets(condition.match, (value) => claimIs(value, http.claims, condition.path));
  }
}

const meets = <V>(match: Matches<V> | undefined, one: (value: V) => boolean): boolean =>
  match === undefined ||
  ((match.values.length === 0 || match.values.some(one)) && !match.notValues.some((value) => one(value)));

function text(match: StringMatch, value: string | undefined): boolean {
  if (value === undefined) return false;
  if (match.kind === "presence") return value !== "";
  if (match.kind === "exact") return value === match.value;
  return match.kind === "prefix" ? value.startsWith(match.value) : value.endsWith(match.value);
}

/** A value without a port means all ports; case and a last dot mean nothing. */
function hostIs(match: StringMatch, host: string): boolean {
  const lower = host.toLowerCase();
  const bare = lower.replace(/:[0-9]+$/, "");
  const names = [lower, bare, bare.replace(/\.$/, "")];
  const wanted = match.kind === "presence" ? match : { ...match, value: match.value.toLowerCase() };
  return names.some((name) => text(wanted, name));
}

/** Segment by segment, backtracking over what `{**}` takes. */
function template(pattern: string, path: string): boolean {
  const [, before = "", brace, after = ""] = /^(.*?)(\{\*\*?\})(.*)$/s.exec(pattern) ?? [, pattern];
  if (brace === undefined) return path === before;
  if (!path.startsWith(before)) return false;
  const rest = path.slice(before.length);
  for (let taken = brace === "{*}" ? 1 : 0; taken <= rest.length; taken += 1) {
    if (brace === "{*}" && rest.slice(0, taken).includes("/")) return false;
    if (template(after, rest.slice(taken))) return true;
  }
  return false;
}

function claimIs(match: StringMatch, claims: SeenHttp["claims"], path: readonly string[]): boolean {
  let value: unknown = claims;
  for (const key of path) value = (value as Record<string, unknown> | undefined)?.[key];
  if ((path[0] === "scope" || path[0] === "permission") && typeof value === "string") value = value.split(" ");
  return [value].flat().some((one) => typeof one === "string" && text(match, one));
}

function within({ ip, prefixLength }: Cidr, address: string): boolean {
  const family = ip.includes(":") ? "ipv6" : "ipv4";
  const list = new BlockList();
  list.addSubnet(ip, prefixLength, family);
  return list.check(address, address.includes(":") ? "ipv6" : "ipv4");
}
