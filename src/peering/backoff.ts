import type { Random } from "../host.ts";

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
/** Nobody is asked without any pause, whatever chance says. */
const SHORTEST_MS = 50;

/** How long to wait after failures in a row: anything up to half a second, doubling to 30 s (contract peering.md 2.3). */
export class LinkBackoff {
  readonly #random: Random;
  #failures = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** In milliseconds. */
  next(): number {
    const range = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    return Math.max(SHORTEST_MS, range * this.#random.next());
  }

  reset(): void {
    this.#failures = 0;
  }
}
