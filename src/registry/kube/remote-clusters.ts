import type { EpochMs, Host, Logger } from "../../host.ts";
import type { ClusterId } from "../../names.ts";
import type { Problem } from "../model/problem.ts";
import { ProblemLog } from "../problem-log.ts";
import { ClusterClaims, isRefusal, problemOf, type KubeconfigSource, type KubeconfigText } from "./cluster-claims.ts";
import type { ClusterFeed } from "./cluster-feed.ts";
import type { Credentials } from "./feed-swap.ts";
import { RemoteCluster, type RemoteClusterStatus } from "./remote-cluster.ts";
import { RemoteMetrics } from "./remote-metrics.ts";

/** What remote clusters need of the rest. */
export interface RemoteClustersOptions<Connection> {
  /** A kubeconfig for it is ignored. */
  readonly ownCluster: ClusterId;
  /** `PILOT_REMOTE_CLUSTER_TIMEOUT`: how long a cluster may keep us from being ready; 0 is for ever. 30 s by default. */
  readonly syncTimeoutMs?: number;
  /** Beyond this many clusters none is added; 250 by default. */
  readonly clustersMax?: number;
  /** @throws MeshError naming what is wrong, with the field in its detail; nothing is connected yet. */
  readKubeconfig(text: string): Connection;
  /** A feed that was not started. */
  open(cluster: ClusterId, connection: Connection): ClusterFeed;
  /** Takes all that is known of the cluster out of the registry, in one flush. Its feeds were told to close. */
  leave(cluster: ClusterId): void;
  /** When what is served of a cluster that has not joined was true; undefined if nothing is: then it is waited for. */
  lastKnownAt?(cluster: ClusterId): EpochMs | undefined;
}

const SYNC_TIMEOUT_MS = 30_000;
const CLUSTERS_MAX = 250;
/** A secret that is deleted and made anew, as some tools rotate it, is no reason to drop a cluster. */
const LEAVE_AFTER_MS = 1_000;

/**
 * The remote clusters that kubeconfigs in secrets, or files, name (contract peering.md 3.3). A cluster joins once all of
 * it is known, and leaves only when nothing names it any more: a kubeconfig that breaks changes nothing.
 */
export class RemoteClusters<Connection> {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #options: RemoteClustersOptions<Connection>;
  readonly #metrics: RemoteMetrics;
  readonly #problemLog: ProblemLog;
  readonly #claims: ClusterClaims<Connection>;
  readonly #clusters = new Map<ClusterId, RemoteCluster<Connection>>();
  /** Clusters that nothing names any more, and when they go. */
  readonly #leaving = new Map<ClusterId, Disposable>();
  /** Clusters that left, until their connections are closed. */
  readonly #closing = new Map<ClusterId, RemoteCluster<Connection>>();
  readonly #observers = new Set<() => void>();
  readonly #syncTimeoutMs: number;
  readonly #clustersMax: number;
  #listLimit: Disposable | undefined;
  #listed = false;
  #settled = false;
  #stopped = false;

  constructor(host: Host, options: RemoteClustersOptions<Connection>) {
    this.#host = host;
    this.#log = host.log.scope("remote");
    this.#options = options;
    this.#syncTimeoutMs = options.syncTimeoutMs ?? SYNC_TIMEOUT_MS;
    this.#clustersMax = options.clustersMax ?? CLUSTERS_MAX;
    this.#metrics = new RemoteMetrics(host.metrics);
    this.#problemLog = new ProblemLog(this.#log);
    this.#claims = new ClusterClaims(options.ownCluster, (text) => options.readKubeconfig(text));
  }

