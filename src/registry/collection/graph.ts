import type { Change, ChangeBatch, Collection } from "./collection.ts";

/** Settles collections in rank order, so no reader ever sees half of a change. */
export class Graph {
  readonly #nodes: Node[] = [];
  #dirty = false;
  /** Called when the first write since the last flush arrives. */
  onDirty: () => void = () => {};

  add(node: Node): void {
    const at = this.#nodes.findIndex((other) => other.rank > node.rank);
    this.#nodes.splice(at < 0 ? this.#nodes.length : at, 0, node);
  }

  touch(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.onDirty();
  }

  flush(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    for (const node of this.#nodes) node.settle();
    for (const node of this.#nodes) node.publish();
    for (const node of this.#nodes) node.forget();
  }
}

export interface Node {
  readonly rank: number;
  settle(): void;
  publish(): void;
  forget(): void;
}

/** The half every collection shares: state, the current batch, observers. */
export abstract class CollectionNode<K extends string, V> implements Node, Collection<K, V> {
  protected readonly values = new Map<K, V>();
  #batch = new Map<K, Change<K, V>>();
  #observers = new Set<(batch: ChangeBatch<K, V>) => void>();

  constructor(
    readonly name: string,
    readonly rank: number,
    protected readonly equals: (a: V, b: V) => boolean,
  ) {}

  get size(): number {
    return this.values.size;
  }
  get batch(): ChangeBatch<K, V> {
    return [...this.#batch.values()];
  }
  get changed(): ReadonlySet<K> {
    return this.#batch as unknown as ReadonlySet<K>;
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

  protected write(key: K, after: V | undefined): void {
    const before = this.values.get(key);
    if (before === undefined ? after === undefined : after !== undefined && this.equals(before, after)) return;
    if (after === undefined) this.values.delete(key);
    else this.values.set(key, after);
    const first = this.#batch.get(key);
    const start = first ? first.before : before;
    if (start === undefined && after === undefined) this.#batch.delete(key);
    else this.#batch.set(key, { key, before: start, after });
  }

  abstract settle(): void;
  publish(): void {
    if (this.#batch.size === 0) return;
    const batch = this.batch;
    for (const observer of this.#observers) observer(batch);
  }
  forget(): void {
    this.#batch = new Map();
  }
}
