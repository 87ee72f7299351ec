import type { Condition, RequestPolicy, RequestRule } from "../../registry/model/proxy-policies.ts";
import { claimValue } from "./jwt-claims.ts";
import { envoy } from "./message.ts";
import { type Clause, type Permission, permissions, type Principal, principals } from "./rbac-clauses.ts";
import { type HttpOnly, httpOnlyAt, type Layer } from "./rbac-layer.ts";
import { destinationIp, header, operationPermission, serverName } from "./rbac-permissions.ts";
import { sourcePrincipal } from "./rbac-principals.ts";

export type Rbac = envoy.config.rbac.v3.RBAC.$Properties;
export type RbacPolicy = envoy.config.rbac.v3.Policy.$Properties;

/** Where policies hold: what is seen there, and the service's port that it is. */
export interface RbacPlace {
  readonly layer: Layer;
  readonly port: number;
}

/**
 * Policies of one action as Envoy evaluates them. Each rule is a policy of its own, as `shop/read-only[0]`, which
 * response code details and stats name. What cannot match at `place` is left out; without any left, `allow` denies all.
 */
export function rbacOf(action: RequestPolicy["action"], policies: readonly RequestPolicy[], place: RbacPlace): Rbac {
  const httpOnly = httpOnlyAt(place.layer, action);
  const named = policies.flatMap(({ name, rules }) =>
    rules.flatMap((rule, index) => {
      const policy = rulePolicy(rule, place.port, httpOnly);
      return policy === undefined ? [] : [[`${name}[${index}]`, policy] as const];
    }),
  );
  const { ALLOW, DENY } = envoy.config.rbac.v3.RBAC.Action;
  // Keys are sorted, so that the same policies are the same bytes in whatever order they came.
  const sorted = named.sort(([a], [b]) => (a < b ? -1 : 1));
  return { action: action === "deny" ? DENY : ALLOW, policies: Object.fromEntries(sorted) };
}

/** Undefined if it never matches. */
function rulePolicy(rule: RequestRule, port: number, httpOnly: HttpOnly): RbacPolicy | undefined {
  const conditions = rule.when.map((condition) => conditionClauses(condition, port, httpOnly));
  const principal = principals.every([
    rule.from.length === 0 || principals.some(rule.from.map((match) => sourcePrincipal(match, httpOnly))),
    ...conditions.map(([who]) => who),
  ]);
  const permission = permissions.every([
    rule.to.length === 0 || permissions.some(rule.to.map((match) => operationPermission(match, port, httpOnly))),
    ...conditions.map(([, what]) => what),
  ]);
  if (principal === false || permission === false) return undefined;
  return { principals: [orAny(principal)], permissions: [orAny(permission)] };
}

const orAny = <M>(clause: M | true): M | { any: true } => (clause === true ? { any: true } : clause);

type Clauses = readonly [Clause<Principal>, Clause<Permission>];

/** Envoy asks who and what apart; a condition is about either. */
function conditionClauses(condition: Condition, port: number, httpOnly: HttpOnly): Clauses {
  switch (condition.on) {
    case "source":
      return [sourcePrincipal(condition.match, httpOnly), true];
    case "operation":
      return [true, operationPermission(condition.match, port, httpOnly)];
    case "claim":
      return [
        httpOnly(true, () => principals.matches(condition.match, (value) => claimValue(condition.path, value))),
        true,
      ];
    case "header":
      return [
        true,
        httpOnly(true, () => permissions.matches(condition.match, (value) => header(condition.name, value))),
      ];
    case "destinationIp":
      return [true, permissions.matches(condition.match, destinationIp)];
    case "serverName":
      return [true, permissions.matches(condition.match, serverName)];
  }
}
