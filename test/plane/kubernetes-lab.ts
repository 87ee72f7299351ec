import { mkdtempSync, rmSync } from "node:fs";
import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import type { Environment } from "../../src/command.ts";
import { type Config, loadConfig } from "../../src/config.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import * as resourceTypes from "../../src/kube/resource-types.ts";
import { clusterId } from "../../src/names.ts";
import type { ClusterContext, Clusters } from "../../src/plane/clusters.ts";
import type { MeshIdentities } from "../../src/plane/mesh-trust.ts";
import { KubernetesSource } from "../../src/plane/kubernetes-source.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Registry } from "../../src/registry/registry.ts";
import { forgetfulStore } from "../../src/registry/virtual-ips.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { object } from "../registry/mesh.ts";

const LOCAL = "east";
/** What the disk has for a request or two, by the virtual clock. */
const DISK_MS = 200;
const serverOf = (cluster: string): string => `https://${cluster}.example:6443`;

/** One life of a control plane: what a restart begins anew. */
export interface Life {
  readonly graph: Graph;
  readonly registry: Registry;
  readonly clusters: Clusters;
  /** What it heard of identities in the mesh config, the newest last. */
  readonly noted: readonly MeshIdentities[];
  /** Has resolved once it serves. */
  readonly started: Promise<void>;
  serves(): boolean;
  end(): Promise<void>;
}

/** API servers in memory, of `east` and of others that its remote secrets can name, and who reads them. */
export class KubernetesLab {
  readonly host = new TestHost();
  readonly servers: ReadonlyMap<string, FakeApiServer>;
  readonly config: Config;
  readonly #folder = mkdtempSync(join(tmpdir(), "causeway-clusters-"));
  #life: Life | undefined;

  constructor(clusters: readonly string[], { seed = 1, environment = {} as Environment } = {}) {
    this.servers = new Map(
      clusters.map((name, at) => [
        name,
        new FakeApiServer(this.host.clock, { seed: seed * 100 + at, server: serverOf(name) }),
      ]),
    );
    const options = { cluster: LOCAL, state: this.#folder };
    this.config = loadConfig(options, environment, { listenAddress: "127.0.0.1", stateDir: this.#folder });
    for (const server of this.servers.values())
      server.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "istio-system" } });
  }

  server(cluster: string): FakeApiServer {
    return this.servers.get(cluster)!;
  }

  put(cluster: string, ...objects: readonly KubeObject[]): void {
    for (const each of objects) this.server(cluster).put(each);
  }

  /** The kubeconfig of a cluster; what is `spoiled` cannot be used. */
  kubeconfig(cluster: string, token: string, spoiled = false): string {
    const user = spoiled ? { exec: { apiVersion: "client.authentication.k8s.io/v1", command: "touch" } } : { token };
    return stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "c", cluster: { server: serverOf(cluster) } }],
      users: [{ name: "u", user }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    });
  }

  /** A remote secret at `east` that names `cluster`. */
  putSecret(cluster: string, kubeconfig = this.kubeconfig(cluster, "t")): void {
    const labels = { "istio/multiCluster": "true" };
    const metadata = { name: `istio-remote-secret-${cluster}`, namespace: "istio-system", labels };
    const data = { [cluster]: Buffer.from(kubeconfig).toString("base64") };
    this.put(LOCAL, object("v1", "Secret", metadata, { data }));
  }

  removeSecret(cluster: string): void {
    const metadata = { name: `istio-remote-secret-${cluster}`, namespace: "istio-system" };
    this.server(LOCAL).remove({ apiVersion: "v1", kind: "Secret", metadata });
  }

  /** Begins to read; whoever waits for `started` must let time pass. @param add to the graph before its first flush. */
  async begin(add: (context: ClusterContext) => void = () => {}): Promise<Life> {
    const connection = {
      server: serverOf(LOCAL),
      ca: undefined,
      insecureSkipTlsVerify: false,
      tlsServerName: undefined,
    };
    const local = { ...connection, user: {}, refusedAddresses: [] };
    const stop = new AbortController();
    const source = new KubernetesSource(
      this.config,
      { connection: local, source: "test", namespace: undefined },
      (_host, { server }) => this.servers.get(new URL(server).hostname.split(".")[0]!)!.connect(),
    );
    const { openClusters } = await this.#while(source.plane(this.host, stop.signal));
    const graph = new Graph();
    const registry = registryOf(graph, this.config);
    const noted: MeshIdentities[] = [];
    const context: ClusterContext = {
      host: this.host,
      config: this.config,
      graph,
      registry,
      noteProblems: () => {},
      noteMesh: (mesh) => noted.push(mesh),
    };
    const clusters = openClusters!(context);
    add(context);
    let serves = false;
    const started = clusters.start(stop.signal).then(() => {
      graph.onDirty = () => void this.host.clock.after(0, () => graph.flush());
      graph.flush();
      serves = true;
    });
    started.catch(() => {});
    const end = async (): Promise<void> => {
      stop.abort();
      await this.#while(Promise.all([clusters.close(), source.close()]));
    };
    return (this.#life = { graph, registry, clusters, noted, started, serves: () => serves, end });
  }

  /** Reads, and serves once the first changes have settled. */
  async start(add?: (context: ClusterContext) => void): Promise<Life> {
    const life = await this.begin(add);
    await this.#while(life.started);
    return life;
  }

  /** The disk is real, so now and then time waits for it. */
  async pass(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= DISK_MS) {
      await this.host.clock.pass(Math.min(leftMs, DISK_MS));
      await stat(this.#folder);
    }
  }

  async close(): Promise<void> {
    await this.#life?.end();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Files and requests need time to pass. */
  async #while<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    void promise.then(
      () => (over = true),
      () => (over = true),
    );
    while (!over) await this.pass(10);
    return promise;
  }
}

const registryOf = (graph: Graph, config: Config): Registry => {
  const { trustDomain, clusterDomain, systemNamespace: rootNamespace } = config;
  const mesh = { trustDomain, clusterDomain, rootNamespace };
  return new Registry(graph, { ...config, mesh, localCluster: clusterId(LOCAL), virtualIps: forgetfulStore });
};

/** What a registry that is given these objects at once holds: the oracle. */
export function fromScratch(lab: KubernetesLab, clusters: readonly string[]): Registry {
  const graph = new Graph();
  const registry = registryOf(graph, lab.config);
  registry.meshConfig.set("mesh", { serviceScopeConfigs: [] });
  for (const cluster of clusters) {
    const intake = registry.intake(clusterId(cluster));
    for (const type of Object.values(resourceTypes))
      for (const each of lab.server(cluster).list(type))
        if (cluster === LOCAL || REMOTE.has(each.kind)) intake.set(each, "");
  }
  graph.flush();
  return registry;
}

const REMOTE = new Set(["Namespace", "Node", "Service", "EndpointSlice", "Pod", "Gateway", "GatewayClass"]);
