import assert from "node:assert/strict";
import type { Change, ChangeBatch, Collection, KeySet } from "./collection.ts";

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

/**
 * What every collection of a graph shares: its values, the batch of the flush now running, its observers.
 * A collection with a rule of its own extends this, calls `write` from `settle`, and is added to the graph.
 */
export abstract class CollectionNode<K extends string, V> implements Node, Collection<K, V> {
  protected readonly values = new Map<K, V>();
  readonly #changes = new Map<K, Change<K, V>>();
  #batch: ChangeBatch<K, V> | undefined = [];
  readonly #observers = new Set<(batch: ChangeBatch<K, V>) => void>();

  constructor(
    readonly name: string,
    readonly rank: number,
    protected readonly equals: (a: V, b: V) => boolean,
  ) {}

  /** Reads the batches of its inputs and writes what follows from them. */
  abstract settle(): void;

  get size(): number {
    return this.values.size;
  }
  get batch(): ChangeBatch<K, V> {
    return (this.#batch ??= [...this.#changes.values()]);
  }
  get changed(): KeySet<K> {
    return this.#changes;
  }
  get(key: K): V | undefined {
    return this.values.get(key);
  }
  entries(): Iterable<readonly [K, V]> {
    return this.values.entries();
  }

  observe(observer: (batch: ChangeBatch<K, V>) => void): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }

  publish(): void {
    if (this.#changes.size === 0) return;
    const { batch } = this;
    for (const observer of this.#observers) observer(batch);
  }

  forget(): void {
    if (this.#changes.size === 0) return;
    this.#changes.clear();
    this.#batch = [];
  }

  /** Only from `settle`. An equal value is no change, and neither is one that comes back within a flush. */
  protected write(key: K, after: V | undefined): void {
    const before = this.values.get(key);
    if (this.#same(before, after)) return;
    const known = this.#changes.get(key);
    const start = known === undefined ? before : known.before;
    const undone = known !== undefined && this.#same(start, after);
    const value = undone ? start : after;
    if (value === undefined) this.values.delete(key);
    else this.values.set(key, value);
    if (undone) this.#changes.delete(key);
    else this.#changes.set(key, { key, before: start, after });
    this.#batch = undefined;
  }

  #same(a: V | undefined, b: V | undefined): boolean {
    return a === b || (a !== undefined && b !== undefined && this.equals(a, b));
  }
}
