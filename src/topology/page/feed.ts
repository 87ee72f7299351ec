import type { BrowserClock } from "./browser.ts";

/** How it is with what is shown. */
export interface Freshness {
  readonly live: boolean;
  /** When the control plane last answered, by the clock of this machine; undefined if it never did. */
  readonly answeredMs: number | undefined;
  /** Why it does not; empty while it does. */
  readonly why: string;
}

export interface FeedOptions {
  /** Asks for the newest. */
  readonly ask: () => Promise<void>;
  readonly onFreshness: (freshness: Freshness) => void;
}

/** Fast enough to watch a link come back, slow enough to cost a control plane nothing. */
const EVERY_MS = 2_000;
const EVERY_MS_MAX = 15_000;
/** An answer that takes long is asked for more seldom: a tenth of the time at most is spent on it. */
const SHARE = 10;

/** Asks again and again, one question at a time; more seldom while nobody answers, and never while nobody looks. */
export class Feed {
  readonly #clock: BrowserClock;
  readonly #options: FeedOptions;
  #answeredMs: number | undefined;
  #failures = 0;
  #asking = false;
  #again = false;
  #paused = false;
  #stop: (() => void) | undefined;

  constructor(clock: BrowserClock, options: FeedOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Asks now, or as soon as what is asked is answered. */
  refresh(): void {
    if (this.#asking) this.#again = true;
    else void this.#ask();
  }

  pause(paused: boolean): void {
    if (this.#paused === paused) return;
    this.#paused = paused;
    if (paused) this.#stop?.();
    else this.refresh();
  }

  async #ask(): Promise<void> {
    this.#stop?.();
    this.#asking = true;
    const startedMs = this.#clock.now();
    let why = "";
    try {
      await this.#options.ask();
      this.#answeredMs = this.#clock.now();
      this.#failures = 0;
    } catch (thrown) {
      this.#failures += 1;
      why = thrown instanceof Error ? thrown.message : "it cannot be reached";
    }
    this.#asking = false;
    this.#options.onFreshness({ live: why === "", answeredMs: this.#answeredMs, why });
    if (this.#again) {
      this.#again = false;
      return this.#ask();
    }
    const tookMs = this.#clock.now() - startedMs;
    const backoffMs = EVERY_MS * 2 ** Math.min(this.#failures, 3);
    const nextMs = Math.min(EVERY_MS_MAX, Math.max(backoffMs, why === "" ? tookMs * SHARE : 0));
    if (!this.#paused) this.#stop = this.#clock.after(nextMs, () => void this.#ask());
  }
}
