export interface PaceLimits {
  /** At most so many writes a second, while the server takes them. */
  readonly perSecond: number;
  /** So many at once after a rest. */
  readonly burst: number;
}

/** Slower than this we never get: it is how we learn that the server is back. */
const PER_SECOND_MIN = 0.2;
/** Each success brings back half a write a second: a rate of one doubles in a second and a half. */
const GAIN_PER_SUCCESS = 0.5;

/**
 * How fast a server is written to: it halves with every write that the server could not take, and grows again with
 * those that it took. A server that fails half of them gets about one a second.
 */
export class WritePace {
  readonly #limits: PaceLimits;
  #perSecond: number;
  #tokens: number;
  #atMs = 0;
  #pausedUntilMs = 0;

  constructor(limits: PaceLimits) {
    this.#limits = limits;
    this.#perSecond = limits.perSecond;
    this.#tokens = limits.burst;
  }

  /** Milliseconds until the next write may begin; 0 if it may now. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs);
    const token = this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000);
    return Math.max(token, this.#pausedUntilMs - nowMs, 0);
  }

  /** A write begins. */
  spend(nowMs: number): void {
    this.#fill(nowMs);
    this.#tokens -= 1;
  }

  succeeded(): void {
    this.#perSecond = Math.min(this.#limits.perSecond, this.#perSecond + GAIN_PER_SUCCESS);
  }

  /** The server asks for less, for `retryAfterMs` if it says so. */
  overloaded(nowMs: number, retryAfterMs = 0): void {
    this.#fill(nowMs);
    this.#perSecond = Math.max(PER_SECOND_MIN, this.#perSecond / 2);
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + Math.min(retryAfterMs, RETRY_AFTER_MS_MAX));
  }

  #fill(nowMs: number): void {
    const gained = ((nowMs - this.#atMs) / 1000) * this.#perSecond;
    // A burst is for a server that keeps up.
    const most = Math.max(1, (this.#limits.burst * this.#perSecond) / this.#limits.perSecond);
    this.#tokens = Math.min(most, this.#tokens + gained);
    this.#atMs = nowMs;
  }
}

/** A server, or what stands before it, that asks for more is asked again all the same. */
const RETRY_AFTER_MS_MAX = 30_000;
