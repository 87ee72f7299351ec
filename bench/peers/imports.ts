import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cost, type Report } from "../bench.ts";
import { BenchRoot } from "./authority.ts";
import { PeerFarm } from "./farm.ts";
import { clusterManifest, linkManifest } from "./manifests.ts";
import { pause, percentile } from "./measures.ts";
import { PlaneProcess } from "./plane-process.ts";
import { BareReaders } from "./readers.ts";
import { BenchZtunnel } from "./ztunnel.ts";
import { serviceNameOf } from "./records.ts";

const PEERS = 500;
const SERVICES = 200;
/** Each peer changes one service this often. */
const CHANGE_MS = 10_000;
const CHANGES_FOR_MS = 20_000;
const IDLE_MS = 5_000;
const MIB = 1024 * 1024;

/** One control plane that reads 500 peers with 200 services each (contract peering.md 2.16). */
export async function importsOf500(report: Report): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "causeway-bench-peers-"));
  const root = await BenchRoot.make(join(folder, "root"));
  const shown = { ...(await root.controlPlane("farm")), root: root.pem };
  const farm = new PeerFarm(shown, PEERS, SERVICES);
  await farm.listen();
  const limit = await bare(farm, shown);
  const own = { cluster: "hub", address: "127.0.0.1", xdsPort: 15012, hbonePort: 15008 };
  const texts = [["hub.yaml", clusterManifest(own)] as const];
  const links = farm.places.map((place) => [`${place.cluster}.yaml`, linkManifest(place)] as const);
  const plane = await PlaneProcess.prepare(root, folder, "hub", new Map([...texts, ...links]));
  try {
    await new ImportBench(plane, farm, limit, report).run();
  } finally {
    await plane.stop("SIGKILL");
    farm.close();
    rmSync(folder, { recursive: true });
  }
}

interface Limit {
  /** Until 500 states of as many connections are taken; and that of a change there and back. */
  readonly statesMs: number;
  readonly changeMs: number;
  readonly rss: number;
}

/** What reads the same from as many connections, keeps the bytes and answers. */
async function bare(
  farm: PeerFarm,
  shown: { readonly chain: string; readonly key: string; readonly root: string },
): Promise<Limit> {
  using readers = new BareReaders();
  const places = farm.places.map(({ address, xdsPort: port }) => ({ as: "bare", address, port }));
  const { ms: statesMs } = await readers.read({ places, ...shown });
  const rss = await readers.memory();
  const found: number[] = [];
  for (const peer of farm.peers)
    await new Promise<void>((resolve) => peer.change(0, (ms) => resolve(void found.push(ms))));
  return { statesMs, changeMs: percentile(found, 99), rss };
}

class ImportBench {
  readonly #plane: PlaneProcess;
  readonly #farm: PeerFarm;
  readonly #limit: Limit;
  readonly #report: Report;
  /** When changes were made that the client has not heard of, by service. */
  readonly #pending = new Map<string, number>();
  #found: number[] = [];
  readonly #client = new BenchZtunnel((service, at) => {
    const since = this.#pending.get(service);
    if (since === undefined) return;
    this.#pending.delete(service);
    this.#found.push(at - since);
  });

  constructor(plane: PlaneProcess, farm: PeerFarm, limit: Limit, report: Report) {
    this.#plane = plane;
    this.#farm = farm;
    this.#limit = limit;
    this.#report = report;
  }

  async run(): Promise<void> {
    await this.#start("cold");
    this.#memory("cold");
    await this.#idle();
    await this.#changes();
    await this.#cut();
    const stopMs = await this.#plane.stop();
    this.#report(cost("peers.stop", stopMs, "ms", this.#limit.statesMs));
    await this.#start("restart");
    await this.#changes("after-restart");
    this.#memory("end");
    this.#client.leave();
  }

  async #start(what: string): Promise<void> {
    const { statesMs } = this.#limit;
    const start = performance.now();
    this.#plane.start();
    this.#client.leave();
    this.#client.follow(() => this.#plane.target());
    const served = this.#plane.target().then(() => performance.now() - start);
    const [servedMs, liveMs, clientMs] = await Promise.all([
      served,
      this.#farm.allLive(start),
      this.#client.until(({ aggregates, answers }) => aggregates === PEERS * SERVICES && answers > 0, start),
    ]);
    this.#report(cost(`peers.${what}-serves`, servedMs, "ms", statesMs));
    this.#report(cost(`peers.${what}-all-live`, liveMs, "ms", statesMs));
    this.#report(cost(`peers.${what}-client-has-all`, clientMs, "ms", statesMs));
    this.#report(cost(`peers.${what}-cpu`, this.#plane.cpuSeconds() * 1000, "ms", statesMs));
    if (this.#client.removals > 0) throw new Error(`${this.#client.removals} aggregates were taken from the client`);
  }

  #memory(what: string): void {
    const { now, peak } = this.#plane.memory();
    this.#report(cost(`peers.${what}-rss`, now / MIB, "MiB", this.#limit.rss / MIB));
    this.#report(cost(`peers.${what}-rss-peak`, peak / MIB, "MiB", this.#limit.rss / MIB));
  }

  async #idle(): Promise<void> {
    const before = this.#plane.cpuSeconds();
    await pause(IDLE_MS);
    this.#report(cost("peers.idle-cpu", ((this.#plane.cpuSeconds() - before) / IDLE_MS) * 1e5, "% of a core", 100));
  }

  /** Each peer changes a service now and then. */
  async #changes(what = "change"): Promise<void> {
    this.#found = [];
    const before = this.#plane.cpuSeconds();
    const count = (PEERS * CHANGES_FOR_MS) / CHANGE_MS;
    const start = performance.now();
    for (let done = 0; done < count; done += 1) {
      const wait = start + (done * CHANGE_MS) / PEERS - performance.now();
      if (wait > 0) await pause(wait);
      this.#change(done);
    }
    const cpu = (this.#plane.cpuSeconds() - before) / ((performance.now() - start) / 1000);
    await this.#client.until(() => this.#pending.size === 0, start);
    const { changeMs } = this.#limit;
    for (const at of [50, 99, 100])
      this.#report(cost(`peers.${what}-p${at}`, percentile(this.#found, at), "ms", changeMs));
    this.#report(cost(`peers.${what}-cpu-at-${(PEERS / CHANGE_MS) * 1000}-a-second`, cpu * 100, "% of a core", 100));
  }

  #change(turn: number): void {
    const peer = this.#farm.peers[(turn * 7) % PEERS]!;
    const at = (turn * 13) % SERVICES;
    this.#pending.set(`${peer.cluster}/shop/${serviceNameOf(peer.cluster, at)}`, performance.now());
    peer.change(at);
  }

  async #cut(): Promise<void> {
    const before = this.#plane.cpuSeconds();
    const start = performance.now();
    this.#farm.cut();
    const ms = await this.#farm.allLive(start);
    this.#report(cost("peers.cut-all-live", ms, "ms", this.#limit.statesMs));
    this.#report(cost("peers.cut-cpu", (this.#plane.cpuSeconds() - before) * 1000, "ms", this.#limit.statesMs));
  }
}
