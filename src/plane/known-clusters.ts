import { join } from "node:path";
import { messageOf } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { KnownWriter } from "../registry/kube/known-writer.ts";
import { LastKnown } from "../registry/kube/last-known.ts";
import type { ClusterContext } from "./clusters.ts";

interface Known {
  readonly opened: Promise<LastKnown>;
  /** Undefined once the cluster has joined by itself, or if nothing was known. */
  servedOf: EpochMs | undefined;
  loading: boolean;
  joined: boolean;
}

/**
 * What remote clusters said before we were started. It is served from the start, as what it is, until the cluster itself
 * has joined; so a restart while a cluster is away takes nothing from the mesh (contract operations.md 3.2).
 */
export class KnownClusters {
  readonly #context: ClusterContext;
  readonly #known = new Map<ClusterId, Known>();
  /** What is being removed of clusters that left, before they may return. */
  readonly #forgetting = new Map<ClusterId, Promise<void>>();

  constructor(context: ClusterContext) {
    this.#context = context;
  }

  /** A copy of the feed that begins now. What was known of the cluster shows meanwhile. */
  async copyOf(cluster: ClusterId): Promise<KnownWriter> {
    return (await this.serve(cluster).opened).begin();
  }

  /** Shows what was known of a cluster, unless it is shown already. */
  serve(cluster: ClusterId): Known {
    return this.#known.get(cluster) ?? this.#open(cluster);
  }

  clusters(): readonly ClusterId[] {
    return [...this.#known.keys()];
  }

  /** When what is served of a cluster was true, as long as that is not from the cluster itself. */
  servedOf(cluster: ClusterId): EpochMs | undefined {
    return this.#known.get(cluster)?.servedOf;
  }

  /** A cluster whose state is still being read from disk. */
  get loading(): ClusterId | undefined {
    return [...this.#known].find(([, { loading }]) => loading)?.[0];
  }

  /** The cluster speaks for itself from now on. */
  joined(cluster: ClusterId): void {
    const known = this.#known.get(cluster);
    if (known === undefined) return;
    known.joined = true;
    known.servedOf = undefined;
  }

  forget(cluster: ClusterId): void {
    const known = this.#known.get(cluster);
    if (known === undefined) return;
    this.#known.delete(cluster);
    known.joined = true;
    const forgetting = known.opened.then((last) => last.forget());
    this.#forgetting.set(cluster, forgetting);
    void forgetting.finally(() => this.#forgetting.get(cluster) === forgetting && this.#forgetting.delete(cluster));
  }

  async close(): Promise<void> {
    await Promise.all(this.#forgetting.values());
    await Promise.all(Array.from(this.#known.values(), async ({ opened }) => (await opened).close()));
  }

  #open(cluster: ClusterId): Known {
    const { host, config } = this.#context;
    const folder = join(config.stateDir, "clusters", cluster);
    const opened = (this.#forgetting.get(cluster) ?? Promise.resolve()).then(() =>
      LastKnown.open(host, folder, cluster),
    );
    const known: Known = { opened, servedOf: undefined, loading: true, joined: false };
    this.#known.set(cluster, known);
    void opened.then((last) => this.#serve(host, cluster, last, known));
    return known;
  }

  async #serve(host: Host, cluster: ClusterId, last: LastKnown, known: Known): Promise<void> {
    const { heardAt } = last;
    const log = host.log.scope("remote");
    try {
      if (heardAt === undefined) return;
      const intake = this.#context.registry.intake(cluster, "held");
      for await (const object of last.replay()) intake.set(object, "");
      if (known.joined) return;
      intake.join();
      known.servedOf = heardAt;
      const ageSeconds = Math.max(0, Math.round((host.clock.now() - heardAt) / 1000));
      log.info("serving what is last known of a remote cluster until it answers", { cluster, ageSeconds });
    } catch (thrown) {
      log.warn(`what is last known of a remote cluster cannot be read: ${messageOf(thrown)}`, { cluster });
    } finally {
      known.loading = false;
    }
  }
}
