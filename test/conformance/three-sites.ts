import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS, SERVICES } from "../../src/kube/resource-types.ts";
import { type Causeway, PROGRAM } from "./causeway-process.ts";
import type { KubeCluster, KubeLab } from "./kube-lab.ts";
import { MeshWatcher } from "./mesh-watcher.ts";
import { TcpProxy } from "./tcp-proxy.ts";

const run = promisify(execFile);
const SHOP = "shop";
const SYSTEM = "istio-system";
export const GLOBAL = { "istio.io/global": "true" };
const PORT = { name: "http", port: 80, protocol: "TCP", targetPort: 8080 };

/** One cluster of a mesh of several, the wire by which everyone reaches its API server, and its control plane. */
export class Site {
  readonly #lab: KubeLab;
  #plane: Causeway | undefined;

  private constructor(
    lab: KubeLab,
    readonly cluster: KubeCluster,
    readonly wire: TcpProxy,
    /** Tells its addresses from those of the others. */
    readonly at: number,
  ) {
    this.#lab = lab;
  }

  static async open(lab: KubeLab, name: string, at: number): Promise<Site> {
    const cluster = await lab.cluster(name);
    const site = new Site(lab, cluster, lab.with(await TcpProxy.start(cluster.api.port)), at);
    await site.#furnish();
    return site;
  }

  get name(): string {
    return this.cluster.name;
  }
  get plane(): Causeway {
    return this.#plane!;
  }
  /** Where others reach its API server. */
  get server(): string {
    return `https://127.0.0.1:${this.wire.port}`;
  }
  /** The Secret by which others read it. */
  get secret(): string {
    return `istio-remote-secret-${this.name}`;
  }

  /** Starts its control plane, again on the same state if it ran before. */
  async serve(environment: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.#plane?.stop();
    const kubeconfig = await this.cluster.kubeconfigFor("istiod", { server: this.server });
    const folder = join(this.#lab.folder, `plane-${this.name}`);
    this.#plane = await this.#lab.causeway({ kubeconfig, cluster: this.name, folder, environment });
  }

  async watch(): Promise<MeshWatcher> {
    return this.#lab.with(await MeshWatcher.start(this.plane, await this.cluster.ztunnelToken(), this.name));
  }

  /** Lets the control plane of this cluster read another, as its users do. */
  async join(other: Site): Promise<void> {
    const account = ["--service-account", "istio-reader-service-account", "--create-service-account=false"];
    const flags = ["--name", other.name, "--kubeconfig", other.cluster.api.kubeconfig, "--server", other.server];
    const { stdout } = await run("node", [PROGRAM, "create-remote-secret", ...flags, ...account]);
    const path = join(this.#lab.folder, `${this.name}-reads-${other.name}.yaml`);
    writeFileSync(path, stdout);
    await this.cluster.client.kubectl("apply", "-f", path);
  }

  /** What `causeway remote-clusters` says here. */
  async remoteClusters(...flags: readonly string[]): Promise<{ readonly out: string; readonly code: number }> {
    const words = [PROGRAM, "remote-clusters", "--admin", this.plane.connection!.admin, ...flags];
    const ended = await run("node", words).catch((thrown: { stdout: string; code: number }) => thrown);
    return { out: ended.stdout, code: "code" in ended ? ended.code : 0 };
  }

  /** Its API server is killed, and its address refuses connections. */
  async switchOff(): Promise<void> {
    this.wire.cut();
    await this.cluster.api.stop("SIGKILL");
  }

  /** Only administrators reach it; others do once the wire is healed. */
  async switchOn(): Promise<void> {
    await this.cluster.api.startAgain();
  }

  /** A Service whose pods are those that bear its name. */
  async service(app: string, last: number, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.cluster.client.put(SERVICES, {
      metadata: { name: app, namespace: SHOP, labels },
      spec: { clusterIP: `10.96.${this.at}.${last}`, selector: { app }, ports: [PORT] },
    });
  }

  /** A ready pod of a service, under an account of its name. */
  async pod(app: string, name: string, last: number, namespace = SHOP): Promise<void> {
    await this.cluster.client.put(SERVICE_ACCOUNTS, { metadata: { name: app, namespace } });
    const ip = `10.${this.at}.0.${last}`;
    await this.cluster.client.put(PODS, {
      metadata: { name, namespace, labels: { app } },
      spec: { nodeName: `node-${this.name}`, serviceAccountName: app, containers: [{ name: app, image: app }] },
      status: { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions: [{ type: "Ready", status: "True" }] },
    });
  }

  /** `cart` is global in every cluster, `books-<cluster>` in its own only; `ledger` is local. */
  async #furnish(): Promise<void> {
    const { client } = this.cluster;
    await client.put(NODES, { metadata: { name: `node-${this.name}` } });
    await client.put(NAMESPACES, { metadata: { name: SHOP, labels: { "istio.io/dataplane-mode": "ambient" } } });
    await this.pod("ztunnel", `ztunnel-${this.name}`, 250, SYSTEM);
    await this.service("cart", 1, GLOBAL);
    await this.service(`books-${this.name}`, 2, GLOBAL);
    await this.service("ledger", 3);
    await this.pod("cart", "cart-1", 1);
    await this.pod("cart", "cart-2", 2);
    await this.pod(`books-${this.name}`, "books-1", 3);
    await this.pod("ledger", "ledger-1", 4);
  }
}
