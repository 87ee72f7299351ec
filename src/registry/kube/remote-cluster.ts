import type { Clock, EpochMs, Logger } from "../../host.ts";
import type { ClusterId } from "../../names.ts";
import { SILENT_MS } from "./cluster.ts";
import type { ClusterFeed } from "./cluster-feed.ts";
import { FeedSwap, type Credentials } from "./feed-swap.ts";

/** Contract peering.md 3.3, "States". */
export type RemoteClusterState = "syncing" | "synced" | "timeout" | "closed";

/** One remote cluster, for people: debug pages and `remote-clusters`. */
export interface RemoteClusterStatus {
  readonly cluster: ClusterId;
  /** The secret, as `istio-system/istio-remote-secret-west`, or the file that its kubeconfig is in. */
  readonly source: string;
  readonly state: RemoteClusterState;
  /** When it came to this state. */
  readonly since: EpochMs;
  /** Why it is not synced, or why its newest credentials are not in use; empty if all is well. */
  readonly reason: string;
  /** How old what is served of it is, as far as anybody knows; undefined if it is current, or nothing is served. */
  readonly staleMs: number | undefined;
}

export interface RemoteClusterHost<Connection> {
  readonly clock: Clock;
  readonly log: Logger;
  readonly cluster: ClusterId;
  /** After this long without being synced a cluster is `timeout`; 0 waits for ever. */
  readonly syncTimeoutMs: number;
  open(connection: Connection): ClusterFeed;
  /** When what is served of a cluster that never joined was true; undefined if nothing is served. */
  lastKnownAt(): EpochMs | undefined;
  timedOut(): void;
  changed(): void;
}

/** One remote cluster, from the first kubeconfig that could be read to its end. */
export class RemoteCluster<Connection> {
  readonly #host: RemoteClusterHost<Connection>;
  readonly #swap: FeedSwap<Connection>;
  #source = "";
  #state: RemoteClusterState = "syncing";
  #since: EpochMs;
  /** Runs while the newest credentials are not in use. */
  #limit: Disposable | undefined;
  #late = false;

  constructor(host: RemoteClusterHost<Connection>) {
    this.#host = host;
    this.#since = host.clock.now();
    this.#swap = new FeedSwap({
      clock: host.clock,
      log: host.log,
      open: (connection) => host.open(connection),
      changed: () => this.#settle(),
    });
  }

  /** True until it was synced once or has taken too long. */
  get awaited(): boolean {
    return this.#state === "syncing";
  }

  /** @returns false if they are the newest already. */
  use(credentials: Credentials<Connection>): boolean {
    this.#source = credentials.source;
    const changed = this.#swap.use(credentials);
    if (changed) this.#settle();
    return changed;
  }

  /** Closes every connection; resolves once they are. */
  close(): Promise<void> {
    this.#stopLimit();
    this.#become("closed");
    return this.#swap.close();
  }

  status(): RemoteClusterStatus {
    const { cluster } = this.#host;
    return {
      cluster,
      source: this.#source,
      state: this.#state,
      since: this.#since,
      reason: this.#reason(),
      staleMs: this.#staleMs(),
    };
  }

  #settle(): void {
    if (this.#state === "closed") return;
    if (this.#swap.joined) this.#become("synced");
    if (this.#swap.settled) {
      this.#stopLimit();
      this.#late = false;
    } else if (!this.#limit && !this.#late && this.#host.syncTimeoutMs > 0)
      this.#limit = this.#host.clock.after(this.#host.syncTimeoutMs, () => this.#expire());
    this.#host.changed();
  }

  #expire(): void {
    const { cluster, log, syncTimeoutMs } = this.#host;
    this.#limit = undefined;
    this.#late = true;
    if (this.#state === "syncing") this.#become("timeout");
    log.warn(`failed to sync after ${syncTimeoutMs / 1000}s; this goes on in the background`, {
      cluster,
      source: this.#source,
      reason: this.#reason(),
    });
    this.#host.timedOut();
    this.#host.changed();
  }

  #become(state: RemoteClusterState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#since = this.#host.clock.now();
  }

  #reason(): string {
    const { joined, syncing } = this.#swap;
    if (this.#state === "closed") return "it is being closed";
    const trouble = syncing?.trouble ?? "its first lists are not complete yet";
    if (!joined) return trouble;
    if (joined.trouble !== undefined)
      return syncing ? `${joined.trouble}; its newer kubeconfig: ${trouble}` : joined.trouble;
    return this.#swap.settled ? "" : `the kubeconfig before is in use until the newest has synced: ${trouble}`;
  }

  #staleMs(): number | undefined {
    const { joined } = this.#swap;
    const heardAt = joined ? joined.heardAt : this.#host.lastKnownAt();
    if (heardAt === undefined) return undefined;
    // The wall clock can jump back.
    const ageMs = Math.max(0, this.#host.clock.now() - heardAt);
    return joined?.trouble === undefined && joined !== undefined && ageMs < SILENT_MS ? undefined : ageMs;
  }

  #stopLimit(): void {
    this.#limit?.[Symbol.dispose]();
    this.#limit = undefined;
  }
}
