import type { ProxyPolicies, RequestPolicy } from "../../registry/model/proxy-policies.ts";
import type { ProxyPort } from "../../registry/model/proxy-service.ts";
import { anyOf, envoy } from "./message.ts";
import { escapedSlashPolicy, looksAtPaths } from "./escaped-slashes.ts";
import { type Rbac, type RbacPlace, rbacOf } from "./rbac.ts";
import { CONNECTION, REQUEST, tunnelSight } from "./rbac-layer.ts";

type HttpFilter = envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.$Properties;
type NetworkFilter = envoy.config.listener.v3.Filter.$Properties;
export type PerFilterConfig = NonNullable<envoy.config.route.v3.VirtualHost.$Properties["typedPerFilterConfig"]>;

/** Names of both filters, in their order; routes configure them by these. */
const DENY = "rbac.deny";
const ALLOW = "rbac.allow";
/** Begins the keys of what policies in dry-run would have done, in the metadata that the access log prints. */
export const DRY_RUN_PREFIX = { deny: "dry_run_deny_", allow: "dry_run_allow_" } as const;

const Filter = envoy.extensions.filters.http.rbac.v3.RBAC;
const PerRoute = envoy.extensions.filters.http.rbac.v3.RBACPerRoute;

/**
 * Filters that take their policies from the routes, so that a change of policy changes no listener and closes no
 * connection. Where no route says anything, nothing is allowed.
 */
export function authorizationFilters(): HttpFilter[] {
  const nothing: Rbac = { action: envoy.config.rbac.v3.RBAC.Action.ALLOW, policies: {} };
  return [
    { name: DENY, typedConfig: anyOf(Filter, {}) },
    { name: ALLOW, typedConfig: anyOf(Filter, { rules: nothing }) },
  ];
}

/** What routes say to those filters. */
export function authorizationPerRoute(policies: ProxyPolicies | undefined, port: number): PerFilterConfig {
  const stages = stagesOf(policies, { sight: REQUEST, port });
  return {
    [DENY]: anyOf(PerRoute, { rbac: filterConfig("deny", stages.deny) }),
    [ALLOW]: anyOf(PerRoute, { rbac: filterConfig("allow", stages.allow) }),
  };
}

/** Filters of tunnels, which take from the routes what policies say; where routes say nothing, nothing is refused. */
export const tunnelAuthorizationFilters = (): HttpFilter[] =>
  [DENY, ALLOW].map((name) => ({ name, typedConfig: anyOf(Filter, {}) }));

/**
 * What routes of tunnels say to those: a port that is no HTTP, or may be none, is closed to whom it is closed in any case
 * before the tunnel is open. Its own chain asks only with the caller's first byte, and some servers speak first.
 */
export function authorizationPerTunnel(
  authorization: readonly RequestPolicy[],
  { number, protocol }: Pick<ProxyPort, "number" | "protocol">,
): PerFilterConfig {
  if (protocol === "http") return {};
  const enforced = authorization.filter(({ dryRun }) => !dryRun);
  const place: RbacPlace = { sight: tunnelSight(protocol), port: number };
  const [deny, allow] = (["deny", "allow"] as const).map((action) => stageOf(action, enforced, place));
  return {
    ...(deny?.rules && { [DENY]: anyOf(PerRoute, { rbac: filterConfig("deny", deny) }) }),
    ...(allow?.rules && { [ALLOW]: anyOf(PerRoute, { rbac: filterConfig("allow", allow) }) }),
  };
}

/** The same for connections. */
export function connectionAuthorization(policies: ProxyPolicies | undefined, port: number): NetworkFilter[] {
  const stages = stagesOf(policies, { sight: CONNECTION, port });
  return (["deny", "allow"] as const)
    .filter((action) => stages[action].rules !== undefined || stages[action].shadowRules !== undefined)
    .map((action) => ({
      name: `rbac.${action}`,
      typedConfig: anyOf(envoy.extensions.filters.network.rbac.v3.RBAC, {
        ...filterConfig(action, stages[action]),
        statPrefix: `tcp.${action}.`,
      }),
    }));
}

interface Stage {
  readonly rules: Rbac | undefined;
  /** What would be enforced were dry-run over. */
  readonly shadowRules: Rbac | undefined;
}

function stagesOf(policies: ProxyPolicies | undefined, place: RbacPlace): Record<RequestPolicy["action"], Stage> {
  const all = policies?.authorization ?? [];
  const guarded = place.sight.http === "seen" && all.some((policy) => !policy.dryRun && looksAtPaths(policy));
  const deny = stageOf("deny", all, place);
  return { deny: guarded ? guardedStage(deny) : deny, allow: stageOf("allow", all, place) };
}

function stageOf(action: RequestPolicy["action"], all: readonly RequestPolicy[], place: RbacPlace): Stage {
  const mine = all.filter((policy) => policy.action === action);
  const enforced = mine.filter((policy) => !policy.dryRun);
  // One that allows adds to the others; one that denies speaks for itself.
  const tried = action === "allow" ? mine : mine.filter((policy) => policy.dryRun);
  return {
    rules: enforced.length === 0 ? undefined : rbacOf(action, enforced, place),
    shadowRules: enforced.length === mine.length ? undefined : rbacOf(action, tried, place),
  };
}

function guardedStage({ rules, shadowRules }: Stage): Stage {
  const policies = { ...rules?.policies, ...escapedSlashPolicy() };
  return { rules: { action: envoy.config.rbac.v3.RBAC.Action.DENY, policies }, shadowRules };
}

/** Without rules of either kind nothing is asked. */
const filterConfig = (action: RequestPolicy["action"], { rules, shadowRules }: Stage) => ({
  ...(rules && { rules }),
  ...(shadowRules && { shadowRules, shadowRulesStatPrefix: DRY_RUN_PREFIX[action] }),
});
