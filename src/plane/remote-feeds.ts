import { join } from "node:path";
import type { Authenticator } from "../caller.ts";
import { TokenReviewAuthenticator } from "../ca/token-review-authenticator.ts";
import type { KubeApi } from "../kube/api.ts";
import type { ClusterConnection } from "../kube/connection.ts";
import { readKubeconfig } from "../kube/kubeconfig.ts";
import { Reflector } from "../kube/reflector.ts";
import { SECRETS } from "../kube/resource-types.ts";
import { KubeTokenReviewer } from "../kube/token-reviewer.ts";
import type { ClusterId } from "../names.ts";
import { KubeCluster } from "../registry/kube/cluster.ts";
import type { ClusterFeed } from "../registry/kube/cluster-feed.ts";
import { KubeconfigFolder } from "../registry/kube/kubeconfig-folder.ts";
import { forgetOthers } from "../registry/kube/last-known.ts";
import type { RemoteClusterStatus } from "../registry/kube/remote-cluster.ts";
import { RemoteClusters } from "../registry/kube/remote-clusters.ts";
import { REMOTE_SECRETS, RemoteSecrets } from "../registry/kube/remote-secrets.ts";
import { REMOTE_KINDS } from "../registry/kube/watched-kinds.ts";
import { LivePods } from "../registry/live-pods.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { ClusterContext } from "./clusters.ts";
import { KnownClusters } from "./known-clusters.ts";
import type { KubernetesAccess } from "./kubernetes-access.ts";

/**
 * A cluster that has not said a word for this long is not there, and is not waited for (contract operations.md 3.4,
 * fault 6: ready a second later at most). One that answers is waited for until PILOT_REMOTE_CLUSTER_TIMEOUT.
 */
const FIRST_WORD_MS = 800;
const LOOK_MS = 50;

/** Clusters that remote secrets, or a folder of kubeconfigs, name; with who verifies their tokens. */
export class RemoteFeeds {
  readonly #context: ClusterContext;
  readonly #access: KubernetesAccess;
  readonly #tokens: Map<ClusterId, Authenticator>;
  readonly #clusters: RemoteClusters<ClusterConnection>;
  readonly #origin: { start(): void; stop(): Promise<void> };
  /** The newest feed of each cluster. */
  readonly #feeds = new Map<ClusterId, KubeCluster>();
  readonly #verifiers = new Map<ClusterId, TokenReviewAuthenticator>();
  /** What reviews a cluster's tokens now. */
  readonly #apis = new Map<ClusterId, KubeApi>();
  /** What they said before. */
  readonly #known: KnownClusters;
  #listedMs: number | undefined;

