import { access, constants, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Caller } from "./caller.ts";
import type { Config } from "./config.ts";
import type { Authority } from "./ca/authority.ts";
import { Authenticators } from "./ca/authenticators.ts";
import { CacertsFollower } from "./ca/cacerts-follower.ts";
import { loadCacerts } from "./ca/cacerts.ts";
import { LocalSigner } from "./ca/local-signer.ts";
import { toPem } from "./ca/pem.ts";
import { selfMadeRoot } from "./ca/self-made-root.ts";
import { certificateService } from "./ca/service.ts";
import { type ServingCertificateMaterial, ServingCertificates, servingNames } from "./ca/serving-certificate.ts";
import { TokenIssuer } from "./ca/token-issuer.ts";
import { TokenVerifier } from "./ca/token-verifier.ts";
import { MeshError, messageOf } from "./errors.ts";
import { GrpcServer, type ServingCertificate } from "./grpc/server.ts";
import type { Host } from "./host.ts";
import type { ClusterId } from "./names.ts";
import { Graph } from "./registry/collection/graph.ts";
import { FileAssignmentStore } from "./registry/embedded/assignment-store.ts";
import { EmbeddedCluster } from "./registry/embedded/embedded-cluster.ts";
import { FileVirtualIpStore } from "./registry/embedded/virtual-ip-file.ts";
import { LivePods } from "./registry/live-pods.ts";
import type { Problem } from "./registry/model/problem.ts";
import { ProblemLog } from "./registry/problem-log.ts";
import { Registry } from "./registry/registry.ts";
import { VERSION } from "./version.ts";
import { writeWhole } from "./whole-file.ts";
import { meshLogs, type MeshLogs } from "./xds/mesh-logs.ts";
import { XdsServer } from "./xds/server.ts";

/** Each embedded cluster has ranges of its own, from those that kubeadm and kind use upwards; eight fit. */
const CLUSTERS_MAX = 8;
const rangesOf = (at: number): { podCidr: string; serviceCidr: string; nodeCidr: string } => ({
  podCidr: `10.${244 + at}.0.0/16`,
  serviceCidr: `10.${96 + 16 * at}.0.0/12`,
  nodeCidr: `172.${18 + at}.0.0/16`,
});
/** Calls that are under way when we stop get this long. */
const DRAIN_MS = 2_000;

export interface ControlPlaneOptions {
  /** At least one cluster; the first is the local one. */
  readonly config: Config;
  /** True if every authenticated workload may read the mesh, as for demos and ztunnels in dedicated mode. */
  readonly openToAll: boolean;
  /** What a debug page shows. */
  readonly debugPage: (page: string) => Promise<Uint8Array>;
}

/** Everything, put together: sources, registry, discovery, authority. The only place that knows them all. */
export class ControlPlane {
  readonly #host: Host;
  readonly #options: ControlPlaneOptions;
  readonly #virtualIps: FileVirtualIpStore;
  readonly graph = new Graph();
  readonly registry: Registry;
  readonly discovery: XdsServer;
  readonly #mesh: MeshLogs;
  readonly #closing: (() => Promise<void> | void)[] = [];
  readonly #problemLog: ProblemLog;
  #clusters: readonly EmbeddedCluster[] = [];
  #tokens: ReadonlyMap<ClusterId, TokenIssuer> = new Map();
  #ports = { xds: 0, xdsPlaintext: undefined as number | undefined };
  #signer: LocalSigner | undefined;
  #joined = false;

  private constructor(host: Host, options: ControlPlaneOptions, virtualIps: FileVirtualIpStore) {
    this.#host = host;
    this.#options = options;
    this.#virtualIps = virtualIps;
    this.#problemLog = new ProblemLog(host.log.scope("registry"));
    const { config, debugPage } = options;
    const { revision, network, systemNamespace, trustDomain, clusterDomain } = config;
    const mesh = { trustDomain, clusterDomain, rootNamespace: systemNamespace };
    this.registry = new Registry(this.graph, { mesh, localCluster: this.localCluster, network, virtualIps, revision });
    this.#mesh = meshLogs(this.graph, this.registry, () => this.discovery.changed());
    this.discovery = new XdsServer(host, {
      logs: this.#mesh.logs,
      debug: { systemNamespace, page: debugPage },
      controlPlane: JSON.stringify({
        Component: "istiod",
        ID: this.name,
        Info: { version: VERSION },
      }),
    });
    this.#observe();
  }

