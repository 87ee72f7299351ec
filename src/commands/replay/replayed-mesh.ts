import { join } from "node:path";
import { issueAuthorities } from "../../demo/authorities.ts";
import type { ClusterId } from "../../names.ts";
import { systemClock, systemRandom } from "../../system-host.ts";
import { ambientz } from "../debug-pages.ts";
import { leaveConnection } from "../demo-client.ts";
import { type PlaneSource, type RunningPlane, startPlane } from "../running-plane.ts";
import { jsonSlices } from "../../json-slices.ts";
import { type Comparison, compared } from "./comparison.ts";
import type { ReplayedCluster } from "./replayed-clusters.ts";

/** How long links between the clusters of an archive have until what they bring is looked at. */
const SETTLE_MS = 20_000;
const LOOK_MS = 100;
/** Nothing has changed for so long: what was to come has come. */
const QUIET_MS = 1_500;

/** The control planes of an archive, on this machine, each with the objects of its cluster, and peered with each other. */
export class ReplayedMesh {
  readonly #clusters: readonly ReplayedCluster[];
  readonly #running = new Map<ClusterId, RunningPlane>();

  constructor(clusters: readonly ReplayedCluster[]) {
    this.#clusters = clusters;
  }

  get planes(): ReadonlyMap<ClusterId, RunningPlane> {
    return this.#running;
  }

  /** Resolves once all serve what their objects say. @throws MeshError; nothing is left running then. */
  async start(stateDir: string, pid: number, signal: AbortSignal): Promise<void> {
    await issueAuthorities({ clock: systemClock, random: systemRandom }, join(stateDir, "root"), this.#clusters);
    const portOf = (cluster: ClusterId): number => this.#running.get(cluster)?.plane.ports.xds ?? 0;
    try {
      for (const { cluster, config } of this.#clusters) {
        const source: PlaneSource = {
          waitingFor: () => "its folders are not read yet",
          plane: () => Promise.resolve({ config, replayedPeers: portOf }),
          close: () => Promise.resolve(),
        };
        const running = await startPlane({ config, openToAll: true }, signal, source);
        this.#running.set(cluster, running);
        await leaveConnection(running, config, undefined, pid);
      }
      for (const { plane } of this.#running.values())
        for (const { cluster } of this.#clusters) plane.peerEntered(cluster);
    } catch (thrown) {
      await this.close();
      throw thrown;
    }
  }

  /** Resolves once links between these clusters are up and nothing has changed for a while, or after 20 s. */
  async settle(signal: AbortSignal): Promise<void> {
    let changedAt = systemClock.elapsedMs();
    const watched = [...this.#running.values()].map(({ plane }) =>
      plane.graph.onSettled(() => (changedAt = systemClock.elapsedMs())),
    );
    const until = systemClock.elapsedMs() + SETTLE_MS;
    while (systemClock.elapsedMs() < until && !signal.aborted) {
      if (this.#linked() && systemClock.elapsedMs() - changedAt > QUIET_MS) break;
      await new Promise<void>((resolve) => systemClock.after(LOOK_MS, resolve));
    }
    for (const each of watched) each[Symbol.dispose]();
  }

  /** What each cluster derives here, held to what its control plane served; undefined if that is not in the archive. */
  comparisonOf({ cluster, ambientz: there }: ReplayedCluster): Comparison | undefined {
    const running = this.#running.get(cluster);
    if (there === undefined || running === undefined) return undefined;
    const here: unknown = JSON.parse([...jsonSlices(ambientz(running.plane.registry))].join(""));
    return compared(there, here);
  }

  /** Peers of a cluster that the archive does not have. */
  strangersOf(cluster: ClusterId): readonly ClusterId[] {
    const peers = this.#running.get(cluster)?.plane.peers() ?? [];
    return peers.map(({ target }) => target.cluster).filter((peer) => !this.#running.has(peer));
  }

  async close(): Promise<void> {
    for (const running of this.#running.values()) await running.close();
    this.#running.clear();
  }

  #linked(): boolean {
    return [...this.#running.values()].every(({ plane }) =>
      plane.peers().every(({ target, state }) => !this.#running.has(target.cluster) || state === "live"),
    );
  }
}
