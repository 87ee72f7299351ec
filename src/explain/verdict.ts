import { isCidrWithin, parseCidr } from "../registry/ip.ts";
import type {
  Cidr,
  Policy,
  PolicyMatch,
  PolicyRule,
  ServiceAccountMatch,
  StringMatch,
} from "../registry/model/policy.ts";
import type { Workload } from "../registry/model/workload.ts";

/** A connection as the endpoint's ztunnel sees it; without an identity it is plain text. */
export interface Connection {
  readonly to: Workload;
  readonly port: number;
  readonly identity: Identity | undefined;
  /** Empty if nobody knows: then what asks for it cannot be told. */
  readonly sourceIp: string;
}

export interface Identity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface Decision {
  readonly allowed: boolean;
  /** Those that settled it. */
  readonly policies: readonly Policy[];
  readonly why: "denied" | "allowed" | "nothing binds it" | "nothing allows it";
}

/** What ztunnel decides (contract ztunnel.md 6.7): a deny that matches wins, and where allows bind one must match. */
export function decide(policies: Iterable<Policy>, connection: Connection): Decision {
  const bound = [...policies].filter((policy) => !policy.dryRun && binds(policy, connection.to));
  const matching = bound.filter(({ rules }) => rules.some((rule) => holds(rule, connection)));
  const denying = matching.filter(({ action }) => action === "deny");
  if (denying.length > 0) return { allowed: false, policies: denying, why: "denied" };
  const allows = bound.filter(({ action }) => action === "allow");
  if (allows.length === 0) return { allowed: true, policies: [], why: "nothing binds it" };
  const allowing = matching.filter(({ action }) => action === "allow");
  return allowing.length > 0
    ? { allowed: true, policies: allowing, why: "allowed" }
    : { allowed: false, policies: allows, why: "nothing allows it" };
}

const binds = ({ scope, namespace, key }: Policy, to: Workload): boolean =>
  scope === "global" || (scope === "namespace" ? namespace === to.namespace : to.policies.includes(key));

const holds = ({ clauses }: PolicyRule, connection: Connection): boolean =>
  clauses.every(({ matches }) => matches.length === 0 || matches.some((match) => meets(match, connection)));

/** All kinds that are there must match, and one with nothing in it never does. */
function meets(match: PolicyMatch, { to, port, identity, sourceIp }: Connection): boolean {
  const { trustDomain = "", namespace = "", serviceAccount = "" } = identity ?? {};
  const principal = `${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
  const known = identity !== undefined;
  const isNamed = (text: string) => (one: StringMatch) => known && fits(one, text);
  const isAccount = (one: ServiceAccountMatch) =>
    known && one.namespace === namespace && one.serviceAccount === serviceAccount;
  const at = (ip: string) => (range: Cidr) => ip !== "" && within(ip, range);
  const isHere = (range: Cidr) => to.addresses.some((ip) => within(ip, range));
  const checks = [
    some(match.namespaces, isNamed(namespace)),
    none(match.notNamespaces, isNamed(namespace)),
    some(match.principals, isNamed(principal)),
    none(match.notPrincipals, isNamed(principal)),
    some(match.serviceAccounts, isAccount),
    none(match.notServiceAccounts, isAccount),
    some(match.sourceIps, at(sourceIp)),
    none(match.notSourceIps, at(sourceIp)),
    some(match.destinationIps, isHere),
    none(match.notDestinationIps, isHere),
    some(match.destinationPorts, (one) => one === port),
    none(match.notDestinationPorts, (one) => one === port),
  ];
  const asked = checks.filter((check) => check !== undefined);
  return asked.length > 0 && asked.every((check) => check);
}

/** Undefined if the match does not ask. */
const some = <V>(values: readonly V[] | undefined, test: (value: V) => boolean): boolean | undefined =>
  values === undefined || values.length === 0 ? undefined : values.some(test);
const none = <V>(values: readonly V[] | undefined, test: (value: V) => boolean): boolean | undefined =>
  values === undefined || values.length === 0 ? undefined : !values.some(test);

function fits(match: StringMatch, text: string): boolean {
  switch (match.kind) {
    case "presence":
      return text !== "";
    case "exact":
      return text === match.value;
    case "prefix":
      return text.startsWith(match.value);
    case "suffix":
      return text.endsWith(match.value);
  }
}

function within(ip: string, range: Cidr): boolean {
  const own = parseCidr(ip);
  return own !== undefined && isCidrWithin(own, range);
}
