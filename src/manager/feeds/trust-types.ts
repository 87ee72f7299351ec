import type { ResourceType } from "../../kube/api.ts";
import { TRUST_KINDS, type TrustKind } from "../policy.ts";
import { TRUST_GROUP } from "./object-feed.ts";

const PLURALS: Readonly<Record<TrustKind, string>> = {
  RootTrustPolicy: "roottrustpolicies",
  CASource: "casources",
  IdentityProvider: "identityproviders",
  KubernetesCluster: "kubernetesclusters",
  Workspace: "workspaces",
  WorkspaceSettings: "workspacesettings",
};

const typeOf = (kind: TrustKind): ResourceType => ({
  group: TRUST_GROUP,
  versions: ["v2"],
  kind,
  plural: PLURALS[kind],
  namespaced: true,
});

/** The kinds of the trust manager, as an API server serves them. */
export const TRUST_TYPES: readonly ResourceType[] = TRUST_KINDS.map(typeOf);

export const trustTypeOf = (kind: TrustKind): ResourceType => TRUST_TYPES.find((type) => type.kind === kind)!;
