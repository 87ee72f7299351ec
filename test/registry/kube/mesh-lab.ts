import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Authenticator } from "../../../src/caller.ts";
import { loadConfig } from "../../../src/config.ts";
import type { ClusterConnection } from "../../../src/kube/connection.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import { RelistGate } from "../../../src/kube/relist-gate.ts";
import { clusterId, type ClusterId } from "../../../src/names.ts";
import type { KubernetesAccess } from "../../../src/plane/kubernetes-access.ts";
import { RemoteFeeds } from "../../../src/plane/remote-feeds.ts";
import { Graph } from "../../../src/registry/collection/graph.ts";
import { Registry } from "../../../src/registry/registry.ts";
import { FakeApiServer } from "../../kits/fake-api-server.ts";
import { TestHost } from "../../kits/test-host.ts";
import { pod, service } from "../mesh.ts";
import { secret } from "./remote-lab.ts";

/** API servers in memory, and a registry that reads them as its remote secrets say: all that is real but the network. */
export class MeshLab {
  readonly host = new TestHost();
  readonly home = new FakeApiServer(this.host.clock, { server: "https://home:6443" });
  readonly servers = new Map<string, FakeApiServer>();
  readonly stateDir = mkdtempSync(join(tmpdir(), "causeway-mesh-"));
  /** Workloads that were taken away, each time that it happened, as `west/cart`. */
  removed: string[] = [];
  /** With whose credentials remote API servers were connected. */
  readonly users: string[] = [];
  /** When others need not wait any more, in milliseconds after the start. */
  settledMs: number | undefined;
  /** Changes of workloads, by flush. */
  flushes: string[][] = [];
  graph!: Graph;
  registry!: Registry;
  feeds!: RemoteFeeds;

  #ended = new AbortController();

  constructor(...remotes: readonly string[]) {
    for (const [at, name] of remotes.entries())
      this.servers.set(name, new FakeApiServer(this.host.clock, { server: `https://${name}:6443`, seed: at + 2 }));
  }

  /** Begins to read, as a process that starts; after `stop` as the next one. */
  start(): this {
    const { clock } = this.host;
    this.graph = new Graph();
    const mesh = { trustDomain: "cluster.local", rootNamespace: "istio-system", clusterDomain: "cluster.local" };
    this.registry = new Registry(this.graph, { mesh, localCluster: clusterId("home") });
    this.registry.workloads.observe((batch) => {
      const gone = batch.filter(({ after }) => after === undefined).map(({ key }) => shortOf(key));
      this.removed.push(...gone);
      this.flushes.push(batch.map(({ key, after }) => `${after === undefined ? "-" : "+"}${shortOf(key)}`));
    });
    this.graph.onDirty = () => void clock.after(0, () => this.graph.flush());
    this.graph.flush();
    this.feeds = new RemoteFeeds(this.#context(), this.#access(), new Map<ClusterId, Authenticator>());
    this.feeds.start();
    const startedMs = clock.elapsedMs();
    this.settledMs = undefined;
    void this.feeds.settled(this.#ended.signal).then(() => (this.settledMs = clock.elapsedMs() - startedMs));
    return this;
  }

  /** Lets virtual time pass, in which files are written and read at once. */
  async pass(ms: number): Promise<void> {
    const { clock } = this.host;
    for (const end = clock.elapsedMs() + ms; clock.elapsedMs() < end;) {
      await filesSettled();
      await clock.pass(Math.min(250, end - clock.elapsedMs()));
    }
    await filesSettled();
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    this.#ended = new AbortController();
    let stopped = false;
    const stopping = this.feeds.close().then(() => (stopped = true));
    while (!stopped) await this.pass(50);
    await stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.stateDir, { recursive: true, force: true });
  }

  server(name: string): FakeApiServer {
    return this.servers.get(name)!;
  }

  /** A pod that is ready, behind a service, in each of these clusters. */
  fill(...clusters: readonly string[]): this {
    for (const [at, cluster] of clusters.entries()) {
      const server = this.server(cluster);
      server.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop", labels: AMBIENT } });
      server.put({ apiVersion: "v1", kind: "Node", metadata: { name: "n1" } });
      server.put(service("cart", `10.96.${at}.1`));
      server.put(pod("cart", `10.${at}.0.1`, { app: "cart" }));
    }
    return this;
  }

  /** Writes a remote secret in which each cluster is reached with a token. */
  name(secretName: string, tokens: Readonly<Record<string, string>>): void {
    const kubeconfigs = Object.entries(tokens).map(([cluster, token]) => [cluster, kubeconfig(cluster, token)]);
    this.home.put(secret(secretName, Object.fromEntries(kubeconfigs) as Record<string, string>));
  }

  /** The names of the workloads that there are, as `west/cart`. */
  workloads(): readonly string[] {
    return Array.from(this.registry.workloads.entries(), ([key]) => shortOf(key)).sort();
  }

  states(): Record<string, string> {
    return Object.fromEntries(this.feeds.clusters().map(({ cluster, state }) => [cluster, state]));
  }

  #context(): ConstructorParameters<typeof RemoteFeeds>[0] {
    const { host, graph, registry } = this;
    const loaded = loadConfig({ cluster: "home" }, {}, { listenAddress: "127.0.0.1", stateDir: this.stateDir });
    return { host, config: loaded, graph, registry, noteProblems: () => {}, noteMesh: () => {} };
  }

  #access(): KubernetesAccess {
    return {
      api: this.home.connect(),
      connect: (connection) => {
        this.users.push(tokenOf(connection));
        return this.server(/\/\/(\w+):/.exec(connection.server)![1]!).connect(tokenOf(connection));
      },
      gate: new RelistGate(),
      onMeshConfig: () => {},
      onProblems: () => {},
    } as Partial<KubernetesAccess> as KubernetesAccess;
  }
}

async function filesSettled(): Promise<void> {
  for (let idle = 0; idle < 5; idle++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (process.getActiveResourcesInfo().some((resource) => resource.startsWith("FSReq"))) idle = 0;
  }
}

const AMBIENT = { "istio.io/dataplane-mode": "ambient" };

const shortOf = (key: string): string => key.replace(/^(\w+)\/.*\/([\w-]+)$/, "$1/$2");

function tokenOf({ user }: ClusterConnection): string {
  return user.login?.kind === "token" && "text" in user.login.token ? user.login.token.text : "nobody";
}

export function kubeconfig(cluster: string, token: string): string {
  return `apiVersion: v1
kind: Config
clusters: [{ name: c, cluster: { server: "https://${cluster}:6443" } }]
users: [{ name: u, user: { token: "${token}" } }]
contexts: [{ name: c, context: { cluster: c, user: u } }]
current-context: c
`;
}

/** What the registry would hold of one cluster if it had just been read for the first time. */
export function fromScratch(objects: Iterable<KubeObject>, cluster: string): readonly string[] {
  const graph = new Graph();
  const mesh = { trustDomain: "cluster.local", rootNamespace: "istio-system", clusterDomain: "cluster.local" };
  const registry = new Registry(graph, { mesh, localCluster: clusterId("home") });
  const intake = registry.intake(clusterId(cluster));
  for (const object of objects) intake.set(object, "");
  graph.flush();
  return Array.from(registry.workloads.entries(), ([key]) => shortOf(key)).sort();
}
