import type { Clock, Host, Log, Metrics } from "../../../src/host.ts";
import { defectsOnly, noMetrics } from "./quiet.ts";
import { type SeededRandom, seededRandom, type VirtualClock } from "../world.ts";
import type { Party } from "./net.ts";

/** A process on a machine of its own: it can be frozen, and ends without a word. */
export class Process implements Party, Host {
  readonly site: string;
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly log: Log;
  readonly metrics: Metrics = noMetrics;
  #frozen = false;
  #ended = false;
  #due: (() => void)[] = [];

  constructor(site: string, clock: VirtualClock, seed: number, onDefect: (message: string) => void) {
    this.site = site;
    this.log = defectsOnly((message) => onDefect(`${site}: ${message}`));
    this.random = seededRandom(seed);
    this.clock = {
      now: () => clock.now(),
      elapsedMs: () => clock.elapsedMs(),
      after: (delayMs, task) => {
        let disposed = false;
        const timer = clock.after(delayMs, () => this.run(() => disposed || task()));
        return {
          [Symbol.dispose]: () => {
            disposed = true;
            timer[Symbol.dispose]();
          },
        };
      },
    };
  }

  get frozen(): boolean {
    return this.#frozen;
  }
  get ended(): boolean {
    return this.#ended;
  }

  run(task: () => void): void {
    if (this.#ended) return;
    if (this.#frozen) this.#due.push(task);
    else task();
  }
  freeze(): void {
    this.#frozen = true;
  }
  /** What fell due meanwhile is done in its order. */
  thaw(): void {
    this.#frozen = false;
    for (const task of this.#due.splice(0)) this.run(task);
  }
  end(): void {
    this.#ended = true;
    this.#due = [];
  }
}
