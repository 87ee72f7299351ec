import type { Clock, LogFields, Logger } from "./host.ts";

const PERIOD_MS = 60_000;

/**
 * For warnings that a stranger can cause at will: each message once a minute, the next with how many were left out.
 * Messages are constants, so that what is remembered is bounded.
 */
export class SparseLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #said = new Map<string, { readonly atMs: number; leftOut: number }>();

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  warn(message: string, fields: LogFields): void {
    const nowMs = this.#clock.elapsedMs();
    const last = this.#said.get(message);
    if (last !== undefined && nowMs - last.atMs < PERIOD_MS) {
      last.leftOut += 1;
      return;
    }
    this.#said.set(message, { atMs: nowMs, leftOut: 0 });
    this.#log.warn(message, { ...fields, leftOut: last?.leftOut || undefined });
  }
}