  constructor(context: ClusterContext, access: KubernetesAccess, tokens: Map<ClusterId, Authenticator>) {
    const { host, config } = context;
    this.#context = context;
    this.#known = new KnownClusters(context);
    this.#access = access;
    this.#tokens = tokens;
    this.#clusters = new RemoteClusters<ClusterConnection>(host, {
      ownCluster: config.clusterId,
      syncTimeoutMs: config.remoteClusterTimeoutMs,
      readKubeconfig: (text) => readKubeconfig(text, { trusted: false, allowed: config.insecureKubeconfigOptions }),
      open: (cluster, connection) => this.#open(cluster, connection),
      leave: (cluster) => this.#leave(cluster),
      lastKnownAt: (cluster) => this.#known.servedOf(cluster),
    });
    this.#clusters.observe(() => {
      this.#standIn();
      context.noteProblems();
    });
    this.#origin = config.multiclusterKubeconfigPath === undefined ? this.#secrets() : this.#folder();
  }

  start(): void {
    this.#clusters.start();
    this.#origin.start();
  }

  clusters(): readonly RemoteClusterStatus[] {
    return this.#clusters.clusters();
  }

  problems(): readonly Problem[] {
    return this.#clusters.problems();
  }

  /** Why others should wait; undefined once they need not. */
  whySettling(): string | undefined {
    const { loading } = this.#known;
    if (loading !== undefined) return `what was last known of cluster ${loading} is being read`;
    const why = this.#clusters.whySettling();
    if (why === undefined) return undefined;
    const syncing = this.#clusters.clusters().filter(({ state }) => state === "syncing");
    if (syncing.length === 0) return why;
    const nowMs = this.#context.host.clock.elapsedMs();
    this.#listedMs ??= nowMs;
    const early = nowMs - this.#listedMs < FIRST_WORD_MS;
    const spoke = syncing.some(({ cluster }) => this.#feeds.get(cluster)?.heardAt !== undefined);
    return early || spoke ? why : undefined;
  }

  async settled(signal: AbortSignal): Promise<void> {
    const { clock } = this.#context.host;
    while (!signal.aborted && this.whySettling() !== undefined)
      await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
  }

  async close(): Promise<void> {
    await this.#origin.stop();
    await this.#clusters.stop();
    await this.#known.close();
  }

  #secrets(): { start(): void; stop(): Promise<void> } {
    const { host, config } = this.#context;
    const { clusterId: cluster, systemNamespace: namespace } = config;
    const { api, gate } = this.#access;
    const secrets = new RemoteSecrets(host, namespace, this.#clusters);
    const reflector = new Reflector(host, api, gate, {
      cluster,
      type: SECRETS,
      namespace,
      labelSelector: REMOTE_SECRETS,
      sink: secrets,
      onSynced: () => {
        secrets.listed();
        this.#listed();
      },
    });
    return { start: () => reflector.start(), stop: () => reflector.close() };
  }

  #folder(): { start(): void; stop(): Promise<void> } {
    const { host, config } = this.#context;
    return new KubeconfigFolder(host, config.multiclusterKubeconfigPath!, this.#clusters);
  }

  /** What there is of clusters that no secret names any more is of no use to anyone. */
  #listed(): void {
    const { host, config } = this.#context;
    void forgetOthers(host, join(config.stateDir, "clusters"), this.#clusters.named());
  }

  /** A cluster whose kubeconfig could never be read is served as it was before: somebody still names it. */
  #standIn(): void {
    const named = this.#clusters.named();
    for (const cluster of named)
      if (!this.#feeds.has(cluster) && cluster !== this.#context.config.clusterId) this.#known.serve(cluster);
    for (const cluster of this.#known.clusters())
      if (!named.has(cluster) && !this.#feeds.has(cluster)) this.#leave(cluster);
  }

  #open(cluster: ClusterId, connection: ClusterConnection): ClusterFeed {
    const { host, registry } = this.#context;
    const api = this.#access.connect(connection);
    const feed = new KubeCluster(host, {
      cluster,
      api,
      gate: this.#access.gate,
      kinds: REMOTE_KINDS,
      intake: registry.intake(cluster, "held"),
      copy: this.#known.copyOf(cluster),
      onJoined: () => {
        // Only credentials that have proven good are used to ask about tokens.
        const before = this.#apis.get(cluster);
        this.#apis.set(cluster, api);
        // What another server said of tokens is nothing to this one, even under the same name.
        if (before !== undefined && before.server !== api.server) this.#verifyTokensOf(cluster);
        this.#known.joined(cluster);
      },
    });
    this.#feeds.set(cluster, feed);
    if (!this.#tokens.has(cluster)) this.#verifyTokensOf(cluster);
    return feed;
  }

  #leave(cluster: ClusterId): void {
    this.#feeds.delete(cluster);
    this.#apis.delete(cluster);
    this.#tokens.delete(cluster);
    this.#verifiers.get(cluster)?.forget();
    this.#verifiers.delete(cluster);
    this.#known.forget(cluster);
    this.#context.registry.intake(cluster).clear();
  }

  #verifyTokensOf(cluster: ClusterId): void {
    const { host, config, registry } = this.#context;
    const reviewer = {
      review: (...asked: Parameters<KubeTokenReviewer["review"]>) => {
        const api = this.#apis.get(cluster);
        if (api === undefined) return Promise.reject(new Error(`cluster ${cluster} has not joined yet`));
        return new KubeTokenReviewer(api).review(...asked);
      },
    };
    const { trustDomain } = config;
    const pods = new LivePods(registry);
    const verifier = new TokenReviewAuthenticator(host, { cluster, trustDomain, reviewer, pods });
    this.#verifiers.set(cluster, verifier);
    this.#tokens.set(cluster, verifier);
  }
}