  /** From now on the sources have to be listed within the sync timeout, or are not waited for. */
  start(): void {
    if (this.#syncTimeoutMs === 0) return;
    this.#listLimit = this.#host.clock.after(this.#syncTimeoutMs, () => {
      this.#log.warn("the remote secrets could not be listed yet; this goes on in the background");
      this.listed();
    });
  }

  /** Takes all that `source` says now, in place of what it said before. */
  offer(source: KubeconfigSource, said: ReadonlyMap<string, KubeconfigText>, event: "add" | "update"): void {
    if (this.#stopped) return;
    this.#metrics.event(event);
    this.#reconsider(this.#claims.set(source, said));
  }

  /** The source is gone for certain. */
  withdraw(source: string): void {
    if (this.#stopped) return;
    this.#metrics.event("delete");
    this.#reconsider(this.#claims.delete(source));
  }

  /** Every source that there is was offered once. */
  listed(): void {
    if (this.#listed) return;
    this.#listed = true;
    this.#listLimit?.[Symbol.dispose]();
    this.#log.info(`Number of remote clusters: ${this.#clusters.size}`);
    this.#changed();
  }

  /** Why not to be ready yet; once undefined it stays so: a cluster that is added later is no reason to stop serving. */
  whySettling(): string | undefined {
    if (this.#settled) return undefined;
    if (!this.#listed) return "remote secrets are not listed yet";
    const awaited = [...this.#clusters]
      .filter(([cluster, { awaited }]) => awaited && this.#lastKnownAt(cluster) === undefined)
      .map(([cluster]) => cluster);
    if (awaited.length > 0) return `remote clusters have not synced yet: ${shortList(awaited)}`;
    this.#settled = true;
    return undefined;
  }

  /** In the order of their names. */
  clusters(): readonly RemoteClusterStatus[] {
    const all = [...this.#clusters.values(), ...this.#closing.values()].map((cluster) => cluster.status());
    return all.sort((a, b) => (a.cluster < b.cluster ? -1 : 1));
  }

  /** Every cluster that a secret, or a file, names, whether it can be read or not. */
  named(): ReadonlySet<ClusterId> {
    return new Set(this.#claims.clusters());
  }

  /** What of the secrets, or files, has no effect. */
  problems(): readonly Problem[] {
    const excess = [...this.#claims.clusters()].flatMap((cluster) => {
      const waits = this.#clusters.size >= this.#clustersMax && !this.#clusters.has(cluster);
      const holder = waits ? this.#claims.holder(cluster) : undefined;
      return holder ? [problemOf(holder.source, cluster, this.#excess(cluster), "error")] : [];
    });
    return [...this.#claims.problems((cluster) => this.#clusters.has(cluster)), ...excess];
  }

  /** Calls `observer` after `clusters` or `problems` has changed. */
  observe(observer: () => void): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }

  /** Closes every connection; what has joined stays in the registry, and what is last known stays on disk. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#listLimit?.[Symbol.dispose]();
    for (const leaving of this.#leaving.values()) leaving[Symbol.dispose]();
    this.#leaving.clear();
    await Promise.all([...this.#clusters.values(), ...this.#closing.values()].map((cluster) => cluster.close()));
  }

  #reconsider(touched: ReadonlySet<ClusterId>): void {
    for (const cluster of touched) this.#settle(cluster);
    this.#changed();
  }

  #settle(cluster: ClusterId): void {
    if (!this.#claims.named(cluster)) return this.#beginLeaving(cluster);
    this.#leaving.get(cluster)?.[Symbol.dispose]();
    this.#leaving.delete(cluster);
    const holder = this.#claims.holder(cluster);
    if (holder && !isRefusal(holder.read)) this.#use(cluster, holder.read);
  }

  #use(cluster: ClusterId, credentials: Credentials<Connection>): void {
    const known = this.#clusters.get(cluster);
    const fields = { cluster, source: credentials.source };
    if (known) {
      if (known.use(credentials)) this.#log.info("Update cluster", fields);
      else this.#log.debug("the kubeconfig is the same", fields);
      return;
    }
    // One of this name that just left is closed first.
    if (this.#closing.has(cluster) || this.#clusters.size >= this.#clustersMax) return;
    this.#log.info("Add cluster", fields);
    const added = this.#remoteCluster(cluster);
    this.#clusters.set(cluster, added);
    added.use(credentials);
    this.#log.info(`Created mesh watcher for remote cluster "${cluster}"`, fields);
    if (this.#listed) this.#log.info(`Number of remote clusters: ${this.#clusters.size}`);
  }

  #remoteCluster(cluster: ClusterId): RemoteCluster<Connection> {
    return new RemoteCluster({
      clock: this.#host.clock,
      log: this.#log,
      cluster,
      syncTimeoutMs: this.#syncTimeoutMs,
      open: (connection) => this.#options.open(cluster, connection),
      lastKnownAt: () => this.#lastKnownAt(cluster),
      timedOut: () => this.#metrics.timedOut(cluster),
      changed: () => this.#changed(),
    });
  }

  #beginLeaving(cluster: ClusterId): void {
    if (!this.#clusters.has(cluster) || this.#leaving.has(cluster)) return;
    this.#leaving.set(
      cluster,
      this.#host.clock.after(LEAVE_AFTER_MS, () => this.#leave(cluster)),
    );
  }

  #leave(cluster: ClusterId): void {
    const gone = this.#clusters.get(cluster);
    this.#leaving.delete(cluster);
    if (!gone) return;
    this.#log.info(`Deleting cluster_id=${cluster}`, { source: gone.status().source });
    this.#clusters.delete(cluster);
    this.#closing.set(cluster, gone);
    void gone.close().then(() => {
      this.#closing.delete(cluster);
      if (!this.#stopped && this.#claims.named(cluster)) this.#settle(cluster);
      this.#changed();
    });
    this.#options.leave(cluster);
    this.#log.info(`Number of remote clusters: ${this.#clusters.size}`);
    // There may be room now for one that had none.
    for (const other of this.#claims.clusters()) if (!this.#clusters.has(other)) this.#settle(other);
    this.#changed();
  }

  #changed(): void {
    if (this.#stopped) return;
    this.#metrics.show(new Map([...this.#clusters].map(([cluster, known]) => [cluster, known.status().state])));
    this.#problemLog.note(this.problems());
    for (const observer of [...this.#observers]) observer();
  }

  #lastKnownAt(cluster: ClusterId): EpochMs | undefined {
    return this.#options.lastKnownAt?.(cluster);
  }

  #excess(cluster: ClusterId): string {
    return `names cluster ${cluster}, but ${this.#clustersMax} remote clusters are read already and no more are. Remove the secrets of clusters that are no longer needed`;
  }
}

/** As `a, b, c and 5 more`. */
function shortList(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}
