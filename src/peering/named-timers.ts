import type { Clock } from "../host.ts";

/** Timers of which there is at most one of each name. */
export class NamedTimers<N extends string> {
  readonly #clock: Clock;
  readonly #running = new Map<N, Disposable>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(name: N): boolean {
    return this.#running.has(name);
  }

  /** In place of one that runs under the same name. */
  after(name: N, delayMs: number, task: () => void): void {
    this.cancel(name);
    const timer = this.#clock.after(delayMs, () => {
      this.#running.delete(name);
      task();
    });
    this.#running.set(name, timer);
  }

  /** Idempotent. */
  cancel(name: N): void {
    this.#running.get(name)?.[Symbol.dispose]();
    this.#running.delete(name);
  }
}
