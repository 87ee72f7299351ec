import type { Policy, PolicyMatch, PolicyRule, StringMatch } from "../../src/registry/model/policy.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import type { TestMesh } from "./mesh.ts";

/** A connection as ztunnel sees it; without a principal it is plain text. */
export interface Connection {
  readonly to: Workload;
  readonly port: number;
  readonly principal?: string;
}

/** What ztunnel decides (contract ztunnel.md 6.7), as far as principals and ports go. */
export function admits({ registry }: TestMesh, connection: Connection): boolean {
  const policies = [...registry.policies.entries()]
    .map(([, policy]) => policy)
    .filter((policy) => !policy.dryRun && binds(policy, connection.to));
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
