import type { Clock, Logger } from "./host.ts";

const BEAT_MS = 1000;
/** A ztunnel gives up on a control plane that does not answer its ping for 10 s; a tenth of that is worth a line. */
const WORTH_A_LINE_MS = 1000;
/** Restarting drops every client, so only when they are all gone anyway. */
const DEAD_MS = 30_000;

/** Notices when nothing else could run. */
export class EventLoopWatch implements Disposable {
  readonly #clock: Clock;
  readonly #log: Logger;
  #lastBeatMs: number;
  #next: Disposable;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
    this.#lastBeatMs = clock.elapsedMs();
    this.#next = clock.after(BEAT_MS, () => this.#beat());
  }

  /** Why this process should be restarted; undefined while it need not be. */
  whyDead(): string | undefined {
    const lateMs = this.#lateMs();
    return lateMs > DEAD_MS ? `the event loop has not run its timers for ${Math.round(lateMs / 1000)} s` : undefined;
  }

  [Symbol.dispose](): void {
    this.#next[Symbol.dispose]();
  }

  #beat(): void {
    const lateMs = this.#lateMs();
    if (lateMs > WORTH_A_LINE_MS)
      this.#log.warn("the event loop stood still; ztunnels reconnect after 10 s without an answer", {
        ms: Math.round(lateMs),
      });
    this.#lastBeatMs = this.#clock.elapsedMs();
    this.#next = this.#clock.after(BEAT_MS, () => this.#beat());
  }

  #lateMs(): number {
    return this.#clock.elapsedMs() - this.#lastBeatMs - BEAT_MS;
  }
}
