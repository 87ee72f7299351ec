import type { LabelSelector } from "./label-selector.ts";

/** What the mesh config and our own flags settle for all objects of a mesh. */
export interface MeshSettings {
  /** As `cluster.local`. */
  readonly trustDomain: string;
  /** The namespace whose selector-less policies bind the whole mesh. */
  readonly rootNamespace: string;
  /** The suffix of service hostnames, as `cluster.local`. */
  readonly clusterDomain: string;
}

/** What the mesh config says of the objects of a mesh, and may say otherwise at any time. */
export interface MeshConfig {
  /** One that matches and says global makes a service global, whatever the others say (contract ztunnel.md 5.9). */
  readonly serviceScopeConfigs: readonly ServiceScopeRule[];
}

/** A selector that is missing matches all. */
export interface ServiceScopeRule {
  readonly namespaceSelector?: LabelSelector | undefined;
  readonly serviceSelector?: LabelSelector | undefined;
  readonly scope: "global" | "local";
}
