import type { Anchor, ClusterTrust } from "./cluster.ts";

/** What each step from root to root waits for, of one cluster. Without any one of them workloads refuse each other. */
export interface RotationGates {
  /** ADD: it said that workloads there are told to trust the root, */
  told(cluster: ClusterTrust, root: Anchor): boolean;
  /** and that was so long ago that all of them are. */
  learned(cluster: ClusterTrust, root: Anchor, waitMs: number): boolean;
  /** SWITCH: it signs under the root, or may for all that is known. */
  signs(cluster: ClusterTrust, root: Anchor): boolean;
  /** WAIT: it did so lately, so that what it signed may live. */
  lives(cluster: ClusterTrust, root: Anchor, waitMs: number): boolean;
}

export const ROTATION_GATES: RotationGates = {
  told: (cluster, root) => cluster.trustsForMs(root) !== undefined,
  learned: (cluster, root, waitMs) => (cluster.trustsForMs(root) ?? Infinity) >= waitMs,
  signs: (cluster, root) => cluster.heard === undefined || cluster.signing === root || cluster.wasGiven(root),
  lives: (cluster, root, waitMs) => (cluster.signedAgoMs(root) ?? Infinity) < waitMs,
};
