import type { Config } from "../config.ts";
import type { ControlPlaneOptions } from "../control-plane.ts";
import { MeshError } from "../errors.ts";
import type { Host } from "../host.ts";
import type { KubeApi } from "../kube/api.ts";
import type { ClusterConnection } from "../kube/connection.ts";
import { HttpKubeApi } from "../kube/http-api.ts";
import type { LocalConnection } from "../kube/local-connection.ts";
import { Reflector } from "../kube/reflector.ts";
import { RelistGate } from "../kube/relist-gate.ts";
import { CONFIG_MAPS } from "../kube/resource-types.ts";
import type { EffectiveMesh } from "../registry/kube/effective-mesh.ts";
import { MeshConfigFollower } from "../registry/kube/mesh-config-follower.ts";
import type { AuthorityContext } from "./authority-source.ts";
import { unlessAborted } from "./unless-aborted.ts";
import type { KubernetesAccess } from "./kubernetes-access.ts";
import { KubernetesAuthority } from "./kubernetes-authority.ts";
import { KubernetesClusters } from "./kubernetes-clusters.ts";
import { RelaySecrets } from "./relay-kubernetes.ts";

/** A control plane of the cluster that a connection leads to, once its mesh config is known. */
export class KubernetesSource {
  readonly #config: Config;
  readonly #connection: LocalConnection;
  #reflectors: readonly Reflector[] = [];
  #api: KubeApi | undefined;
  readonly #connect: (host: Host, connection: ClusterConnection) => KubeApi;

  constructor(
    config: Config,
    connection: LocalConnection,
    connect = (host: Host, connection: ClusterConnection): KubeApi => new HttpKubeApi(host, connection),
  ) {
    this.#config = config;
    this.#connection = connection;
    this.#connect = connect;
  }

  /** Why there is no control plane yet. */
  waitingFor(): string | undefined {
    const trouble = this.#reflectors.map(({ state }) => state.problem).find((problem) => problem !== undefined);
    const { server } = this.#connection.connection;
    return `the mesh config of ${server} is not read yet${trouble === undefined ? "" : `: ${trouble}`}`;
  }

  /** Waits for the mesh config for as long as it takes. @throws MeshError `unavailable` if `signal` ends that. */
  async plane(
    host: Host,
    signal: AbortSignal,
  ): Promise<
    Pick<ControlPlaneOptions, "config" | "rootNamespace" | "openClusters" | "openAuthority" | "openRelaySink">
  > {
    const { cacertsDir, relay } = this.#config;
    if (cacertsDir !== undefined && relay.manager !== undefined)
      throw new MeshError(
        "invalid",
        `the trust manager's authority is the Secret cacerts, and ${cacertsDir} would be used in its place; leave out ` +
          "--cacerts (ROOT_CA_DIR), or --trust-manager (TRUST_MANAGER_ADDRESS)",
      );
    const { connection, source } = this.#connection;
    host.log.scope("kube").info("reading the local cluster", {
      cluster: this.#config.clusterId,
      server: connection.server,
      credentials: source,
    });
    const access = this.#open(host);
    const { settings } = await this.#meshOf(host, access, signal);
    return {
      config: { ...this.#config, trustDomain: settings.trustDomain },
      rootNamespace: settings.rootNamespace,
      openClusters: (context) => new KubernetesClusters(context, access),
      openRelaySink: ({ config }) => new RelaySecrets(config, access.api),
      // A folder that somebody names wins, as istiod's.
      ...(this.#config.cacertsDir === undefined && {
        openAuthority: (context: AuthorityContext) => new KubernetesAuthority(context, access),
      }),
    };
  }

  async close(): Promise<void> {
    await this.#unfollow();
    await this.#api?.close();
  }

  async #unfollow(): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.close()));
  }

  #open(host: Host): KubernetesAccess {
    const { meshConfigMaps: maps } = this.#config;
    const connect = (connection: ClusterConnection): KubeApi => this.#connect(host, connection);
    const api = (this.#api = connect(this.#connection.connection));
    const meshConfig = new MeshConfigFollower(host.log.scope("kube"), {
      maps,
      defaults: this.#config,
      onChange: (mesh) => access.onMeshConfig(mesh),
      onProblems: () => access.onProblems(),
    });
    const access: KubernetesAccess = {
      api,
      connect,
      gate: new RelistGate(),
      meshConfig,
      unfollow: () => this.#unfollow(),
      onMeshConfig: () => {},
      onProblems: () => {},
      leads: () => false,
    };
    return access;
  }

  /** Each of its ConfigMaps is watched by name: of the others none is our business. */
  async #meshOf(host: Host, { api, gate, meshConfig }: KubernetesAccess, signal: AbortSignal): Promise<EffectiveMesh> {
    const { clusterId: cluster, systemNamespace: namespace, meshConfigMaps } = this.#config;
    const names = new Set([meshConfigMaps.own, meshConfigMaps.shared].filter((name) => name !== undefined));
    let unlisted = names.size;
    const known = new Promise<EffectiveMesh>((resolve) => {
      const look = (): void => void (meshConfig.mesh !== undefined && resolve(meshConfig.mesh));
      const onSynced = (): void => {
        unlisted -= 1;
        if (unlisted === 0) meshConfig.synced();
        look();
      };
      const sink = {
        set: (object: Parameters<MeshConfigFollower["set"]>[0]) => (meshConfig.set(object), look()),
        delete: (reference: Parameters<MeshConfigFollower["delete"]>[0]) => (meshConfig.delete(reference), look()),
      };
      this.#reflectors = [...names].map((name) => {
        const fieldSelector = `metadata.name=${name}`;
        return new Reflector(host, api, gate, { cluster, type: CONFIG_MAPS, namespace, fieldSelector, sink, onSynced });
      });
    });
    for (const reflector of this.#reflectors) reflector.start();
    return unlessAborted(known, signal, "the mesh config was not read");
  }
}