  /**
   * Starts, and resolves once everything is served.
   * @throws MeshError for a folder, a key or a port that cannot be used, naming it; nothing is left running then.
   */
  static async start(host: Host, options: ControlPlaneOptions): Promise<ControlPlane> {
    const { manifests, stateDir } = options.config;
    if (manifests.length === 0)
      throw new MeshError("invalid", "there is no cluster to serve; name one with --manifests");
    if (manifests.length > CLUSTERS_MAX)
      throw new MeshError("invalid", `${manifests.length} manifest folders are given; ${CLUSTERS_MAX} is the most`);
    await openStateDir(stateDir);
    const store = await FileVirtualIpStore.open(host, join(stateDir, "virtual-ips.json"));
    const plane = new ControlPlane(host, options, store);
    try {
      await plane.#startClusters();
      await plane.#startServing(await plane.#authority());
      return plane;
    } catch (thrown) {
      await plane.close();
      throw thrown;
    }
  }

  /** What clients and operators tell replicas apart by. */
  get name(): string {
    const { podName, systemNamespace } = this.#options.config;
    return `${podName}.${systemNamespace}`;
  }
  get localCluster(): ClusterId {
    return this.#options.config.manifests[0]!.cluster;
  }
  /** Where clients reach us. */
  get ports(): { readonly xds: number; readonly xdsPlaintext: number | undefined } {
    return this.#ports;
  }
  /** The issuer of each cluster's tokens. */
  get tokens(): ReadonlyMap<ClusterId, TokenIssuer> {
    return this.#tokens;
  }
  get logs(): MeshLogs["logs"] {
    return this.#mesh.logs;
  }
  /** PEM of what verifies us and every workload. */
  get rootCertificateFile(): string {
    return join(this.#options.config.stateDir, "root-cert.pem");
  }

  /** What must be so before clients are sent here: why it is not, or undefined. */
  readiness(): readonly { readonly name: string; readonly check: () => string | undefined }[] {
    const ended = (): boolean => (this.#signer?.expiresAt ?? 0) <= this.#host.clock.now();
    return [
      { name: "clusters", check: () => (this.#joined ? undefined : "their first load is not complete") },
      { name: "discovery", check: () => (this.#ports.xds === 0 ? "the port is not open" : undefined) },
      { name: "certificates", check: () => (ended() ? "the signing certificate has ended; renew it" : undefined) },
    ];
  }

  /** What is wrong with the manifests and the objects in them, and what could not be sent. */
  problems(): readonly Problem[] {
    const unsent = this.#mesh.refusals().map(({ name, reason }): Problem => {
      return {
        object: name,
        origin: "",
        field: "",
        message: `It keeps its last good state: ${reason}.`,
        severity: "error",
      };
    });
    const objects = [...this.registry.problems.entries()].map(([, problem]) => problem);
    const read = this.#clusters.flatMap(({ problems }) => problems);
    return [...read, ...objects, ...unsent, ...this.#elsewhere()];
  }

  /** Clusters on another network, of which nobody hears anything until gateways join them. */
  #elsewhere(): readonly Problem[] {
    const { manifests, systemNamespace } = this.#options.config;
    const networkOf = (cluster: ClusterId): string => this.registry.networks.get(cluster) ?? "";
    const local = networkOf(this.localCluster);
    return manifests
      .filter(({ cluster }) => networkOf(cluster) !== local)
      .map(({ cluster, folder }) => ({
        object: `cluster ${cluster}`,
        origin: folder,
        field: "topology.istio.io/network",
        message:
          `Its pods are on network "${networkOf(cluster)}", ours on "${local}", so none of them is sent. If they reach ` +
          `each other, label its namespace ${systemNamespace} with topology.istio.io/network: "${local}".`,
        severity: "warning",
      }));
  }

  /** Kinds in the folders that nothing reads. */
  unknownKinds(): readonly { readonly kind: string; readonly count: number }[] {
    const counts = new Map<string, number>();
    for (const { unknownKinds } of this.#clusters)
      for (const { apiVersion, kind, count } of unknownKinds) {
        const name = `${kind} (${apiVersion})`;
        counts.set(name, (counts.get(name) ?? 0) + count);
      }
    return [...counts].map(([kind, count]) => ({ kind, count }));
  }

  /** Stops serving, then following the folders; idempotent. */
  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }

  async #startClusters(): Promise<void> {
    const { manifests, stateDir, clusterDomain } = this.#options.config;
    this.#closing.push(() => this.#virtualIps.close());
    this.#clusters = manifests.map(({ cluster, folder, podCidr, serviceCidr }, at) => {
      const ranges = rangesOf(at);
      const intake = this.registry.intake(cluster);
      return new EmbeddedCluster(this.#host, {
        cluster,
        folder,
        sink: intake,
        knows: (kind, apiVersion) => intake.known(kind, apiVersion),
        store: new FileAssignmentStore(join(stateDir, "clusters", cluster, "addresses.json")),
        clusterDomain,
        ...ranges,
        ...(podCidr !== undefined && { podCidr }),
        ...(serviceCidr !== undefined && { serviceCidr }),
      });
    });
    for (const embedded of this.#clusters) {
      this.#closing.push(() => embedded.close());
      await embedded.start();
      embedded.observe(() => this.#problemLog.note(this.problems()));
    }
    // Only now: nothing of a cluster shows before all of it is there.
    this.graph.onDirty = () => void this.#host.clock.after(0, () => this.graph.flush());
    this.graph.flush();
    this.#joined = true;
    this.#problemLog.note(this.problems());
  }

  async #authority(): Promise<Authority> {
    const { cacertsDir, stateDir, trustDomain } = this.#options.config;
    if (cacertsDir === undefined) return selfMadeRoot(this.#host, join(stateDir, "ca"), trustDomain);
    const authority = await loadCacerts(cacertsDir, trustDomain, this.#host.clock.now());
    if (authority !== undefined) return authority;
    throw new MeshError("absent", `${cacertsDir} holds no ca-cert.pem and no tls.crt; put the authority there`);
  }

  async #startServing(authority: Authority): Promise<void> {
    await this.#keepRoots(authority);
    const authenticator = await this.#authenticators();
    const { trustDomain, trustedNodeAccounts, listenAddress: address, ports } = this.#options.config;
    const signer = new LocalSigner(this.#host, authority, trustDomain);
    this.#signer = signer;
    const pods = new LivePods(this.registry);
    const rules = { trustDomain, trustedNodeAccounts, pods };
    const admission = { authenticator, whyNot: (caller: Caller) => this.#whyNot(caller) };
    const methods = [
      ...this.discovery.methods(admission),
      certificateService(this.#host, { authenticator, rules, signer }),
    ];
    // What we show, and what we verify clients by, is of the same authority.
    const shown = (material: ServingCertificateMaterial): ServingCertificate => {
      const { roots } = signer.bundles.get(trustDomain)!;
      return { ...material, clientRoots: pemOf(roots) };
    };
    const certificates = this.#certificates(authority);
    const certificate = shown(certificates.start((renewed) => server.setCertificate(shown(renewed))));
    const server = new GrpcServer(this.#host, { name: "xds", methods, certificate });
    this.#closing.push(() => server.close(DRAIN_MS));
    this.#ports = { ...this.#ports, xds: (await server.listen({ address, port: ports.xds })).port };
    if (ports.xdsPlaintext !== undefined) await this.#startPlaintext(address, ports.xdsPlaintext);
    this.#closing.push(() => this.discovery.close());
    this.#followCacerts(authority, async (changed) => {
      await this.#keepRoots(changed);
      signer.rotate(changed);
      certificates.rotate(changed);
    });
  }

  /** A root of our own never changes by itself. */
  #followCacerts(authority: Authority, onChange: (authority: Authority) => Promise<void>): void {
    const { cacertsDir: folder, trustDomain } = this.#options.config;
    if (folder === undefined) return;
    const follower = new CacertsFollower(this.#host, { folder, trustDomain, authority, onChange });
    follower.start();
    this.#closing.push(() => follower.close());
  }

  #keepRoots({ roots }: Authority): Promise<void> {
    return writeWhole(this.rootCertificateFile, pemOf(roots));
  }

  async #startPlaintext(address: string, port: number): Promise<void> {
    const methods = this.discovery.methods(undefined);
    const server = new GrpcServer(this.#host, { name: "xds-plaintext", methods, certificate: undefined });
    this.#closing.push(() => server.close(DRAIN_MS));
    this.#ports = { ...this.#ports, xdsPlaintext: (await server.listen({ address, port })).port };
    this.#host.log.scope("ads").warn("anyone who reaches the plaintext port reads the whole mesh", { address, port });
  }

  #certificates(authority: Authority): ServingCertificates {
    const { systemNamespace, revision, clusterDomain, listenAddress, servingNames: more } = this.#options.config;
    const own = listenAddress === "0.0.0.0" || listenAddress === "::" ? [] : [listenAddress];
    const names = [...servingNames(systemNamespace, revision, clusterDomain), ...own, ...more];
    const certificates = new ServingCertificates(this.#host, authority, [...new Set(names)]);
    this.#closing.push(() => certificates.close());
    return certificates;
  }

  async #authenticators(): Promise<Authenticators> {
    const { manifests, stateDir, trustDomain } = this.#options.config;
    const pods = new LivePods(this.registry);
    const issuers = new Map<ClusterId, TokenIssuer>();
    for (const { cluster } of manifests)
      issuers.set(cluster, await TokenIssuer.open(this.#host, cluster, tokenKeyFile(stateDir, cluster)));
    this.#tokens = issuers;
    const tokens = new Map(
      [...issuers].map(([cluster, { publicKey }]) => {
        return [cluster, new TokenVerifier(this.#host, { cluster, trustDomain, publicKey, pods })] as const;
      }),
    );
    return new Authenticators({ clock: this.#host.clock, tokens, localCluster: this.localCluster, trustDomain });
  }

  /** The mesh is for those who carry its traffic (contract operations.md 4.3). */
  #whyNot({ identity }: Caller): string | undefined {
    const { openToAll, config } = this.#options;
    const { trustedNodeAccounts } = config;
    const account = `${identity.namespace}/${identity.serviceAccount}`;
    if (openToAll || trustedNodeAccounts.has(account)) return undefined;
    return `only ${[...trustedNodeAccounts].join(", ")} may; name it in --trusted-node-accounts if it is a ztunnel's`;
  }

  #observe(): void {
    const services = this.#host.metrics.gauge("pilot_services", "Services in the mesh.");
    const settled = this.#host.metrics.counter("pilot_inbound_updates", "Settled changes of the registry.", ["type"]);
    this.graph.onSettled(() => {
      services.set(this.registry.services.size);
      settled.add(1, { type: "registry" });
      if (this.registry.problems.batch.length > 0) this.#problemLog.note(this.problems());
    });
  }
}

/** Before anything else finds out, each in words of its own. @throws MeshError `unavailable`, naming the folder. */
async function openStateDir(stateDir: string): Promise<void> {
  try {
    await mkdir(stateDir, { recursive: true });
    await access(stateDir, constants.W_OK);
  } catch (thrown) {
    const what = `the state folder ${stateDir} cannot be written (${messageOf(thrown)})`;
    throw new MeshError("unavailable", `${what}; choose another with --state`, {}, { cause: thrown });
  }
}

/** Where the key of a cluster's token issuer is kept. */
export const tokenKeyFile = (stateDir: string, cluster: ClusterId): string =>
  join(stateDir, "clusters", cluster, "token-key.pem");

const pemOf = (certificates: readonly Uint8Array[]): string =>
  certificates.map((bytes) => toPem("CERTIFICATE", bytes)).join("");
