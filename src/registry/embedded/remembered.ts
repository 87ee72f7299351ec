/** Beyond what is in use, this many old answers are kept, or as many as are in use. */
const IDLE_MIN = 1024;

/**
 * Answers given once and given again: to an object that comes back, and after a restart. Old ones are forgotten, the
 * longest unused first, once more are idle than in use and more than 1024.
 */
export class Remembered {
  readonly #entries = new Map<string, { value: string; round: number }>();
  #round = 0;
  #inUse = 0;
  #changed = false;

  constructor(saved: Iterable<readonly [string, string]> = []) {
    for (const [key, value] of saved) this.#entries.set(key, { value, round: 0 });
  }

  /** Starts a round: what is not asked for before the next one is idle. */
  begin(): void {
    this.#round++;
    this.#inUse = 0;
  }

  get(key: string): string | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.round !== this.#round) {
      entry.round = this.#round;
      this.#inUse++;
    }
    return entry.value;
  }

  set(key: string, value: string): void {
    if (this.#entries.get(key)?.round !== this.#round) this.#inUse++;
    this.#entries.set(key, { value, round: this.#round });
    this.#changed = true;
  }

  delete(key: string): void {
    this.#changed = this.#entries.delete(key) || this.#changed;
  }

  /** @returns the keys that were idle for too long, now forgotten. */
  prune(): readonly string[] {
    const excess = this.#entries.size - this.#inUse - Math.max(IDLE_MIN, this.#inUse);
    return excess > 0 ? this.#forget(excess) : [];
  }

  /** Forgets one idle answer, the longest unused. */
  evict(): string | undefined {
    return this.#forget(1)[0];
  }

  /** True if it differs from what was saved; false from then on. */
  takeChanged(): boolean {
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  toJSON(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#entries].map(([key, { value }]) => [key, value]));
  }

  #forget(count: number): readonly string[] {
    const idle = [...this.#entries].filter(([, entry]) => entry.round !== this.#round);
    idle.sort(([, a], [, b]) => a.round - b.round);
    const keys = idle.slice(0, count).map(([key]) => key);
    for (const key of keys) this.delete(key);
    return keys;
  }
}
