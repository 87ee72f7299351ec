import type { Random } from "./host.ts";

const FIRST_MS = 1_600;
const LONGEST_MS = 30_000;
/** A server that asks for more than this is not believed. */
const ASKED_MS_MAX = 120_000;

/** How long to wait after failures in a row: from 0.8 s to 30 s if not told otherwise, in the upper half of a range that doubles. */
export class Backoff {
  #failures = 0;

  constructor(
    readonly random: Random,
    readonly longestMs = LONGEST_MS,
    readonly firstMs = FIRST_MS,
  ) {}

  /** @param askedMs what the server asks for; it is added to rather than divided, so that not all come back at once. */
  next(askedMs = 0): number {
    const rangeMs = Math.min(this.longestMs, this.firstMs * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    const ownMs = rangeMs * (0.5 + 0.5 * this.random.next());
    return askedMs <= ownMs ? ownMs : Math.min(askedMs, ASKED_MS_MAX) + this.firstMs * this.random.next();
  }

  /** True after a failure, until it is reset. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  reset(): void {
    this.#failures = 0;
  }
}
