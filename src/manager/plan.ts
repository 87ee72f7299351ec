import type { ClusterId } from "../names.ts";
import type { Workspace, WorkspaceSettings } from "./objects/workspace-model.ts";
import type { EffectivePolicy, Judgement, RegisteredCluster } from "./policy.ts";

/** What all objects say together. */
export interface TrustPlan {
  /** Undefined if none counts: whoever had one before goes on by that one. */
  readonly policy: EffectivePolicy | undefined;
  /** Why there is no policy; undefined if there is one. */
  readonly whyNone: string | undefined;
  readonly clusters: ReadonlyMap<ClusterId, RegisteredCluster>;
  /**
   * Clusters of which an object speaks that cannot be read, with the reason. They get nothing new; but nobody took them
   * away, so that whoever waits for them has to go on waiting.
   */
  readonly doubtful: ReadonlyMap<ClusterId, string>;
  readonly workspaces: readonly Workspace[];
  readonly settings: readonly WorkspaceSettings[];
  /** One for each object. */
  readonly judgements: readonly Judgement[];
}
