import type { Counter, Gauge, Metrics } from "../../host.ts";
import type { ClusterId } from "../../names.ts";
import type { RemoteClusterState } from "./remote-cluster.ts";

/** What is counted of remote clusters, in the names of upstream (contract peering.md 3.3). */
export class RemoteMetrics {
  readonly #managed: Gauge;
  readonly #status: Gauge;
  readonly #timeouts: Counter;
  readonly #events: Counter;
  /** The state that each cluster's series shows. */
  readonly #shown = new Map<ClusterId, RemoteClusterState>();

  constructor(metrics: Metrics) {
    this.#managed = metrics.gauge("istiod_managed_clusters", "Clusters that are read", ["cluster_type"]);
    this.#status = metrics.gauge("istiod_remote_cluster_sync_status", "1 for the state that each cluster is in", [
      "cluster",
      "cluster_type",
      "status",
    ]);
    this.#timeouts = metrics.counter(
      "remote_cluster_sync_timeouts_total",
      "Times that a remote cluster took too long to sync",
      ["cluster"],
    );
    this.#events = metrics.counter("remote_cluster_secret_events_total", "Changes of remote secrets", ["event"]);
    this.#managed.set(1, { cluster_type: "local" });
    this.#managed.set(0, { cluster_type: "remote" });
  }

  event(event: "add" | "update" | "delete"): void {
    this.#events.add(1, { event });
  }

  timedOut(cluster: ClusterId): void {
    this.#timeouts.add(1, { cluster });
  }

  /** Takes all that there are; the series of those that left go. */
  show(states: ReadonlyMap<ClusterId, RemoteClusterState>): void {
    this.#managed.set(states.size, { cluster_type: "remote" });
    for (const [cluster, status] of this.#shown) {
      const now = states.get(cluster);
      if (now !== status) this.#status.remove({ cluster, cluster_type: "remote", status });
      if (now !== undefined) continue;
      this.#shown.delete(cluster);
      this.#timeouts.remove({ cluster });
    }
    for (const [cluster, status] of states) {
      this.#shown.set(cluster, status);
      this.#status.set(1, { cluster, cluster_type: "remote", status });
    }
  }
}
