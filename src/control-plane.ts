import { join } from "node:path";
import type { Authority } from "./ca/authority.ts";
import { IssuanceLog } from "./ca/issuance-log.ts";
import type { SignerDescription } from "./ca/signer.ts";
import type { RevocationList } from "./ca/crl.ts";
import type { TrustBundles } from "./ca/trust-bundles.ts";
import type { ServingCertificates } from "./ca/serving-certificate.ts";
import type { TokenIssuer } from "./ca/token-issuer.ts";
import type { ReadinessCheck } from "./admin.ts";
import type { Host } from "./host.ts";
import type { ClusterId } from "./names.ts";
import { type AuthorityContext, type AuthoritySource, WatchedAuthority } from "./plane/authority-source.ts";
import type { PeerView } from "./peering/opened-peer.ts";
import type { ClusterContext, Clusters } from "./plane/clusters.ts";
import { EmbeddedClusters } from "./plane/embedded-clusters.ts";
import { localAuthority } from "./plane/local-authority.ts";
import type { BundleAgreement } from "./plane/bundle-drift.ts";
import { startDrills } from "./plane/drills.ts";
import { Federation } from "./plane/federation.ts";
import { type MeshIdentities, MeshTrust } from "./plane/mesh-trust.ts";
import { PlaneGateways } from "./plane/gateways.ts";
import { type PeerClients, PeerServing } from "./plane/peer-serving.ts";
import { PlanePeers, type PlanePeersOptions } from "./plane/peers.ts";
import { openRelay, type Relay } from "./plane/relay.ts";
import type { RelaySink } from "./plane/relay-sink.ts";
import { PortsServed, type ServedParts } from "./plane/ports-served.ts";
import { PlaneSpire, type SpireView } from "./plane/spire.ts";
import { SpireRegistration, type SpireRegistrationView } from "./plane/spire-registration.ts";
import { openWorkloadSigner, type WorkloadSigner } from "./plane/workload-signer.ts";
import { Graph } from "./registry/collection/graph.ts";
import { FileVirtualIpStore } from "./registry/embedded/virtual-ip-file.ts";
import type { Problem } from "./registry/model/problem.ts";
import type { RelayView } from "./relay/relay-view.ts";
import { ProblemLog } from "./registry/problem-log.ts";
import { Registry } from "./registry/registry.ts";
import { controlPlaneId, type ServiceAccountId } from "./spiffe.ts";
import type { BundleReading } from "./spire/bundle-reader.ts";
import { usesSpire } from "./spire-config.ts";
import { countChanges, flushByTurns } from "./plane/registry-metrics.ts";
import { openStateDir } from "./plane/state-dir.ts";
import { unsentProblem } from "./plane/unsent-problem.ts";
import { VERSION } from "./version.ts";
import { meshLogs, type MeshLogs } from "./xds/mesh-logs.ts";
import { XdsServer } from "./xds/server.ts";

export interface ControlPlaneOptions extends PlanePeersOptions {
  /** Whose selector-less policies bind the whole mesh; the system namespace unless the mesh config says otherwise. */
  readonly rootNamespace?: string;
  /** The folders of `config.manifests`, unless given. @throws MeshError for what cannot be served. */
  readonly openClusters?: (context: ClusterContext) => Clusters;
  /** `config.cacertsDir`, or a root of our own in the state folder, unless given. */
  readonly openAuthority?: (context: AuthorityContext) => AuthoritySource;
  /** Where what a trust manager orders is kept; folders, unless given. */
  readonly openRelaySink?: (context: AuthorityContext) => RelaySink;
  /** True if every authenticated workload may read the mesh, as for demos and ztunnels in dedicated mode. */
  readonly openToAll: boolean;
  /** What a debug page shows. */
  readonly debugPage: (page: string) => Promise<Uint8Array>;
}

