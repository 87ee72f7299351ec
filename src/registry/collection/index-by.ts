import type { Collection, Lookup } from "./collection.ts";
import type { Graph, Node } from "./graph.ts";

/** Groups a collection's values by the buckets each one names. */
export class Index<K extends string, V> implements Lookup<string, readonly V[]>, Node {
  readonly rank: number;
  readonly name: string;
  readonly #buckets = new Map<string, Map<K, V>>();
  #changed = new Set<string>();

  constructor(
    graph: Graph,
    readonly from: Collection<K, V>,
    label: string,
    readonly bucketsOf: (value: V) => Iterable<string>,
  ) {
    this.name = `${from.name}.${label}`;
    this.rank = from.rank + 1;
    graph.add(this);
  }

  get changed(): ReadonlySet<string> {
    return this.#changed;
  }

  get(bucket: string): readonly V[] {
    return [...(this.#buckets.get(bucket)?.values() ?? [])];
  }

  settle(): void {
    for (const { key, before, after } of this.from.batch) {
      if (before !== undefined)
        for (const bucket of this.bucketsOf(before)) {
          const members = this.#buckets.get(bucket);
          members?.delete(key);
          if (members?.size === 0) this.#buckets.delete(bucket);
          this.#changed.add(bucket);
        }
      if (after !== undefined)
        for (const bucket of this.bucketsOf(after)) {
          let members = this.#buckets.get(bucket);
          if (!members) this.#buckets.set(bucket, (members = new Map()));
          members.set(key, after);
          this.#changed.add(bucket);
        }
    }
  }
  publish(): void {}
  forget(): void {
    this.#changed = new Set();
  }
}
