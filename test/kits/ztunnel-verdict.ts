import { istio } from "../../proto/gen/mesh.js";
import type { PolicyName } from "../../src/names.ts";
import type { Policy, PolicyMatch, PolicyRule, StringMatch } from "../../src/registry/model/policy.ts";
import type { Workload } from "../../src/registry/model/workload.ts";

/** A connection as ztunnel sees it; without a principal it is plain text. */
export interface Connection {
  readonly to: Workload;
  readonly port: number;
  readonly principal?: string;
}

/** What ztunnel decides (contract ztunnel.md 6.7), as far as principals and ports go. */
export function admitted(all: Iterable<Policy>, connection: Connection): boolean {
  const policies = [...all].filter((policy) => !policy.dryRun && binds(policy, connection.to));
  const matching = policies.filter(({ rules }) => rules.some((rule) => holds(rule, connection)));
  if (matching.some(({ action }) => action === "deny")) return false;
  return policies.every(({ action }) => action === "deny") || matching.some(({ action }) => action === "allow");
}

const binds = ({ scope, namespace, key }: Policy, to: Workload): boolean =>
  scope === "global" || (scope === "namespace" ? namespace === to.namespace : to.policies.includes(key));

const holds = ({ clauses }: PolicyRule, connection: Connection): boolean =>
  clauses.every(({ matches }) => matches.length === 0 || matches.some((match) => meets(match, connection)));

function meets(match: PolicyMatch, { port, principal }: Connection): boolean {
  const { principals, notPrincipals, destinationPorts, notDestinationPorts, ...others } = match;
  if (Object.keys(others).length > 0) throw new Error(`not evaluated here: ${Object.keys(others).join(", ")}`);
  if (Object.keys(match).length === 0) return false;
  const named = (all: readonly StringMatch[]): boolean =>
    principal !== undefined && all.some((one) => one.kind === "presence" || one.value === principal);
  if (principals && !named(principals)) return false;
  if (notPrincipals && named(notPrincipals)) return false;
  if (destinationPorts && !destinationPorts.includes(port)) return false;
  return !notDestinationPorts?.includes(port);
}

const wads = istio.security;
const SCOPES = new Map([
  [wads.Scope.GLOBAL, "global" as const],
  [wads.Scope.NAMESPACE, "namespace" as const],
  [wads.Scope.WORKLOAD_SELECTOR, "selector" as const],
]);

/** A policy as it came over the wire. @throws for what `admitted` does not evaluate. */
export function decodePolicy(key: string, body: Uint8Array): Policy {
  const { name, namespace, scope, action, rules, dryRun } = wads.Authorization.decode(body);
  return {
    key: key as PolicyName,
    name,
    namespace,
    scope: SCOPES.get(scope)!,
    action: action === wads.Action.DENY ? "deny" : "allow",
    dryRun,
    rules: rules.map(({ clauses }) => ({
      clauses: (clauses ?? []).map(({ matches }) => ({ matches: (matches ?? []).map(decodeMatch) })),
    })),
  };
}

function decodeMatch(match: istio.security.IMatch): PolicyMatch {
  const { principals, notPrincipals, destinationPorts, notDestinationPorts, ...others } = match;
  const strange = Object.entries(others).filter(([, value]) => Array.isArray(value) && value.length > 0);
  if (strange.length > 0) throw new Error(`not evaluated here: ${strange.map(([key]) => key).join(", ")}`);
  const full = <V, W>(values: readonly V[] | null | undefined, decode: (value: V) => W): readonly W[] | undefined =>
    values?.length ? values.map(decode) : undefined;
  const found = {
    principals: full(principals, decodeText),
    notPrincipals: full(notPrincipals, decodeText),
    destinationPorts: full(destinationPorts, (port) => port),
    notDestinationPorts: full(notDestinationPorts, (port) => port),
  };
  return Object.fromEntries(Object.entries(found).filter(([, values]) => values !== undefined));
}

function decodeText({ exact, prefix, suffix }: istio.security.IStringMatch): StringMatch {
  if (exact) return { kind: "exact", value: exact };
  if (prefix || suffix) throw new Error("not evaluated here: prefixes and suffixes");
  return { kind: "presence" };
}
