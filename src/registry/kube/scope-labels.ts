import type { LabelSet } from "./labels.ts";

/** What an object says about who may call its services: all clusters, or only those of its own. */
export type ServiceScope = "global" | "cluster";

export const SCOPE_LABEL = "solo.io/service-scope";
const SCOPES: readonly string[] = ["global", "global-only", "cluster", "local", "segment"];

/**
 * Undefined if it says nothing. Whatever else `solo.io/service-scope` says than global is narrower than that, and so
 * never shares; it goes before `istio.io/global`.
 */
export function serviceScopeOf(labels: LabelSet): ServiceScope | undefined {
  const scope = labels.map.get(SCOPE_LABEL);
  if (scope !== undefined) return scope === "global" || scope === "global-only" ? "global" : "cluster";
  const global = labels.map.get("istio.io/global");
  if (global === "true") return "global";
  return global === "false" ? "cluster" : undefined;
}

/** The text of a scope that nobody knows; undefined if there is none. */
export function unknownScopeOf(labels: LabelSet): string | undefined {
  const scope = labels.map.get(SCOPE_LABEL);
  return scope === undefined || SCOPES.includes(scope) ? undefined : scope;
}
