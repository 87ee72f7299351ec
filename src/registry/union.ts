import type { Change, ChangeBatch, Collection, KeySet } from "./collection/collection.ts";
import { type Graph, type Node, rankAbove } from "./collection/graph.ts";

/** Collections of one type as one. Their keys must be disjoint. It holds no values of its own: there may be many. */
export function union<K extends string, V>(
  graph: Graph,
  name: string,
  inputs: readonly Collection<K, V>[],
): Collection<K, V> {
  const node = new Union(name, inputs);
  graph.add(node);
  return node;
}

class Union<K extends string, V> implements Collection<K, V>, Node {
  readonly rank: number;
  readonly #inputs: readonly Collection<K, V>[];
  readonly #changes = new Map<K, Change<K, V>>();
  readonly #observers = new Set<(batch: ChangeBatch<K, V>) => void>();
  #batch: ChangeBatch<K, V> = [];

  constructor(
    readonly name: string,
    inputs: readonly Collection<K, V>[],
  ) {
    this.#inputs = inputs;
    this.rank = rankAbove(inputs);
  }

  get size(): number {
    return this.#inputs.reduce((sum, { size }) => sum + size, 0);
  }
  get batch(): ChangeBatch<K, V> {
    return this.#batch;
  }
  get changed(): KeySet<K> {
    return this.#changes;
  }
  get(key: K): V | undefined {
    for (const input of this.#inputs) {
      const value = input.get(key);
      if (value !== undefined) return value;
    }
    return undefined;
  }
  *entries(): Iterable<readonly [K, V]> {
    for (const input of this.#inputs) yield* input.entries();
  }
  observe(observer: (batch: ChangeBatch<K, V>) => void): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }

  settle(): void {
    for (const { batch } of this.#inputs) for (const change of batch) this.#take(change);
    if (this.#changes.size > 0) this.#batch = [...this.#changes.values()];
  }
  publish(): void {
    if (this.#batch.length > 0) for (const observer of this.#observers) observer(this.#batch);
  }
  forget(): void {
    if (this.#changes.size > 0) this.#changes.clear();
    this.#batch = [];
  }

  /** A key may leave one input and enter another in the same flush: that is one step. */
  #take(change: Change<K, V>): void {
    const other = this.#changes.get(change.key);
    if (other === undefined) this.#changes.set(change.key, change);
    else
      this.#changes.set(change.key, {
        key: change.key,
        before: other.before ?? change.before,
        after: other.after ?? change.after,
      });
  }
}
