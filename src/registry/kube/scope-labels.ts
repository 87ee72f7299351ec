import type { LabelSet } from "./labels.ts";

/** What an object says about who may call its services: all clusters, those of its segment, or only its own. */
export type ServiceScope = "global" | "segment" | "cluster";

export const SCOPE_LABEL = "solo.io/service-scope";
export const TAKEOVER_LABEL = "solo.io/service-takeover";
/** An older spelling: global, and the cluster-local name leads to all of it, too. */
const GLOBAL_ONLY = "global-only";
const SCOPES: ReadonlyMap<string, ServiceScope> = new Map([
  ["global", "global"],
  [GLOBAL_ONLY, "global"],
  ["segment", "segment"],
  ["cluster", "cluster"],
  ["local", "cluster"],
]);

/**
 * Undefined if it says nothing. What nobody knows is taken for the narrowest, and so never shares; `solo.io/service-scope`
 * goes before `istio.io/global` (contract peering.md 2.7).
 */
export function serviceScopeOf(labels: LabelSet): ServiceScope | undefined {
  const scope = labels.map.get(SCOPE_LABEL);
  if (scope !== undefined) return SCOPES.get(scope) ?? "cluster";
  const global = labels.map.get("istio.io/global");
  if (global === "true") return "global";
  return global === "false" ? "cluster" : undefined;
}

/** The text of a scope that nobody knows; undefined if there is none. */
export function unknownScopeOf(labels: LabelSet): string | undefined {
  const scope = labels.map.get(SCOPE_LABEL);
  return scope === undefined || SCOPES.has(scope) ? undefined : scope;
}

/** Whether the cluster-local name is to lead to all clusters (contract peering.md 2.8); undefined if it does not say. */
export function takeoverOf(labels: LabelSet): boolean | undefined {
  const takeover = labels.map.get(TAKEOVER_LABEL);
  if (takeover === undefined) return labels.map.get(SCOPE_LABEL) === GLOBAL_ONLY ? true : undefined;
  return takeover === "true";
}

/** The text of a takeover that is neither true nor false; undefined if there is none. */
export function unknownTakeoverOf(labels: LabelSet): string | undefined {
  const takeover = labels.map.get(TAKEOVER_LABEL);
  return takeover === undefined || takeover === "true" || takeover === "false" ? undefined : takeover;
}
