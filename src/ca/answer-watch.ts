import { messageOf } from "../errors.ts";
import type { Clock, Logger } from "../host.ts";

/** How long one that did not answer is taken to be silent still. */
const SILENCE_MS = 10_000;
/** One that answers now and then does not fill the log. */
const WARN_EVERY_MS = 60_000;

/** Whether an authority that we ask answers: what it did when it was asked last, and a log line when that changes. */
export class AnswerWatch {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #cluster: string;
  #silentUntilMs = 0;
  #warned = false;
  #warnAgainMs = 0;

  constructor(clock: Clock, log: Logger, cluster: string) {
    this.#clock = clock;
    this.#log = log;
    this.#cluster = cluster;
  }

  /** True for some seconds after it did not answer: who can do without, need not ask. */
  get silent(): boolean {
    return this.#clock.elapsedMs() < this.#silentUntilMs;
  }

  answered(): void {
    this.#silentUntilMs = 0;
    if (!this.#warned) return;
    this.#warned = false;
    this.#log.info("the API server reviews tokens again", { cluster: this.#cluster });
  }

  failed(thrown: unknown): void {
    const nowMs = this.#clock.elapsedMs();
    this.#silentUntilMs = nowMs + SILENCE_MS;
    if (this.#warned || nowMs < this.#warnAgainMs) return;
    this.#warned = true;
    this.#warnAgainMs = nowMs + WARN_EVERY_MS;
    this.#log.warn("the API server does not review tokens: those it has proven stay good until they expire", {
      cluster: this.#cluster,
      why: messageOf(thrown),
    });
  }
}
