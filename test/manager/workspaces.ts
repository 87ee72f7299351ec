import type {
  SharedResources,
  SharingRule,
  Workspace,
  WorkspaceClusters,
  WorkspaceSettings,
} from "../../src/manager/objects/workspace-model.ts";
import type { TrustKind, TrustObjectId } from "../../src/manager/policy.ts";

const idOf = (kind: TrustKind, name: string, over: Partial<TrustObjectId> = {}): TrustObjectId => ({
  ...{ kind, namespace: "gloo-mesh", name, createdMs: 0, observedGeneration: 1, origin: "" },
  ...over,
});

/** @param clusters the namespaces of each: `{east: ["shop"]}`. */
export const workspace = (
  name: string,
  clusters: Readonly<Record<string, readonly string[]>>,
  id: Partial<TrustObjectId> = {},
): Workspace => ({
  id: idOf("Workspace", name, id),
  name,
  workloadClusters: Object.entries(clusters).map(([cluster, namespaces]): WorkspaceClusters => ({
    name: cluster,
    namespaces,
  })),
});

export const settings = (
  workspaceName: string,
  rules: { readonly exportTo?: readonly SharingRule[]; readonly importFrom?: readonly SharingRule[] },
  id: Partial<TrustObjectId> = {},
): WorkspaceSettings => ({
  id: idOf("WorkspaceSettings", workspaceName, id),
  workspace: workspaceName,
  exportTo: rules.exportTo ?? [],
  importFrom: rules.importFrom ?? [],
});

/** A rule for the Workspaces, of all that there is or of these resources. */
export const rule = (
  workspaces: string | readonly string[],
  ...resources: readonly Partial<SharedResources>[]
): SharingRule => ({
  workspaces: typeof workspaces === "string" ? [workspaces] : workspaces,
  resources:
    resources.length === 0
      ? undefined
      : resources.map((each) => ({ clusters: undefined, namespaces: undefined, services: undefined, ...each })),
});
