import { messageOf } from "../../errors.ts";
import type { Clock, Logger } from "../../host.ts";
import type { ClusterFeed } from "./cluster-feed.ts";

/** One way into a cluster. */
export interface Credentials<Connection> {
  readonly connection: Connection;
  /** Equal for equal kubeconfigs. */
  readonly digest: string;
  /** Where they were read, as `istio-system/istio-remote-secret-west`. */
  readonly source: string;
}

export interface FeedSwapHost<Connection> {
  readonly clock: Clock;
  readonly log: Logger;
  open(connection: Connection): ClusterFeed;
  /** Something that `FeedSwap` shows is different now. */
  changed(): void;
}

/** One incarnation of a cluster: all that it owns goes with it. */
interface Run<Connection> {
  readonly feed: ClusterFeed;
  readonly credentials: Credentials<Connection>;
  /** By `Clock.elapsedMs`. */
  readonly startedMs: number;
}

/** Credentials that nobody answers are replaced by newer ones after this long. */
const SPACING_MS = 1_000;
/** Credentials that are answered have at least this long to sync before newer ones replace them. */
const PATIENCE_MIN_MS = 2_000;
const PATIENCE_MAX_MS = 30_000;
/** A feed that takes longer to close is left to itself: the cluster must not wait for it. */
const CLOSE_MAX_MS = 10_000;

/**
 * Feeds one cluster while its credentials change, without a gap: a feed with new credentials is built beside the one in
 * use, and takes its place once it is synced; only then the old one is closed. At most two are open at any time, and
 * of the credentials that come meanwhile only the newest wait.
 *
 * Newer credentials replace those that are syncing, which then never join. So that credentials that change faster than
 * they sync do not keep all from joining, those that are answered get a while first: twice as long as the last sync
 * took, and twice as long again each time that was too short. So what is in use is never more than two syncs old, as
 * soon as one fits into 30 s.
 */
export class FeedSwap<Connection> {
  readonly #host: FeedSwapHost<Connection>;
  #joined: Run<Connection> | undefined;
  #next: Run<Connection> | undefined;
  #queued: Credentials<Connection> | undefined;
  #patienceMs = PATIENCE_MIN_MS;
  #timer: Disposable | undefined;
  #closing: Promise<void> | undefined;
  #closed = false;

  constructor(host: FeedSwapHost<Connection>) {
    this.#host = host;
  }

  /** The feed that the cluster's objects come from. */
  get joined(): ClusterFeed | undefined {
    return this.#joined?.feed;
  }
  /** The feed that is to follow. */
  get syncing(): ClusterFeed | undefined {
    return this.#next?.feed;
  }
  /** True if the newest credentials are in use. */
  get settled(): boolean {
    return this.#joined !== undefined && this.#next === undefined && this.#queued === undefined;
  }

  /** @returns false if these are the newest already. */
  use(credentials: Credentials<Connection>): boolean {
    const newest = this.#queued ?? this.#next?.credentials ?? this.#joined?.credentials;
    if (this.#closed || newest?.digest === credentials.digest) return false;
    const back = this.#joined?.credentials.digest === credentials.digest;
    this.#queued = back ? undefined : credentials;
    if (back && this.#next) this.#close(this.#next);
    this.#advance();
    return true;
  }

  /** Closes every feed; resolves once they are. What has joined stays. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#queued = undefined;
    this.#stopTimer();
    const feeds = [this.#joined?.feed, this.#next?.feed];
    this.#joined = this.#next = undefined;
    await Promise.all([this.#closing, ...feeds.map((feed) => feed && this.#bounded(feed))]);
  }

  #advance(): void {
    this.#stopTimer();
    if (this.#closed || this.#queued === undefined || this.#closing) return;
    if (this.#next) this.#supersede(this.#next);
    else this.#start(this.#queued);
  }

  #start(credentials: Credentials<Connection>): void {
    this.#queued = undefined;
    const feed = this.#host.open(credentials.connection);
    const run = { feed, credentials, startedMs: this.#host.clock.elapsedMs() };
    this.#next = run;
    run.feed.start();
    run.feed.whenSynced(() => this.#synced(run));
  }

  /** Closes what is syncing in favour of what waits, as soon as it had its time. */
  #supersede(run: Run<Connection>): void {
    const answered = run.feed.trouble === undefined;
    const ageMs = this.#host.clock.elapsedMs() - run.startedMs;
    const leftMs = (answered ? this.#patienceMs : SPACING_MS) - ageMs;
    if (leftMs > 0) {
      // Looks again before that: trouble is not announced.
      this.#timer = this.#host.clock.after(Math.min(leftMs, SPACING_MS), () => this.#advance());
      return;
    }
    if (answered) this.#patienceMs = Math.min(PATIENCE_MAX_MS, 2 * this.#patienceMs);
    this.#host.log.debug("newer credentials replace those that have not synced", { source: run.credentials.source });
    this.#close(run);
  }

  #synced(run: Run<Connection>): void {
    if (this.#closed || this.#next !== run) return;
    const tookMs = this.#host.clock.elapsedMs() - run.startedMs;
    this.#patienceMs = Math.min(PATIENCE_MAX_MS, Math.max(PATIENCE_MIN_MS, 2 * tookMs));
    const before = this.#joined;
    this.#next = undefined;
    this.#joined = run;
    run.feed.join();
    if (before) this.#close(before);
    this.#advance();
    this.#host.changed();
  }

  /** Nothing is opened until it is closed, so that no more than two are open. */
  #close(run: Run<Connection>): void {
    if (this.#next === run) this.#next = undefined;
    const closing = Promise.all([this.#closing, this.#bounded(run.feed)]).then(() => {
      if (this.#closing === closing) this.#closing = undefined;
      this.#advance();
    });
    this.#closing = closing;
  }

  /** Never rejects, and resolves within `CLOSE_MAX_MS`. */
  #bounded(feed: ClusterFeed): Promise<void> {
    const { clock, log } = this.#host;
    return new Promise((resolve) => {
      const limit = clock.after(CLOSE_MAX_MS, () => {
        log.warn(`the connection to a remote cluster did not close in ${CLOSE_MAX_MS / 1000} s; it is left to itself`);
        resolve();
      });
      feed
        .close()
        .catch((error: unknown) => log.warn(`a connection to a remote cluster closed badly: ${messageOf(error)}`))
        .finally(() => {
          limit[Symbol.dispose]();
          resolve();
        });
    });
  }

  #stopTimer(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}
