import type { ReadinessCheck } from "../admin.ts";
import type { Authenticator } from "../caller.ts";
import { TokenReviewAuthenticator } from "../ca/token-review-authenticator.ts";
import type { EpochMs } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { LeaderElection } from "../kube/leader-election.ts";
import { PEERING_LEASE, StatusWriting } from "../kube/status-writing.ts";
import { KubeTokenReviewer } from "../kube/token-reviewer.ts";
import { Source } from "../registry/collection/source.ts";
import { KubeCluster } from "../registry/kube/cluster.ts";
import type { RemoteClusterStatus } from "../registry/kube/remote-cluster.ts";
import { LOCAL_KINDS, SPIRE_KINDS } from "../registry/kube/watched-kinds.ts";
import { LivePods } from "../registry/live-pods.ts";
import type { Problem } from "../registry/model/problem.ts";
import { type FoundLists, foundLists, type GivenLists, givenLists } from "../registry/wanted/revocation-lists.ts";
import { wantedObjects } from "../registry/wanted/wanted-objects.ts";
import { wantedOfPeering } from "../registry/wanted/wanted-of-peering.ts";
import { union } from "../registry/union.ts";
import type { ClusterContext, Clusters } from "./clusters.ts";
import { GatewayController } from "./gateway-controller.ts";
import type { KubernetesAccess } from "./kubernetes-access.ts";
import { NamedConfigMaps } from "./named-config-maps.ts";
import { RemoteFeeds } from "./remote-feeds.ts";
import { TrustBundleWatch } from "./trust-bundle-watch.ts";
import { usesSpire } from "../spire-config.ts";
import { unlessAborted } from "./unless-aborted.ts";

/** How often it is looked whether an API server has fallen silent, or answers again. */
const LOOK_MS = 5_000;

/** The cluster that we run in, and those that its remote secrets name, each read from its API server. */
export class KubernetesClusters implements Clusters {
  readonly issuers = new Map<ClusterId, never>();
  readonly tokens = new Map<ClusterId, Authenticator>();
  readonly #context: ClusterContext;
  readonly #access: KubernetesAccess;
  readonly #local: KubeCluster;
  readonly #remote: RemoteFeeds | undefined;
  readonly #roots: Source<"roots", string>;
  readonly #lists: Source<"lists", GivenLists>;
  readonly #listMaps: NamedConfigMaps<FoundLists> | undefined;
  readonly #bundle: TrustBundleWatch | undefined;
  /** Undefined if somebody else deploys gateways. */
  readonly #gateways: GatewayController | undefined;
  readonly #writing: StatusWriting;
  /** Of what is known of peers; undefined if peering is off. */
  readonly #peerWriting: StatusWriting | undefined;
  #started = false;
  #writes = false;
  #since: EpochMs;
  #look: Disposable | undefined;

