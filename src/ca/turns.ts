import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";

export interface TurnLimits {
  /** Turns that are under way at once. */
  readonly atOnceMax: number;
  readonly waitingMax: number;
  /** How long anyone waits. */
  readonly waitMs: number;
}

/** Lets so many in at once; the others wait in line, not too many of them and not for long. */
export class Turns {
  readonly #clock: Clock;
  readonly #limits: TurnLimits;
  readonly #waiting = new Set<() => void>();
  #taken = 0;

  constructor(clock: Clock, limits: TurnLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /**
   * Resolves when it is the caller's turn, which ends when the result is disposed: once.
   * @throws MeshError `unavailable` if too many wait, or it took too long.
   */
  take(): Promise<Disposable> {
    if (this.#taken < this.#limits.atOnceMax) return Promise.resolve(this.#begin());
    if (this.#waiting.size >= this.#limits.waitingMax) return Promise.reject(busy("too many wait already"));
    return new Promise((resolve, reject) => {
      const admit = (): void => {
        timer[Symbol.dispose]();
        resolve(this.#begin());
      };
      const timer = this.#clock.after(this.#limits.waitMs, () => {
        this.#waiting.delete(admit);
        reject(busy(`no turn came within ${this.#limits.waitMs} ms`));
      });
      this.#waiting.add(admit);
    });
  }

  #begin(): Disposable {
    this.#taken += 1;
    return { [Symbol.dispose]: () => this.#end() };
  }

  #end(): void {
    this.#taken -= 1;
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    next();
  }
}

const busy = (why: string): MeshError => new MeshError("unavailable", why);
