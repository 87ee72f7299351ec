import type { Clock } from "../host.ts";

/** Handshakes under way at once: more are done no sooner, and on a busy machine all of them too late. */
const AT_ONCE_MAX = 32;
/** Who has not answered by then is far away or gone, costs nothing, and holds up nobody. */
const TURN_MS = 1_000;

/**
 * Has peers dialled some at a time. After a restart, or a cut, hundreds are dialled together: their handshakes would
 * share the processor so that each takes longer than anybody waits, and all begin again.
 */
export class DialTurns {
  readonly #clock: Clock;
  /** In the order in which they came. */
  readonly #waiting = new Set<() => void>();
  #dialling = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `dial` at once, or when it is its turn. @returns what gives the turn back, or up; idempotent. */
  take(dial: () => void): Disposable {
    let end = (): void => {};
    const begin = (): void => {
      this.#dialling += 1;
      const timer = this.#clock.after(TURN_MS, () => end());
      end = () => {
        end = () => {};
        timer[Symbol.dispose]();
        this.#dialling -= 1;
        this.#next();
      };
      dial();
    };
    this.#waiting.add(begin);
    this.#next();
    return {
      [Symbol.dispose]: () => {
        this.#waiting.delete(begin);
        end();
      },
    };
  }

  #next(): void {
    if (this.#dialling >= AT_ONCE_MAX) return;
    const [first] = this.#waiting;
    if (first === undefined) return;
    this.#waiting.delete(first);
    first();
  }
}
