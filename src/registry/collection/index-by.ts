import { byCodeUnit, type Collection, type Lookup } from "./collection.ts";
import { type Graph, type Node, rankAbove } from "./graph.ts";

/** Most buckets have one member or a few, and cost no Map. */
type Bucket<K, V> = One<K, V> | Few<K, V> | Many<K, V>;

class One<K, V> {
  constructor(
    readonly key: K,
    readonly value: V,
  ) {}
}

/** Adding to a bucket of `Few` copies it: beyond this a Map is faster. */
const FEW_MAX = 64;

/** In key order. Replaced, never changed: who was given the values may keep them. */
class Few<K, V> {
  constructor(
    readonly keys: readonly K[],
    readonly values: readonly V[],
  ) {}

  with(key: K, value: V): Few<K, V> {
    const at = this.#placeOf(key);
    const replaced = this.keys[at] === key ? 1 : 0;
    return new Few(spliced(this.keys, at, replaced, key), spliced(this.values, at, replaced, value));
  }

  without(key: K): Few<K, V> {
    const at = this.#placeOf(key);
    return this.keys[at] === key ? new Few(spliced(this.keys, at, 1), spliced(this.values, at, 1)) : this;
  }

  /** Where `key` is, or belongs. */
  #placeOf(key: K): number {
    const at = this.keys.findIndex((other) => other >= key);
    return at < 0 ? this.keys.length : at;
  }
}

function spliced<T>(list: readonly T[], at: number, removed: number, ...added: readonly T[]): readonly T[] {
  return [...list.slice(0, at), ...added, ...list.slice(at + removed)];
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
    if (bucket instanceof Few) return bucket.values;
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
    const bucket = this.#buckets.get(name);
    if (bucket === undefined || (bucket instanceof One && bucket.key === key))
      this.#buckets.set(name, new One(key, value));
    else if (bucket instanceof One) this.#buckets.set(name, new Few([bucket.key], [bucket.value]).with(key, value));
    else if (bucket instanceof Few && bucket.keys.length < FEW_MAX) this.#buckets.set(name, bucket.with(key, value));
    else this.#addToMany(name, bucket, key, value);
  }

  #addToMany(name: string, bucket: Few<K, V> | Many<K, V>, key: K, value: V): void {
    let many = bucket;
    if (many instanceof Few) {
      const { keys, values } = many;
      many = new Many<K, V>();
      for (const [at, member] of keys.entries()) many.members.set(member, values[at]!);
      this.#buckets.set(name, many);
    }
    many.members.set(key, value);
    many.sorted = undefined;
  }

  #remove(name: string, key: K): void {
    this.#changed.add(name);
    const bucket = this.#buckets.get(name);
    if (bucket instanceof One) {
      if (bucket.key === key) this.#buckets.delete(name);
    } else if (bucket instanceof Few) {
      const left = bucket.without(key);
      if (left.keys.length === 0) this.#buckets.delete(name);
      else this.#buckets.set(name, left);
    } else if (bucket?.members.delete(key)) {
      bucket.sorted = undefined;
      if (bucket.members.size === 0) this.#buckets.delete(name);
    }
  }
}
