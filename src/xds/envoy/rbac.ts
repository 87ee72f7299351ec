import type { Condition, RequestPolicy, RequestRule } from "../../registry/model/proxy-policies.ts";
import { claimValue } from "./jwt-claims.ts";
import { envoy } from "./message.ts";
import { type Clause, type Permission, permissions, type Principal, principals } from "./rbac-clauses.ts";
import { type Needs, needsOf, type Sight } from "./rbac-layer.ts";
import { header, operationPermission, serverName } from "./rbac-permissions.ts";
import { destinationIp, sourcePrincipal } from "./rbac-principals.ts";

export type Rbac = envoy.config.rbac.v3.RBAC.$Properties;
export type RbacPolicy = envoy.config.rbac.v3.Policy.$Properties;

/** Where policies hold: what is seen there, and which port of the service it is. */
export interface RbacPlace {
  readonly sight: Sight;
  readonly port: number;
}

/**
 * Policies of one action as Envoy evaluates them. Each rule is a policy of its own, as `shop/read-only[0]`, which
 * response code details and stats name. What cannot match at `place` is left out; without any left, `allow` denies all.
 */
export function rbacOf(action: RequestPolicy["action"], policies: readonly RequestPolicy[], place: RbacPlace): Rbac {
  const needs = needsOf(place.sight, action);
  const named = policies.flatMap(({ name, rules }) =>
    rules.flatMap((rule, index) => {
      const policy = rulePolicy(rule, place.port, needs, action);
      return policy === undefined ? [] : [[`${name}[${index}]`, policy] as const];
    }),
  );
  const { ALLOW, DENY } = envoy.config.rbac.v3.RBAC.Action;
  // Keys are sorted, so that the same policies are the same bytes in whatever order they came.
  const sorted = named.sort(([a], [b]) => (a < b ? -1 : 1));
  return { action: action === "deny" ? DENY : ALLOW, policies: Object.fromEntries(sorted) };
}

/** Undefined if it never matches. */
function rulePolicy(rule: RequestRule, port: number, needs: Needs, action: Action): RbacPolicy | undefined {
  const conditions = rule.when.map((condition) => conditionClauses(condition, port, needs, action));
  const principal = principals.every([
    rule.from.length === 0 || principals.some(rule.from.map((match) => sourcePrincipal(match, needs))),
    ...conditions.map(([who]) => who),
  ]);
  const permission = permissions.every([
    rule.to.length === 0 || permissions.some(rule.to.map((match) => operationPermission(match, port, needs))),
    ...conditions.map(([, what]) => what),
  ]);
  if (principal === false || permission === false) return undefined;
  return { principals: [orAny(principal)], permissions: [orAny(permission)] };
}

const orAny = <M>(clause: M | true): M | { any: true } => (clause === true ? { any: true } : clause);

type Action = RequestPolicy["action"];
type Clauses = readonly [Clause<Principal>, Clause<Permission>];

/** Envoy asks who and what apart; a condition is about either. */
function conditionClauses(condition: Condition, port: number, needs: Needs, action: Action): Clauses {
  switch (condition.on) {
    case "source":
      return [sourcePrincipal(condition.match, needs), true];
    case "operation":
      return [true, operationPermission(condition.match, port, needs)];
    case "claim":
      return [
        needs("http", true, () => principals.matches(condition.match, (value) => claimValue(condition.path, value))),
        true,
      ];
    case "header":
      return [
        true,
        needs("http", true, () => permissions.matches(condition.match, (value) => header(condition.name, value))),
      ];
    case "destinationIp":
      return [destinationIp(condition.match, action), true];
    case "serverName":
      return [true, needs("serverName", true, () => permissions.matches(condition.match, serverName))];
  }
}
