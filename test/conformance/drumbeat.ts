import { eventually } from "./causeway-process.ts";
import type { DrillWorkload } from "./drill-workload.ts";

/** Handshakes of one step of a drill. */
export interface Tally {
  readonly step: string;
  tried: number;
  refused: number;
  /** Of the first few that were refused. */
  readonly reasons: string[];
}

const BEAT_MS = 250;
const REASONS_MAX = 5;
const RENEWED_MS = 30_000;

/**
 * Fresh handshakes without pause, each counted: every workload with every workload of other control planes, in
 * both directions; each that may read with its own control plane's discovery, by its certificate; and with its certificate
 * service whenever what it holds is old enough.
 */
export class Drumbeat {
  readonly tallies: Tally[] = [];
  readonly #workloads: DrillWorkload[];
  #ended = false;
  #beats: Promise<void> = Promise.resolve();

  constructor(workloads: readonly DrillWorkload[]) {
    this.#workloads = [...workloads];
  }

  get tally(): Tally {
    return this.tallies.at(-1)!;
  }

  /** What follows counts for this step. */
  begin(step: string): void {
    this.tallies.push({ step, tried: 0, refused: 0, reasons: [] });
  }

  start(): void {
    this.#beats = this.#run();
  }

  /** Waits for so long, and until no certificate from before is held any more: what a plan asks for between its steps. */
  async renewed(leafMs: number): Promise<void> {
    const startedAt = performance.now();
    await new Promise((resolve) => setTimeout(resolve, leafMs));
    await eventually("every workload has a new certificate", RENEWED_MS, () =>
      this.#workloads.every(({ material }) => material.atMs > startedAt),
    );
  }

  async close(): Promise<void> {
    this.#ended = true;
    await this.#beats;
  }

  /** One of each. */
  async beat(): Promise<void> {
    const workloads = this.#workloads;
    const due = workloads.filter((workload) => workload.due);
    await Promise.all(due.map((one) => this.#try(`${nameOf(one)} -> certificates`, () => one.renew())));
    const calls = workloads.flatMap((from) =>
      workloads.filter((to) => to.plane !== from.plane).map((to) => [from, to] as const),
    );
    const readers = workloads.filter(({ reads }) => reads);
    await Promise.all([
      ...calls.map(([from, to]) => this.#try(`${nameOf(from)} -> ${nameOf(to)}`, () => from.call(to))),
      ...readers.map((one) => this.#try(`${nameOf(one)} -> discovery`, () => one.discover())),
    ]);
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      const startedAt = performance.now();
      await this.beat();
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, BEAT_MS - (performance.now() - startedAt))));
    }
  }

  /** A handshake counts for the step in which it began. */
  async #try(what: string, handshake: () => Promise<void>): Promise<void> {
    const { tally } = this;
    tally.tried += 1;
    try {
      await handshake();
    } catch (thrown) {
      tally.refused += 1;
      if (tally.reasons.length < REASONS_MAX) tally.reasons.push(`${what}: ${(thrown as Error).message}`);
    }
  }
}

const nameOf = ({ cluster, spiffeId }: DrillWorkload): string => `${cluster}/${spiffeId.split("/").at(-1)}`;
