import type { Random } from "../host.ts";

const FIRST_MS = 1_600;
const LONGEST_MS = 30_000;
/** A server that asks for more than this is not believed. */
const ASKED_MS_MAX = 120_000;

/** How long to wait after failures in a row: from 0.8 s to 30 s or less, in the upper half of a range that doubles. */
export class Backoff {
  #failures = 0;

  constructor(
    readonly random: Random,
    readonly longestMs = LONGEST_MS,
  ) {}

  /** @param askedMs what the server asks for; it is added to rather than divided, so that not all come back at once. */
  next(askedMs = 0): number {
    const rangeMs = Math.min(this.longestMs, FIRST_MS * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    const ownMs = rangeMs * (0.5 + 0.5 * this.random.next());
    return askedMs <= ownMs ? ownMs : Math.min(askedMs, ASKED_MS_MAX) + FIRST_MS * this.random.next();
  }

  reset(): void {
    this.#failures = 0;
  }
}
