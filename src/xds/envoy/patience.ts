import type { Clock } from "../../host.ts";

/**
 * How long what is new waits for what it may need. Envoy asks for that while it answers; a cluster that does not get
 * ready within this time (as its DNS name is not found) must not hold up the routes to all others.
 */
export const PATIENCE_MS = 5_000;

/** Wakes whoever waits once the wait is over; at most one timer. */
export class Patience {
  readonly #clock: Clock;
  readonly #onOver: () => void;
  #timer: Disposable | undefined;

  constructor(clock: Clock, onOver: () => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** @returns true if what began then is to be waited for; `onOver` is called when no more. */
  waits(sinceMs: number | undefined): boolean {
    const leftMs = sinceMs === undefined ? 0 : sinceMs + PATIENCE_MS - this.#clock.elapsedMs();
    if (leftMs <= 0) return false;
    this.#timer ??= this.#clock.after(leftMs, () => {
      this.#timer = undefined;
      this.#onOver();
    });
    return true;
  }

  close(): void {
    this.#timer?.[Symbol.dispose]();
  }
}
