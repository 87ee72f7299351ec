import type { EpochMs } from "../../host.ts";

/** How far one incarnation of a cluster has come (contract peering.md 3.3). */
export type FeedState = "syncing" | "synced" | "closed";

/**
 * The objects of one cluster, as one set of credentials shows them. Nothing of it shows before `join`, so a feed can be
 * built beside the one that it is to follow, and a cluster joins, or changes its credentials, in one flush.
 */
export interface ClusterFeed {
  readonly state: FeedState;
  /**
   * Why nothing comes from the API server, for people: that it has not answered yet, or what it answered instead.
   * Undefined while it answers. Credentials that are being answered get more time before newer ones replace them.
   */
  readonly trouble?: string | undefined;
  /** When the API server last confirmed what this holds; undefined if never. */
  readonly heardAt?: EpochMs | undefined;
  /** Begins to list and watch. It never gives up: connections are tried again for as long as it is open. */
  start(): void;
  /** Calls `task` once, as soon as every first list is complete; at once if they are. */
  whenSynced(task: () => void): void;
  /**
   * Makes what it holds the cluster's objects, in place of all that was there, and from then on passes every change.
   * Once, and only when synced.
   */
  join(): void;
  /**
   * Stops, and frees all that it holds, before it resolves; what has joined stays. It writes nothing from the call on.
   * Idempotent.
   */
  close(): Promise<void>;
}