/** Everything, put together: sources, registry, discovery, authority. The only place that knows them all. */
export class ControlPlane {
  readonly #host: Host;
  readonly #options: ControlPlaneOptions;
  readonly graph = new Graph();
  readonly registry: Registry;
  readonly discovery: XdsServer;
  /** What proxies of our Gateways are told. */
  readonly gateways: PlaneGateways;
  /** What was issued and refused. */
  readonly issuances: IssuanceLog;
  readonly #mesh: MeshLogs;
  readonly #closing: (() => Promise<void> | void)[] = [];
  readonly #problemLog: ProblemLog;
  readonly #clusters: Clusters;
  readonly #trust: MeshTrust;
  readonly #federation: Federation;
  readonly #authority: AuthoritySource;
  readonly #relay: Relay;
  /** Undefined if nothing is asked of SPIRE. */
  readonly #spire: PlaneSpire | undefined;
  /** Undefined if it does not matter here whom SPIRE knows. */
  readonly #registration: SpireRegistration | undefined;
  /** Undefined if peering is off. */
  readonly #peers: PlanePeers | undefined;
  readonly #serving: PeerServing;
  readonly #served: PortsServed;

  private constructor(host: Host, options: ControlPlaneOptions, virtualIps: FileVirtualIpStore) {
    this.#host = host;
    this.#options = options;
    this.issuances = new IssuanceLog(host);
    this.#problemLog = new ProblemLog(host.log.scope("registry"));
    const { config, debugPage, openClusters = (context) => new EmbeddedClusters(context) } = options;
    const { openAuthority = localAuthority } = options;
    const { systemNamespace, trustDomain, clusterDomain } = config;
    const mesh = { trustDomain, clusterDomain, rootNamespace: options.rootNamespace ?? systemNamespace };
    const counts = { ...config, ...config.peering, peeringDiscovery: config.peering.enabled, changes: host.changes };
    this.registry = new Registry(this.graph, { ...counts, mesh, localCluster: this.localCluster, virtualIps });
    const noteProblems = (): void => this.#noteProblems();
    this.#trust = new MeshTrust(host, config, this.localCluster);
    this.#federation = new Federation(host, config, this.#trust, this, noteProblems);
    const noteMesh = (identities: MeshIdentities): void => {
      this.#trust.note(identities);
      this.#federation.note(identities.caCertificates);
    };
    const around = { host, config, graph: this.graph, registry: this.registry, noteProblems, noteMesh };
    this.#clusters = openClusters(around);
    const context = { host, config, noteProblems };
    this.#spire = this.#openSpire(noteProblems);
    const matters = usesSpire(config.spire) || this.#spire !== undefined;
    this.#registration = matters ? new SpireRegistration(around, this.#spire?.server) : undefined;
    this.#authority = new WatchedAuthority(openAuthority(context), context);
    this.#relay = openRelay({ ...context, cluster: this.localCluster, authority: this.#authority }, options);
    this.#closing.push(
      () => virtualIps.close(),
      () => this.#clusters.close(),
      () => this.#authority.close(),
      () => this.#relay.close(),
      () => this.#spire?.close(),
      () => this.#registration?.close(),
      () => this.#federation.close(),
    );
    this.#mesh = meshLogs(this.graph, this.registry, (...triggers) => this.discovery.changed(...triggers));
    this.discovery = new XdsServer(host, {
      logs: this.#mesh.logs,
      debug: { systemNamespace, page: debugPage },
      controlPlane: JSON.stringify({ Component: "istiod", ID: config.podName, Info: { version: VERSION } }),
    });
    this.gateways = new PlaneGateways(host, config, this.#trust.bundles, this, noteProblems);
    this.#peers = config.peering.enabled ? new PlanePeers(host, options, this.#trust.bundles, this) : undefined;
    this.#serving = new PeerServing(host, config, this.#trust, this, this.#clusters);
    this.#served = new PortsServed(host, config, this.#servedParts());
    this.#closing.push(
      () => this.#peers?.close(),
      () => this.#serving.close(),
      () => this.gateways.close(),
      () => this.#served.close(),
      // No change of it may reach what is closing.
      () => this.#authority.close(),
    );
    this.#closing.push(countChanges(host, this, noteProblems));
  }

  /** Begins nothing yet. @throws MeshError for a folder or a cluster that cannot be used, naming it. */
  static async open(host: Host, options: ControlPlaneOptions): Promise<ControlPlane> {
    const { stateDir } = options.config;
    await openStateDir(stateDir);
    const store = await FileVirtualIpStore.open(host, join(stateDir, "virtual-ips.json"));
    return new ControlPlane(host, options, store);
  }

  /**
   * Resolves once everything is served.
   * @throws MeshError for a folder, a key or a port that cannot be used, naming it; nothing is left running then.
   */
  async start(signal: AbortSignal): Promise<void> {
    try {
      await this.#registration?.open();
      await this.#federation.start();
      // Before an authority is waited for: it may be the one that brings it.
      await this.#relay.start(this.#clusters);
      await this.#startClusters(signal);
      await this.#spire?.start();
      this.#registration?.start(this.#clusters);
      const authority = await this.#authority.first(signal);
      this.#relay.noteAuthority();
      await this.#startServing(authority);
    } catch (thrown) {
      await this.close();
      throw thrown;
    }
  }

  /** What clients and operators tell replicas apart by. */
  get name(): string {
    const { podName, systemNamespace } = this.#options.config;
    return `${podName}.${systemNamespace}`;
  }
  /** What peers know us by. */
  get identity(): ServiceAccountId {
    const { trustDomain, systemNamespace } = this.#options.config;
    return controlPlaneId(trustDomain, systemNamespace);
  }
  /** What we serve with, and prove ourselves to peers with; undefined until we serve. */
  get certificate(): ServingCertificates | undefined {
    return this.#served.certificate;
  }
  get localCluster(): ClusterId {
    return this.#options.config.manifests[0]?.cluster ?? this.#options.config.clusterId;
  }
  /** Where clients reach us. */
  get ports(): { readonly xds: number; readonly xdsPlaintext: number | undefined } {
    return this.#served.ports;
  }
  /** Where our trust bundle is served; undefined while it is not. */
  get bundlePort(): number | undefined {
    return this.#federation.port;
  }
  /** The issuer of each cluster whose tokens are ours to make. */
  get tokens(): ReadonlyMap<ClusterId, TokenIssuer> {
    return this.#clusters.issuers;
  }
  get logs(): MeshLogs["logs"] {
    return this.#mesh.logs;
  }
  /** PEM of what verifies us and every workload. */
  get rootCertificateFile(): string {
    return this.#served.rootCertificateFile;
  }

  /** What must be so before clients are sent here: why it is not, or undefined. */
  readiness(): readonly ReadinessCheck[] {
    return [
      ...this.#clusters.readiness(),
      { name: "discovery", check: () => (this.ports.xds === 0 ? "the port is not open" : undefined) },
      { name: "peers", check: () => this.#peers?.whySettling() },
      {
        name: "certificates",
        check: () => this.#relay.waitingFor(this.#authority.waitingFor()) ?? this.#served.whyNotSigning(),
      },
    ];
  }

  /** How the clusters that are read are, and what our own holds, if that is folders. */
  get clusters(): Pick<Clusters, "statuses" | "embedded" | "unknownKinds"> {
    return this.#clusters;
  }
  /** The control planes that we read; none if peering is off. */
  peers(): readonly PeerView[] {
    return this.#peers?.views() ?? [];
  }
  /** Whether a peer and we mean the same roots; undefined if it does not say. */
  bundleAgreement(cluster: ClusterId): BundleAgreement | undefined {
    return this.#federation.agreement(cluster);
  }
  /** The bundles of other trust domains that are read where they are published. */
  readBundles(): readonly BundleReading[] {
    return this.#federation.bundles;
  }
  /** One that was away is dialled at once. */
  peerEntered(cluster: ClusterId): void {
    this.#peers?.entered(cluster);
  }
  /** How SPIRE and we get on; undefined if nothing is asked of it. */
  spire(): SpireView | undefined {
    return this.#spire?.view();
  }
  /** What the trust manager orders, and what became of it. */
  relay(): RelayView {
    return this.#relay.view();
  }
  /** How pods come to be known to SPIRE; undefined if that does not matter here. */
  registration(): SpireRegistrationView | undefined {
    return this.#registration?.view();
  }
  /** Who reads what we share. */
  peerClients(): PeerClients {
    return this.#serving.clients();
  }

  /** What is wrong with the clusters and the objects in them, and what could not be sent. */
  problems(fromClusters = this.#clusters.problems()): readonly Problem[] {
    const unsent = [...this.#mesh.refusals(), ...this.#serving.refusals()].map(unsentProblem);
    const objects = [...this.registry.problems.entries()].map(([, problem]) => problem);
    const spire = [...(this.#spire?.problems() ?? []), ...(this.#registration?.problems() ?? [])];
    const parts = [this.#authority, this.#relay, this.#served, this.#federation];
    const identities = parts.flatMap((part) => part.problems());
    return [...fromClusters, ...identities, ...spire, ...objects, ...unsent, ...this.gateways.problems()];
  }

  #noteProblems(): void {
    this.#problemLog.note(this.problems(this.#clusters.unsaidProblems()));
  }

  /** Who signs for workloads; undefined until there is an authority. */
  signer(): SignerDescription | undefined {
    return this.#served.signer;
  }
  /** Whose word counts, for each trust domain. */
  get trust(): TrustBundles {
    return this.#trust.bundles;
  }
  /** The lists of revoked certificates that are in force. */
  get revocations(): readonly RevocationList[] {
    return this.#served.revocations;
  }

  /** Stops serving, then following the clusters; idempotent. */
  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }

  async #startClusters(signal: AbortSignal): Promise<void> {
    await this.#clusters.start(signal);
    // Only now: nothing of a cluster shows before all of it is there.
    flushByTurns(this.#host, this);
    this.graph.flush();
    this.#noteProblems();
    // Before anybody is served: who comes back would lose what peers share.
    await this.#peers?.start();
    this.#closing.push(startDrills(this.#host, this));
  }

  #servedParts(): ServedParts {
    const { localCluster, identity, registry, discovery, issuances } = this;
    const { openToAll } = this.#options;
    const own = { localCluster, identity, registry, discovery, issuances, openToAll };
    const gates = { peers: this.#serving.admission, gateways: this.gateways.admission };
    const openSigner = (authority: Authority): WorkloadSigner => this.#openSigner(authority);
    return { ...own, ...gates, clusters: this.#clusters, trust: this.#trust, openSigner };
  }

  #openSpire(onProblems: () => void): PlaneSpire | undefined {
    const { config } = this.#options;
    if (config.spire.identity === "mesh" && config.spire.server === undefined) return undefined;
    const onBundles = (): void => {
      this.#trust.noteSpire(this.#spire!.bundles.held);
      void this.#served.spireChanged();
    };
    return new PlaneSpire(this.#host, config, { onBundles, onProblems });
  }

  #openSigner(authority: Authority): WorkloadSigner {
    const { localCluster } = this;
    const noteProblems = (): void => this.#noteProblems();
    const around = { config: this.#options.config, spire: this.#spire, localCluster, noteProblems };
    return openWorkloadSigner({ host: this.#host, ...around }, authority);
  }

  async #startServing(authority: Authority): Promise<void> {
    await this.#federation.settled();
    await this.#served.start(authority);
    await this.#federation.serve(this.#served.certificate!);
    // Gateways are told whom to believe.
    this.graph.flush();
    this.#authority.follow(async (changed) => {
      await this.#served.follow(changed);
      this.#peers?.recheck();
    });
    this.#peers?.dial();
  }
}
