import assert from "node:assert/strict";

/** One place in the graph: a collection, or an index over one. */
export interface Node {
  readonly name: string;
  /** Greater than the rank of everything it reads. */
  readonly rank: number;
  /** How many values, or buckets, it holds. */
  readonly size: number;
  /** Brings its state up to date with the batches of what it reads. */
  settle(): void;
  /** Tells its observers, once everything has settled. */
  publish(): void;
  /** Empties its batch. */
  forget(): void;
}

/** Settles collections in rank order, so no reader ever sees half of a change. Built whole before its first flush. */
export class Graph {
  readonly #nodes: Node[] = [];
  readonly #settledObservers = new Set<() => void>();
  #dirty = false;
  #flushing = false;
  #flushes = 0;
  /** Called when the first write since the last flush arrives, which may be during a flush: schedule one, do not flush. */
  onDirty: () => void = () => {};

  add(node: Node): void {
    // What joined later would never see the values that are already settled.
    assert(node.rank === 0 || this.#flushes === 0, `collection ${node.name} was added after the graph's first flush`);
    const at = this.#nodes.findIndex((other) => other.rank > node.rank);
    this.#nodes.splice(at < 0 ? this.#nodes.length : at, 0, node);
  }

  /** Says that a source was written. */
  touch(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.onDirty();
  }

  /** Calls `observer` after the observers of all collections, once per flush. */
  onSettled(observer: () => void): Disposable {
    this.#settledObservers.add(observer);
    return { [Symbol.dispose]: () => void this.#settledObservers.delete(observer) };
  }

  /** Settles what was written so far. What observers write now waits for the next flush. */
  flush(): void {
    assert(!this.#flushing, "an observer called flush: write, and the next flush takes it");
    if (!this.#dirty) return;
    this.#dirty = false;
    this.#flushing = true;
    this.#flushes += 1;
    for (const node of this.#nodes) node.settle();
    for (const node of this.#nodes) node.publish();
    for (const observer of this.#settledObservers) observer();
    for (const node of this.#nodes) node.forget();
    this.#flushing = false;
  }

  /** What it holds, in the order in which it settles; for debug pages. */
  describe(): readonly { readonly name: string; readonly rank: number; readonly size: number }[] {
    return this.#nodes.map(({ name, rank, size }) => ({ name, rank, size }));
  }
}

/** The rank of what reads `inputs`. */
export function rankAbove(inputs: readonly { readonly rank: number }[]): number {
  return 1 + Math.max(-1, ...inputs.map(({ rank }) => rank));
}
