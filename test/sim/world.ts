import type { Clock, EpochMs, Random } from "../../src/host.ts";

export interface SeededRandom extends Random {
  /** A whole number in [0, n). */
  below(n: number): number;
  chance(probability: number): boolean;
  pick<T>(from: readonly T[]): T;
}

/** mulberry32: small, fast, and the same everywhere. */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = (n: number) => Math.floor(next() * n);
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick: (from) => from[below(from.length)]!,
    bytes: (length) => Uint8Array.from({ length }, () => below(256)),
  };
}

interface Task {
  readonly at: number;
  readonly order: number;
  readonly task: () => void;
}

/** Time that moves only when told to, from one due task to the next. */
export class VirtualClock implements Clock {
  readonly #startedAt: EpochMs = 1_700_000_000_000;
  #elapsedMs = 0;
  #order = 0;
  #tasks: Task[] = [];

  now(): EpochMs {
    return this.#startedAt + this.#elapsedMs;
  }
  elapsedMs(): number {
    return this.#elapsedMs;
  }
  /** How many tasks wait. */
  get pending(): number {
    return this.#tasks.length;
  }

  after(delayMs: number, task: () => void): Disposable {
    if (!Number.isFinite(delayMs) || delayMs < 0) throw new RangeError(`delayMs is ${delayMs}`);
    const entry: Task = { at: this.#elapsedMs + delayMs, order: this.#order++, task };
    const later = this.#tasks.findIndex((other) => other.at > entry.at);
    this.#tasks.splice(later < 0 ? this.#tasks.length : later, 0, entry);
    return { [Symbol.dispose]: () => void (this.#tasks = this.#tasks.filter((other) => other !== entry)) };
  }

  /** As `advance`, for code with promises: they settle before each task, and at the end. */
  async pass(ms: number): Promise<void> {
    const end = this.#elapsedMs + ms;
    await promisesSettled();
    for (let due = this.#tasks[0]; due !== undefined && due.at <= end; due = this.#tasks[0]) {
      this.advance(due.at - this.#elapsedMs);
      await promisesSettled();
    }
    this.advance(end - this.#elapsedMs);
  }

  /** Runs everything that falls due in the next `ms`, in order, what it schedules included. */
  advance(ms: number): void {
    const end = this.#elapsedMs + ms;
    for (let due = this.#tasks[0]; due !== undefined && due.at <= end; due = this.#tasks[0]) {
      this.#tasks.shift();
      this.#elapsedMs = due.at;
      due.task();
    }
    this.#elapsedMs = end;
  }
}

const promisesSettled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