  constructor(context: ClusterContext, access: KubernetesAccess) {
    const { host, config, graph, registry } = context;
    const { clusterId: cluster, trustDomain } = config;
    const { api, gate, meshConfig } = access;
    this.#context = context;
    this.#since = host.clock.now();
    this.#access = access;
    this.#local = new KubeCluster(host, {
      cluster,
      api,
      gate,
      kinds: usesSpire(config.spire) ? [...LOCAL_KINDS, ...SPIRE_KINDS] : LOCAL_KINDS,
      intake: registry.intake(cluster, "held"),
    });
    const reviewer = new KubeTokenReviewer(api);
    const pods = new LivePods(registry);
    this.tokens.set(cluster, new TokenReviewAuthenticator(host, { cluster, trustDomain, reviewer, pods }));
    this.#remote = config.legacyMulticluster ? new RemoteFeeds(context, access, this.tokens) : undefined;
    if (this.#remote === undefined)
      host.log
        .scope("remote")
        .info("Number of remote clusters: 0; remote secrets are not read, as DISABLE_LEGACY_MULTICLUSTER is true");
    this.#roots = new Source(graph, "roots");
    this.#lists = new Source(graph, "given-revocation-lists");
    const found = new Source<string, FoundLists>(graph, "found-revocation-lists");
    const { listsConfigMap: name, rootConfigMap: configMap } = config;
    const lists = config.readsLists ? { configMap: name, lists: this.#lists, found } : undefined;
    this.#listMaps = lists && new NamedConfigMaps(host, access, { cluster, name }, found, foundLists);
    this.#bundle = config.clusterTrustBundle ? new TrustBundleWatch(host, graph, access, cluster) : undefined;
    const options = { roots: this.#roots, configMap, lists, bundle: this.#bundle?.found };
    this.#gateways = config.gateways.enabled ? new GatewayController(context, access) : undefined;
    const wanted = wantedObjects(graph, registry.statusInputs, options);
    this.#writing = new StatusWriting(host, api, {
      wanted: union(graph, "wanted-here", [wanted, ...(this.#gateways ? [this.#gateways.ours] : [])]),
      onWrite: (report) => this.#gateways?.note(report),
      ...config,
    });
    this.#peerWriting = config.peering.enabled
      ? new StatusWriting(host, api, {
          wanted: wantedOfPeering(graph, registry.peeringViewInputs, config.peering),
          lease: PEERING_LEASE,
          ...config,
        })
      : undefined;
    access.onMeshConfig = (mesh) => {
      registry.meshConfig.set("mesh", mesh);
      context.noteMesh(mesh);
    };
    access.onMeshConfig(meshConfig.mesh!);
    access.onProblems = context.noteProblems;
    access.leads = () => this.#writing.leading;
  }

  statuses(): readonly RemoteClusterStatus[] {
    const { host, config } = this.#context;
    const { trouble, heardAt } = this.#local;
    const own: RemoteClusterStatus = {
      cluster: config.clusterId,
      source: "",
      state: this.#started ? "synced" : "syncing",
      since: this.#since,
      reason: trouble ?? "",
      staleMs: trouble === undefined || heardAt === undefined ? undefined : Math.max(0, host.clock.now() - heardAt),
    };
    return [own, ...(this.#remote?.clusters() ?? [])];
  }

  /** Resolves once the local cluster is known whole, and so are the remote ones that answer in time. */
  async start(signal: AbortSignal): Promise<void> {
    this.#local.start();
    const synced = new Promise<void>((resolve) => this.#local.whenSynced(resolve));
    await unlessAborted(synced, signal, `cluster ${this.#context.config.clusterId} was not read`);
    this.#local.join();
    // Not before: few lists run at once, and ours must not wait for slow ones of others.
    this.#remote?.start();
    await this.#remote?.settled(signal);
    this.#started = true;
    this.#since = this.#context.host.clock.now();
    this.#lookAgain(this.#local.trouble);
  }

  /** Only with an authority all that is to be written is known, so writing begins with it; of roots nothing, while they are empty. */
  publishTrust(roots: string, lists: string): void {
    this.#roots.set("roots", roots);
    this.#lists.set("lists", givenLists(lists));
    if (this.#writes) return;
    this.#writes = true;
    this.#writing.start();
    this.#peerWriting?.start();
    this.#gateways?.start();
    this.#listMaps?.start();
    this.#bundle?.start();
  }

  /** Whoever may see them asks the API server. */
  embedded(): undefined {}

  readiness(): readonly ReadinessCheck[] {
    return [{ name: "clusters", check: () => (this.#started ? undefined : this.#whyNotStarted()) }];
  }

  problems(): readonly Problem[] {
    return [...this.unsaidProblems(), ...(this.#remote?.problems() ?? [])];
  }

  /** The log of scope `remote` tells of remote secrets. */
  unsaidProblems(): readonly Problem[] {
    const trouble = this.#started ? this.#local.trouble : undefined;
    const { clusterId } = this.#context.config;
    const silent: Problem = {
      object: `cluster ${clusterId}`,
      origin: "",
      field: "",
      // Why changes from try to try: the log of scope kube and /debug/clusterz have it.
      message: "Its API server does not keep us up to date. What it said before is served until it does.",
      severity: "error",
    };
    return [
      ...(trouble === undefined ? [] : [silent]),
      ...this.#access.meshConfig.problems(),
      ...(this.#gateways?.problems() ?? []),
    ];
  }

  /** What nobody reads is not asked for. */
  unknownKinds(): readonly never[] {
    return [];
  }

  election(name: string): LeaderElection {
    const { host, config } = this.#context;
    return new LeaderElection(host, this.#access.api, {
      namespace: config.systemNamespace,
      name,
      podName: config.podName,
    });
  }

  async close(): Promise<void> {
    this.#look?.[Symbol.dispose]();
    await this.#writing.close();
    await this.#peerWriting?.close();
    await this.#gateways?.close();
    await this.#listMaps?.close();
    await this.#bundle?.close();
    await this.#remote?.close();
    await this.#access.unfollow();
    await this.#local.close();
  }

  #whyNotStarted(): string {
    if (this.#local.state !== "syncing") return this.#remote?.whySettling() ?? "the first changes are being settled";
    const left = this.#local.kinds().filter(({ synced }) => !synced);
    const why = this.#local.trouble ?? `still listing ${left.map(({ resource }) => resource).join(", ")}`;
    return `cluster ${this.#context.config.clusterId}: ${why}`;
  }

  /** Silence is not announced. */
  #lookAgain(before: string | undefined): void {
    this.#look = this.#context.host.clock.after(LOOK_MS, () => {
      const { trouble } = this.#local;
      if ((trouble === undefined) !== (before === undefined)) this.#context.noteProblems();
      this.#lookAgain(trouble);
    });
  }
}
