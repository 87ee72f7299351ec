import type { ClusterId } from "../../names.ts";
import { inOrder, Judgements } from "./judgements.ts";
import type { TrustObjects } from "../objects/trust-objects.ts";
import type { Workspace, WorkspaceSettings } from "../objects/workspace-model.ts";
import { planClusters } from "./plan-clusters.ts";
import { planPolicy } from "./plan-policy.ts";
import type { EffectivePolicy, Judgement, RegisteredCluster } from "../policy.ts";
import { judgeWorkspaces } from "../tenancy/workspace-judgements.ts";

/** What all objects say together. */
export interface TrustPlan {
  /** Undefined if none counts: whoever had one before goes on by that one. */
  readonly policy: EffectivePolicy | undefined;
  /** Why there is no policy, with what would help and no full stop; undefined if there is one. */
  readonly whyNone: string | undefined;
  readonly clusters: ReadonlyMap<ClusterId, RegisteredCluster>;
  /**
   * Clusters of which an object speaks that cannot be read, with the reason. They get nothing new; but nobody took them
   * away, so that whoever waits for them has to go on waiting.
   */
  readonly doubtful: ReadonlyMap<ClusterId, string>;
  /** The oldest first. */
  readonly workspaces: readonly Workspace[];
  readonly settings: readonly WorkspaceSettings[];
  /** One for each object, by kind and age. */
  readonly judgements: readonly Judgement[];
}

/** Knows nothing of the past: what a change may not do is settled by whoever holds both plans. */
export function planTrust(objects: TrustObjects): TrustPlan {
  const judgements = new Judgements(objects);
  const planned = planClusters(objects, judgements);
  const { policy, whyNone } = planPolicy(objects, planned, judgements);
  const workspaces = inOrder(objects.Workspace).flatMap(({ value }) => value ?? []);
  const settings = inOrder(objects.WorkspaceSettings).flatMap(({ value }) => value ?? []);
  const { clusters, doubtful } = planned;
  for (const { id, state, messages } of judgeWorkspaces([...clusters.keys(), ...doubtful.keys()], workspaces, settings))
    for (const message of messages) judgements.say(id, state, message);
  return {
    ...{ policy, whyNone, clusters, doubtful, workspaces, settings },
    judgements: judgements.list(),
  };
}
