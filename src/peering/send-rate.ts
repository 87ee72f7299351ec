import type { Clock } from "../host.ts";

/** Of one cluster, over all of its streams: a first state at once, and then far more than changes need (contract 2.16). */
const BURST_BYTES = 64 * 1024 * 1024;
const BYTES_PER_SECOND = 8 * 1024 * 1024;

/** How much one peer is sent: one that asks for all of it again and again must not cost the others. */
export class SendRate {
  readonly #clock: Clock;
  #left = BURST_BYTES;
  #atMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.elapsedMs();
  }

  /** For how many milliseconds nothing more may be sent. */
  waitMs(): number {
    this.#refill();
    return this.#left > 0 ? 0 : Math.ceil(((1 - this.#left) / BYTES_PER_SECOND) * 1000);
  }

  /** One response may go beyond what is left: the next then waits the longer. */
  spend(bytes: number): void {
    this.#refill();
    this.#left -= bytes;
  }

  #refill(): void {
    const nowMs = this.#clock.elapsedMs();
    this.#left = Math.min(BURST_BYTES, this.#left + ((nowMs - this.#atMs) / 1000) * BYTES_PER_SECOND);
    this.#atMs = nowMs;
  }
}
