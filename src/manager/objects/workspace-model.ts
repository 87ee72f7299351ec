import type { TrustObjectId } from "../policy.ts";

/**
 * Which namespaces of which clusters are one tenant's (contract peering.md B22). Patterns are names in which `*` stands for
 * any text. What of it could not be read is left out; one of which nothing could be read still is in the list, with no
 * clusters: no Workspace at all means that nothing bounds what is shared, and a mistake in the only one must not say that.
 */
export interface Workspace {
  readonly id: TrustObjectId;
  readonly name: string;
  /** At most `CLUSTERS_MAX`. */
  readonly workloadClusters: readonly WorkspaceClusters[];
}

export interface WorkspaceClusters {
  /** Of clusters: a name or a pattern; `*` where the object names none. */
  readonly name: string;
  /** Patterns, at most `NAMESPACES_MAX`; `*` where the object has no list, and none for an empty one. */
  readonly namespaces: readonly string[];
}

/**
 * What a Workspace shares with others (contract peering.md B23); it has no say over what is shared within it. One that could
 * not be read is left out, and shares nothing.
 */
export interface WorkspaceSettings {
  readonly id: TrustObjectId;
  /** Of its Workspace: the object's own name, as in guide 001. */
  readonly workspace: string;
  /** At most `RULES_MAX`. */
  readonly exportTo: readonly SharingRule[];
  /** Likewise. */
  readonly importFrom: readonly SharingRule[];
}

export interface SharingRule {
  /** Names of Workspaces, or patterns; at most `NAMESPACES_MAX`. */
  readonly workspaces: readonly string[];
  /** Of the Workspace that exports, for both directions; any of them. Undefined is all; at most `RESOURCES_MAX`. */
  readonly resources: readonly SharedResources[] | undefined;
}

/** A service is one of them if all three take it in; undefined is any. Patterns, at most `NAMESPACES_MAX` each. */
export interface SharedResources {
  readonly clusters: readonly string[] | undefined;
  readonly namespaces: readonly string[] | undefined;
  readonly services: readonly string[] | undefined;
}

/** Readers refuse longer lists. */
export const CLUSTERS_MAX = 256;
export const NAMESPACES_MAX = 256;
export const RULES_MAX = 64;
export const RESOURCES_MAX = 64;
