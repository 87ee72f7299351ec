import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RunningPlane, startPlane } from "../../src/commands/running-plane.ts";
import { type Config, loadConfig } from "../../src/config.ts";
import { Relay } from "../../src/demo/relay.ts";
import type { XdsTarget } from "../../src/xds/dial.ts";
import { type BenchRoot, SYSTEM_NAMESPACE } from "./authority.ts";
import { clusterManifest, type GatewayPlace, linkManifest, sharedService } from "./manifests.ts";
import { serviceNameOf } from "./records.ts";

const ADDRESS = "127.0.0.1";
const DEFAULTS = { listenAddress: ADDRESS, stateDir: "." };
const ANY_PORT = { xdsPort: "0", adminPort: "0", healthPort: "0" };

/** Real control planes that all read each other through relays, in this process. */
export class SmallMesh {
  readonly clusters: readonly SmallCluster[];
  readonly #services: number;

  constructor(root: BenchRoot, folder: string, clusters: number, services: number) {
    const names = Array.from({ length: clusters }, (_, at) => `cluster-${at}`);
    this.clusters = names.map((name) => new SmallCluster(root, join(folder, name), name));
    this.#services = services;
  }

  /** Aggregates that each client must hold. */
  get aggregates(): number {
    return (this.clusters.length - 1) * this.#services;
  }

  /** Links that there are to be. */
  get links(): number {
    return this.clusters.length * (this.clusters.length - 1);
  }

  /** Writes all manifests; nothing runs yet. */
  async prepare(): Promise<void> {
    const places = await Promise.all(this.clusters.map((cluster) => cluster.open()));
    for (const [at, cluster] of this.clusters.entries()) await cluster.prepare(places, at, this.#services);
  }

  /** True once every control plane that runs has all of what all others share. */
  get live(): boolean {
    return this.clusters.every(({ livePeers }) => livePeers === this.clusters.length - 1);
  }

  async close(): Promise<void> {
    for (const cluster of this.clusters) await cluster.close();
  }
}

export class SmallCluster {
  readonly name: string;
  readonly relay = new Relay(ADDRESS, () => this.#running?.plane.ports.xds);
  readonly #root: BenchRoot;
  readonly #folder: string;
  readonly #config: Config;
  #running: RunningPlane | undefined;

  constructor(root: BenchRoot, folder: string, name: string) {
    this.name = name;
    this.#root = root;
    this.#folder = folder;
    const [state, cacerts] = [join(folder, "state"), join(folder, "cacerts")];
    const own = {
      cluster: name,
      state,
      cacerts,
      manifests: [`${name}=${this.manifests}`],
      log_output_level: "default:none",
    };
    this.#config = loadConfig({ ...own, ...ANY_PORT }, {}, DEFAULTS);
  }

  get manifests(): string {
    return join(this.#folder, "manifests");
  }

  async open(): Promise<GatewayPlace> {
    const [xdsPort, hbonePort] = [await this.relay.listen(0), await this.relay.openDoor(0)];
    return { cluster: this.name, address: ADDRESS, xdsPort, hbonePort };
  }

  async prepare(places: readonly GatewayPlace[], own: number, services: number): Promise<void> {
    mkdirSync(this.manifests, { recursive: true });
    await this.#root.writeAuthority(join(this.#folder, "cacerts"), this.name);
    for (const [at, place] of places.entries())
      this.write(`${place.cluster}.yaml`, at === own ? clusterManifest(place) : linkManifest(place));
    for (let at = 0; at < services; at += 1) this.scale(at, 2);
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.manifests, file), text);
  }

  /** Gives a shared service so many pods. */
  scale(at: number, replicas: number): void {
    const name = serviceNameOf(this.name, at);
    this.write(`${name}.yaml`, sharedService(name, replicas));
  }

  async start(): Promise<void> {
    this.#running = await startPlane({ config: this.#config, openToAll: true });
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.close();
  }

  async close(): Promise<void> {
    await this.stop();
    await this.relay.close();
  }

  /** Where its ztunnel finds it, once it serves. */
  async target(): Promise<XdsTarget> {
    const { plane } = this.#running!;
    const issuer = plane.tokens.get(plane.localCluster)!;
    const token = await issuer.issue({ namespace: SYSTEM_NAMESPACE, serviceAccount: "ztunnel", pod: undefined });
    return { address: `${ADDRESS}:${plane.ports.xds}`, roots: this.#root.pem, token, clusterId: this.name };
  }

  /** Peers that have said all they share. */
  get livePeers(): number {
    const statuses = this.#running?.plane.registry.peers.statuses.entries() ?? [];
    return [...statuses].filter(([, { state }]) => state === "live").length;
  }
}
