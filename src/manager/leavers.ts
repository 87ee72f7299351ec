import type { Clock } from "../host.ts";
import type { ClusterId } from "../names.ts";

/**
 * A cluster that is registered no more counts for so long yet: a folder that is emptied and filled again, or a namespace
 * that is made anew, must not make a root go that is in use.
 */
const COUNTS_MS = 120_000;

/** Clusters that are registered no more, and count yet. */
export class Leavers {
  readonly #clock: Clock;
  /** Of `Clock.elapsedMs`. */
  readonly #since = new Map<ClusterId, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns those of `known` that count no more. */
  over(known: Iterable<ClusterId>, registered: ReadonlySet<ClusterId>): readonly ClusterId[] {
    const now = this.#clock.elapsedMs();
    for (const name of registered) this.#since.delete(name);
    for (const name of known) if (!registered.has(name) && !this.#since.has(name)) this.#since.set(name, now);
    const over = [...this.#since].flatMap(([name, since]) => (now - since < COUNTS_MS ? [] : [name]));
    for (const name of over) this.#since.delete(name);
    return over;
  }

  /** In how many milliseconds each counts no more. */
  get restMs(): readonly number[] {
    return Array.from(this.#since.values(), (since) => COUNTS_MS - (this.#clock.elapsedMs() - since));
  }
}
