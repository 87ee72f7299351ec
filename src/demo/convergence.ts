import { MeshError } from "../errors.ts";
import { differences, sharedBy } from "./expected.ts";
import type { DemoCluster } from "./clusters.ts";
import type { DemoMesh } from "./mesh.ts";
import { MeshReader } from "./reader.ts";
import type { GlobalService, MeshCounts } from "./view.ts";
import { DEFAULT_GLOBAL_DOMAIN } from "../registry/model/peer.ts";

/** A link as the demo shows it. */
export interface PeerState {
  readonly cluster: string;
  readonly state: string;
}

/** Watches what clients of each cluster hold, and how the links are. */
export class Convergence implements AsyncDisposable {
  readonly #mesh: DemoMesh;
  readonly #readers = new Map<DemoCluster, MeshReader>();
  readonly #watches: Disposable[] = [];
  #onChanged: () => void = () => {};

  constructor(mesh: DemoMesh) {
    this.#mesh = mesh;
  }

  /** Opens a client for each control plane that runs and has none. */
  async follow(): Promise<void> {
    for (const { cluster, config } of this.#mesh.configs) {
      const running = this.#mesh.planes.get(cluster);
      if (running === undefined || this.#readers.has(cluster)) continue;
      this.#watches.push(running.plane.graph.onSettled(() => this.#onChanged()));
      this.#readers.set(cluster, await MeshReader.open(running, config, () => this.#onChanged()));
    }
  }

  /** Before its control plane is stopped. */
  async leave(cluster: DemoCluster): Promise<void> {
    const reader = this.#readers.get(cluster);
    this.#readers.delete(cluster);
    await reader?.[Symbol.asyncDispose]();
  }

  counts(cluster: DemoCluster): MeshCounts {
    return this.#readers.get(cluster)!.view.counts();
  }

  globalServices(cluster: DemoCluster): readonly GlobalService[] {
    return this.#readers.get(cluster)?.view.globalServices(DEFAULT_GLOBAL_DOMAIN) ?? [];
  }

  /** The links of a cluster, by peer. */
  peers(cluster: DemoCluster): readonly PeerState[] {
    const statuses = this.#mesh.planes.get(cluster)?.plane.registry.peers.statuses;
    const others = this.#mesh.configs.map((other) => other.cluster).filter((other) => other !== cluster);
    return others.map((peer) => {
      const found = [...(statuses?.entries() ?? [])].find(([key]) => key === peer);
      return { cluster: peer, state: found?.[1].state ?? "connecting" };
    });
  }

  /** What is not yet as the objects of all clusters imply, in sentences; none once it is. */
  shortcomings(): readonly string[] {
    const shared = new Map(
      Array.from(this.#mesh.planes, ([cluster, { plane }]) => [cluster, sharedBy(plane.registry)] as const),
    );
    return [...this.#readers].flatMap(([cluster, { view }]) => {
      if (!view.complete) return [`${cluster}: its client has not heard of everything yet`];
      const links = this.peers(cluster).filter(({ state }) => state !== "live");
      return [
        ...links.map((peer) => `${cluster}: its link to ${peer.cluster} is ${peer.state}`),
        ...differences(this.globalServices(cluster), shared).map((what) => `${cluster}: ${what}`),
      ];
    });
  }

  /** Resolves once `holds`. @throws MeshError `timeout` if `signal` aborts before, with what was wrong by `why`. */
  async until(holds: () => boolean, why: () => string, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const end = (): void => reject(new MeshError("timeout", `the mesh did not come together in time: ${why()}`));
      const check = (): void => {
        const failed = [...this.#readers].find(([, { failure }]) => failure !== undefined);
        if (failed !== undefined) reject(failed[1].failure!);
        else if (holds()) resolve();
        else return;
        signal.removeEventListener("abort", end);
        this.#onChanged = () => {};
      };
      if (signal.aborted) return end();
      signal.addEventListener("abort", end, { once: true });
      this.#onChanged = check;
      check();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const watch of this.#watches) watch[Symbol.dispose]();
    for (const cluster of [...this.#readers.keys()]) await this.leave(cluster);
  }
}
