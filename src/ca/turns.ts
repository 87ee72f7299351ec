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

  get taken(): number {
    return this.#taken;
  }
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Resolves when it is the caller's turn, which ends when the result is disposed: once.
   * @throws MeshError `unavailable` if too many wait, it took too long, or `signal` aborted before.
   */
  take(signal?: AbortSignal): Promise<Disposable> {
    if (signal?.aborted === true) return Promise.reject(busy("whoever wanted a turn has given up"));
    if (this.#taken < this.#limits.atOnceMax) return Promise.resolve(this.#begin());
    if (this.#waiting.size >= this.#limits.waitingMax) return Promise.reject(busy("too many wait already"));
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(admit);
        timer[Symbol.dispose]();
        signal?.removeEventListener("abort", abandon);
      };
      const refuse = (why: string): void => {
        leave();
        reject(busy(why));
      };
      const admit = (): void => {
        leave();
        resolve(this.#begin());
      };
      const abandon = (): void => refuse("whoever waited for a turn has given up");
      const timer = this.#clock.after(this.#limits.waitMs, () =>
        refuse(`no turn came within ${this.#limits.waitMs} ms`),
      );
      signal?.addEventListener("abort", abandon, { once: true });
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
    next?.();
  }
}

const busy = (why: string): MeshError => new MeshError("unavailable", why);
