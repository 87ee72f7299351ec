import type { Clock } from "../host.ts";

/** ztunnel drops a connection whose PING waits for 10 s, and 1,000 streams share one thread: no slice may be long. */
const SLICE_MS = 5;

/** Serves what has work, each once, in the order of arrival, giving way to I/O between slices. */
export class Pump<T> {
  readonly #clock: Clock;
  readonly #serve: (item: T) => void;
  readonly #waiting = new Set<T>();
  #scheduled: Disposable | undefined;

  /** `serve` must not throw. */
  constructor(clock: Clock, serve: (item: T) => void) {
    this.#clock = clock;
    this.#serve = serve;
  }

  add(item: T): void {
    this.#waiting.add(item);
    this.#scheduled ??= this.#clock.after(0, () => this.#run());
  }

  remove(item: T): void {
    this.#waiting.delete(item);
  }

  close(): void {
    this.#waiting.clear();
    this.#scheduled?.[Symbol.dispose]();
  }

  #run(): void {
    this.#scheduled = undefined;
    const end = this.#clock.elapsedMs() + SLICE_MS;
    for (const item of this.#waiting) {
      this.#waiting.delete(item);
      this.#serve(item);
      if (this.#clock.elapsedMs() >= end) break;
    }
    if (this.#waiting.size > 0) this.#scheduled ??= this.#clock.after(0, () => this.#run());
  }
}
