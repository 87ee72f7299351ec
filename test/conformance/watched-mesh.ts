import { mkdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { demoClient } from "../../src/commands/demo-client.ts";
import { once } from "../../src/commands/once.ts";
import { type RunningPlane, startPlane } from "../../src/commands/running-plane.ts";
import { nodeOf } from "../../src/commands/watch.ts";
import { type Config, loadConfig } from "../../src/config.ts";
import type { TraceConfig } from "../../src/trace-config.ts";
import { DeltaClient } from "../../src/xds/delta-client.ts";
import { dialXds } from "../../src/xds/dial.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../../src/xds/resource.ts";
import { writeCacerts } from "../kits/cacerts.ts";
import { TestAuthority } from "../kits/tls.ts";

/** Two control planes that are each other's peer, each with a client that stays. */
export class WatchedMesh {
  readonly #folder: string;
  readonly #root: TestAuthority;
  readonly planes = new Map<string, RunningPlane & { readonly config: Config }>();
  readonly #ports = new Map<string, { readonly xdsPort: string; readonly adminPort: string }>();
  readonly #leaving = new AbortController();

  private constructor(
    folder: string,
    root: TestAuthority,
    readonly traces: TraceConfig | undefined,
  ) {
    this.#folder = folder;
    this.#root = root;
  }

  static async start(folder: string, traces?: TraceConfig): Promise<WatchedMesh> {
    const mesh = new WatchedMesh(folder, await TestAuthority.create("CN=root"), traces);
    for (const name of ["east", "west"]) await mesh.#addPlane(name);
    mesh.#link("east", "west");
    mesh.#link("west", "east");
    for (const plane of mesh.planes.values()) await mesh.#follow(plane);
    return mesh;
  }

  /** Where metrics are. */
  get targets(): readonly string[] {
    return Array.from(this.planes.values(), ({ admin }) => `127.0.0.1:${admin.adminPort}`);
  }

  /** What of `name` all clusters share, from now on. */
  share(name: string, replicas: number): void {
    this.#write(name, "payments.yaml", PAYMENTS.replace("REPLICAS", `${replicas}`));
  }

  async stop(name: string): Promise<void> {
    await this.planes.get(name)?.close();
    this.planes.delete(name);
  }

  /** Again, on the ports that it had: there its peer and Prometheus look for it. */
  async regain(name: string): Promise<void> {
    await this.#follow(await this.#startPlane(name));
  }

  async close(): Promise<void> {
    this.#leaving.abort();
    for (const name of [...this.planes.keys()]) await this.stop(name);
  }

  async #addPlane(name: string): Promise<void> {
    this.#write(name, "system.yaml", SYSTEM.replace("NETWORK", `${name}-net`));
    this.share(name, 1);
    writeCacerts(
      join(this.#folder, name, "cacerts"),
      await TestAuthority.create({ name: `CN=${name}`, pathLength: 0 }, this.#root),
      this.#root,
    );
    const { plane, admin } = await this.#startPlane(name);
    this.#ports.set(name, { xdsPort: `${plane.ports.xds}`, adminPort: `${admin.adminPort}` });
  }

  async #startPlane(name: string): Promise<RunningPlane & { readonly config: Config }> {
    const at = (part: string): string => join(this.#folder, name, part);
    const ports = { xdsPort: "0", adminPort: "0", healthPort: "0", ...this.#ports.get(name) };
    const flags = { cluster: name, manifests: [at("manifests")], cacerts: at("cacerts"), state: at("state") };
    const options = { ...flags, ...ports, log_output_level: "none" };
    const config = loadConfig(options, {}, { listenAddress: "127.0.0.1", stateDir: "" });
    const running = { ...(await startPlane({ config, openToAll: true, traces: this.traces })), config };
    this.planes.set(name, running);
    return running;
  }

  #link(name: string, peer: string): void {
    const port = `${this.planes.get(peer)!.plane.ports.xds}`;
    this.#write(name, "peer.yaml", PEER.replaceAll("PEER", peer).replace("PORT", port));
  }

  /** As a ztunnel does: a certificate, and then all that comes. */
  async #follow(running: RunningPlane & { readonly config: Config }): Promise<void> {
    const client = await demoClient(running);
    const { signal } = this.#leaving;
    await once(running, client, signal);
    const { address, token } = client;
    const roots = await readFile(running.plane.rootCertificateFile, "utf8");
    const following = new DeltaClient(nodeOf(token), [ADDRESS_TYPE, AUTHORIZATION_TYPE]);
    const target = { address, token, roots, clusterId: running.plane.localCluster };
    // It ends with its control plane.
    void dialXds({ target, client: following, onUpdate: () => {}, signal }).catch(() => {});
  }

  #write(name: string, file: string, text: string): void {
    const folder = join(this.#folder, name, "manifests");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, file), text);
  }
}

const SYSTEM =
  "{apiVersion: v1, kind: Namespace, metadata: {name: istio-system, labels: {topology.istio.io/network: NETWORK}}}";

const PAYMENTS = `
apiVersion: v1
kind: Namespace
metadata: { name: bank, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Service
metadata: { name: payments, namespace: bank, labels: { solo.io/service-scope: global } }
spec: { selector: { app: payments }, ports: [{ port: 80 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: payments, namespace: bank }
spec:
  replicas: REPLICAS
  selector: { matchLabels: { app: payments } }
  template: { metadata: { labels: { app: payments } }, spec: { containers: [{ name: payments }] } }
`;

const PEER = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: istio-remote-peer-PEER
  namespace: istio-eastwest
  labels: { topology.istio.io/network: PEER-net, topology.istio.io/cluster: PEER }
spec:
  gatewayClassName: istio-remote
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners: [{ name: xds, port: PORT, protocol: TLS, tls: { mode: Passthrough } }]
`;
