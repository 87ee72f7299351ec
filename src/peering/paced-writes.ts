import type { Clock } from "../host.ts";

/** What takes the records of peers. */
export interface Writes<K extends string, V> {
  set(key: K, value: V): void;
  delete(key: K): void;
}

/** Keys that are written before everybody else has a turn again: a flush of so many takes some 50 ms. */
const WRITES_A_TURN = 250;

/**
 * Writes that are many take turns with all else that a control plane does: a peer that joins, or goes, with its whole
 * quota of records must not stop the rest. Few are written at once. Clusters, which keys begin with, share each turn, so
 * that one peer's many do not keep back another's few. The last write of a key counts.
 */
export class PacedWrites<K extends string, V> implements Writes<K, V> {
  readonly #clock: Clock;
  readonly #to: Writes<K, V>;
  /** By cluster; undefined is a deletion. */
  readonly #waiting = new Map<string, Map<K, V | undefined>>();
  #left = WRITES_A_TURN;
  #turn: Disposable | undefined;
  #paced = false;

  constructor(clock: Clock, to: Writes<K, V>) {
    this.#clock = clock;
    this.#to = to;
  }

  /** From now on; until then whoever writes, writes: nobody is served yet. */
  pace(): void {
    this.#paced = true;
  }

  set(key: K, value: V): void {
    this.#put(key, value);
  }

  delete(key: K): void {
    this.#put(key, undefined);
  }

  /** What still waits is not written. */
  close(): void {
    this.#turn?.[Symbol.dispose]();
    this.#waiting.clear();
  }

  #put(key: K, value: V | undefined): void {
    const cluster = key.slice(0, key.indexOf("/") + 1);
    const queue = this.#waiting.get(cluster);
    if (queue === undefined && (!this.#paced || this.#left > 0)) {
      if (this.#paced) this.#left -= 1;
      this.#write(key, value);
    } else if (queue === undefined) this.#waiting.set(cluster, new Map([[key, value]]));
    else queue.set(key, value);
    if (this.#paced) this.#turn ??= this.#clock.after(0, () => this.#nextTurn());
  }

  #nextTurn(): void {
    this.#turn = undefined;
    this.#left = WRITES_A_TURN;
    const share = Math.max(1, Math.floor(WRITES_A_TURN / this.#waiting.size));
    for (const [cluster, queue] of this.#waiting) {
      // Whose turn was last comes first in the next.
      this.#waiting.delete(cluster);
      this.#writeSome(queue, share);
      if (queue.size > 0) this.#waiting.set(cluster, queue);
      if (this.#left <= 0) break;
    }
    // Once more, to begin the next turn with nothing used of it.
    if (this.#left < WRITES_A_TURN) this.#turn = this.#clock.after(0, () => this.#nextTurn());
  }

  #writeSome(queue: Map<K, V | undefined>, count: number): void {
    let left = count;
    for (const [key, value] of queue) {
      if (left-- === 0) return;
      queue.delete(key);
      this.#left -= 1;
      this.#write(key, value);
    }
  }

  #write(key: K, value: V | undefined): void {
    if (value === undefined) this.#to.delete(key);
    else this.#to.set(key, value);
  }
}
