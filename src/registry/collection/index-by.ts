import { byCodeUnit, type Collection, type Lookup } from "./collection.ts";
import { type Graph, type Node, rankAbove } from "./graph.ts";

/** Most buckets of an index by address have one member, and cost no Map. */
type Bucket<K, V> = One<K, V> | Many<K, V>;

class One<K, V> {
  constructor(
    readonly key: K,
    readonly value: V,
  ) {}
}

class Many<K, V> {
  readonly members = new Map<K, V>();
  /** In key order; made when asked for after a change. */
  sorted: readonly V[] | undefined;
}

/**
 * Groups a collection's values by the buckets each one names.
 * A bucket's values come in key order, so that no answer depends on the order of arrival.
 */
export class Index<K extends string, V> implements Lookup<string, readonly V[]>, Node {
  readonly rank: number;
  readonly name: string;
  readonly #from: Collection<K, V>;
  readonly #bucketsOf: (value: V) => Iterable<string>;
  readonly #buckets = new Map<string, Bucket<K, V>>();
  readonly #changed = new Set<string>();

  constructor(
    graph: Graph,
    from: Collection<K, V>,
    label: string,
    /** Pure. */
    bucketsOf: (value: V) => Iterable<string>,
  ) {
    this.#from = from;
    this.#bucketsOf = bucketsOf;
    this.name = `${from.name}.${label}`;
    this.rank = rankAbove([from]);
    graph.add(this);
  }

  get size(): number {
    return this.#buckets.size;
  }
  get changed(): ReadonlySet<string> {
    return this.#changed;
  }

  get(name: string): readonly V[] {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) return [];
    if (bucket instanceof One) return [bucket.value];
    return (bucket.sorted ??= [...bucket.members].sort(([a], [b]) => byCodeUnit(a, b)).map(([, value]) => value));
  }

  settle(): void {
    for (const { key, before, after } of this.#from.batch) {
      if (before !== undefined) for (const name of this.#bucketsOf(before)) this.#remove(name, key);
      if (after !== undefined) for (const name of this.#bucketsOf(after)) this.#add(name, key, after);
    }
  }
  publish(): void {}
  forget(): void {
    if (this.#changed.size > 0) this.#changed.clear();
  }

  #add(name: string, key: K, value: V): void {
    this.#changed.add(name);
    let bucket = this.#buckets.get(name);
    if (bucket === undefined || (bucket instanceof One && bucket.key === key)) {
      this.#buckets.set(name, new One(key, value));
      return;
    }
    if (bucket instanceof One) {
      const many = new Many<K, V>();
      many.members.set(bucket.key, bucket.value);
      this.#buckets.set(name, (bucket = many));
    }
    bucket.members.set(key, value);
    bucket.sorted = undefined;
  }

  #remove(name: string, key: K): void {
    this.#changed.add(name);
    const bucket = this.#buckets.get(name);
    if (bucket instanceof One) {
      if (bucket.key === key) this.#buckets.delete(name);
    } else if (bucket?.members.delete(key)) {
      bucket.sorted = undefined;
      if (bucket.members.size === 0) this.#buckets.delete(name);
    }
  }
}
