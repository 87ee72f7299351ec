import { join } from "node:path";
import type { ReadinessCheck } from "../admin.ts";
import type { Authenticator } from "../caller.ts";
import { TokenIssuer } from "../ca/token-issuer.ts";
import { TokenVerifier } from "../ca/token-verifier.ts";
import type { ManifestCluster } from "../config.ts";
import { MeshError } from "../errors.ts";
import type { ClusterId } from "../names.ts";
import { FileAssignmentStore } from "../registry/embedded/assignment-store.ts";
import { EmbeddedCluster } from "../registry/embedded/embedded-cluster.ts";
import { LivePods } from "../registry/live-pods.ts";
import type { RemoteClusterStatus } from "../registry/kube/remote-cluster.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { ClusterContext, Clusters, EmbeddedObjects } from "./clusters.ts";
import { grantsFolder } from "./relay-paths.ts";

/** Each embedded cluster has ranges of its own, from those that kubeadm and kind use upwards; eight fit. */
const CLUSTERS_MAX = 8;
const rangesOf = (at: number): { podCidr: string; serviceCidr: string; nodeCidr: string } => ({
  podCidr: `10.${244 + at}.0.0/16`,
  serviceCidr: `10.${96 + 16 * at}.0.0/12`,
  nodeCidr: `172.${18 + at}.0.0/16`,
});

/** Clusters that are folders of manifests; the first is the local one. */
export class EmbeddedClusters implements Clusters {
  readonly tokens = new Map<ClusterId, Authenticator>();
  readonly #context: ClusterContext;
  readonly #clusters: readonly EmbeddedCluster[];
  readonly #issuers = new Map<ClusterId, TokenIssuer>();
  #loaded = false;

  /** @throws MeshError `invalid` if there is none, or too many. */
  constructor(context: ClusterContext) {
    const { manifests } = context.config;
    if (manifests.length === 0)
      throw new MeshError("invalid", "there is no cluster to serve; name one with --manifests");
    if (manifests.length > CLUSTERS_MAX)
      throw new MeshError("invalid", `${manifests.length} manifest folders are given; ${CLUSTERS_MAX} is the most`);
    this.#context = context;
    this.#clusters = manifests.map((cluster, at) => embeddedCluster(context, cluster, at));
  }

  get issuers(): ReadonlyMap<ClusterId, TokenIssuer> {
    return this.#issuers;
  }

  async start(): Promise<void> {
    const { noteProblems } = this.#context;
    for (const embedded of this.#clusters) {
      await embedded.start();
      embedded.observe(noteProblems);
    }
    await this.#openTokens();
    this.#loaded = true;
  }

  /** Manifests have nobody to hand them to: clients on this machine find them in the state folder. */
  publishTrust(): void {}

  statuses(): readonly RemoteClusterStatus[] {
    const state = this.#loaded ? "synced" : "syncing";
    const common = { state, since: 0, reason: "", staleMs: undefined } as const;
    return this.#context.config.manifests.map(({ cluster, folder }, at) => {
      return { ...common, cluster, source: at === 0 ? "" : folder };
    });
  }

  readiness(): readonly ReadinessCheck[] {
    return [{ name: "clusters", check: () => (this.#loaded ? undefined : "their first load is not complete") }];
  }

  problems(): readonly Problem[] {
    return [...this.#clusters.flatMap(({ problems }) => problems), ...this.#elsewhere()];
  }

  unsaidProblems(): readonly Problem[] {
    return this.problems();
  }

  unknownKinds(): readonly { readonly kind: string; readonly count: number }[] {
    const counts = new Map<string, number>();
    for (const { unknownKinds } of this.#clusters)
      for (const { apiVersion, kind, count } of unknownKinds) {
        const name = `${kind} (${apiVersion})`;
        counts.set(name, (counts.get(name) ?? 0) + count);
      }
    return [...counts].map(([kind, count]) => ({ kind, count }));
  }

  embedded(): EmbeddedObjects | undefined {
    return this.#clusters[0];
  }

  /** One process at a time has a state folder. */
  election(): undefined {}

  async close(): Promise<void> {
    for (const cluster of this.#clusters) await cluster.close();
  }

  async #openTokens(): Promise<void> {
    const { host, config, registry } = this.#context;
    const { trustDomain, stateDir, manifests } = config;
    const pods = new LivePods(registry);
    for (const { cluster } of manifests) {
      const issuer = await TokenIssuer.open(host, cluster, tokenKeyFile(stateDir, cluster));
      this.#issuers.set(cluster, issuer);
      const { publicKey } = issuer;
      this.tokens.set(cluster, new TokenVerifier(host, { cluster, trustDomain, publicKey, pods }));
    }
  }

  /** Clusters on another network, of which nothing is shared before a gateway leads there. */
  #elsewhere(): readonly Problem[] {
    const { config, registry } = this.#context;
    const { manifests, systemNamespace } = config;
    const networkOf = (cluster: ClusterId): string => registry.networks.get(cluster) ?? "";
    const local = networkOf(manifests[0]!.cluster);
    const entered = new Set(Array.from(registry.networkGateways.entries(), ([, { network }]) => network as string));
    return manifests
      .filter(({ cluster }) => networkOf(cluster) !== local && !entered.has(networkOf(cluster)))
      .map(({ cluster, folder }) => ({
        object: `cluster ${cluster}`,
        origin: folder,
        field: "topology.istio.io/network",
        message:
          `Its pods are on network "${networkOf(cluster)}", ours on "${local}", and no gateway leads there, so none of ` +
          `them is sent. Give it an east-west gateway (docs/multi-network.md); or, if the pods reach each other, label ` +
          `its namespace ${systemNamespace} with topology.istio.io/network: "${local}".`,
        severity: "warning",
      }));
  }
}

function embeddedCluster({ host, config, registry }: ClusterContext, manifests: ManifestCluster, at: number) {
  const { cluster, folder, podCidr, serviceCidr } = manifests;
  const { stateDir, clusterDomain } = config;
  // What a trust manager bounds is the local cluster's.
  const bounds = at === 0 && config.relay.manager !== undefined ? [grantsFolder(config)] : [];
  const furtherFolders = [...(manifests.furtherFolders ?? []), ...bounds];
  const intake = registry.intake(cluster);
  return new EmbeddedCluster(host, {
    cluster,
    folder,
    sink: intake,
    knows: (kind, apiVersion) => intake.known(kind, apiVersion),
    store: new FileAssignmentStore(join(stateDir, "clusters", cluster, "addresses.json")),
    clusterDomain,
    ...rangesOf(at),
    furtherFolders,
    observed: manifests.observed ?? false,
    ...(podCidr !== undefined && { podCidr }),
    ...(serviceCidr !== undefined && { serviceCidr }),
  });
}

/** Where the key of a cluster's token issuer is kept. */
export const tokenKeyFile = (stateDir: string, cluster: ClusterId): string =>
  join(stateDir, "clusters", cluster, "token-key.pem");
