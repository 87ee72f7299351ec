import type { Change, ChangeBatch, Collection, KeySet } from "./collection.ts";
import type { Node } from "./graph.ts";

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
