/** How far one incarnation of a cluster has come (contract peering.md 3.3). */
export type FeedState = "syncing" | "synced" | "closed";

/**
 * The objects of one cluster, as one set of credentials shows them. Nothing of it shows before `join`, so a feed can be
 * built beside the one that it is to follow, and a cluster joins, or changes its credentials, in one flush.
 */
export interface ClusterFeed {
  readonly state: FeedState;
  /** Begins to list and watch. It never gives up: connections are tried again for as long as it is open. */
  start(): void;
  /** Calls `task` once, as soon as every first list is complete; at once if they are. */
  whenSynced(task: () => void): void;
  /**
   * Makes what it holds the cluster's objects, in place of all that was there, and from then on passes every change.
   * Once, and only when synced.
   */
  join(): void;
  /** Stops, and frees all that it holds, before it resolves; what has joined stays. Idempotent. */
  close(): Promise<void>;
}
