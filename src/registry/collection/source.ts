import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { CollectionNode, type Graph } from "./graph.ts";

/** A collection written from outside the graph: a watch, a peer link, a test. Writes show after the next flush. */
export class Source<K extends string, V> extends CollectionNode<K, V> {
  readonly #staged = new Map<K, V | undefined>();

  constructor(
    readonly graph: Graph,
    name: string,
    equals: (a: V, b: V) => boolean = isDeepStrictEqual,
  ) {
    super(name, 0, equals);
    graph.add(this);
  }

  set(key: K, value: V): void {
    this.#stage(key, value);
  }

  delete(key: K): void {
    this.#stage(key, undefined);
  }

  /** Makes the keys under `prefix` exactly `entries`, all of which must lie there: a relist, or a cluster that left. */
  replace(prefix: string, entries: Iterable<readonly [K, V]>): void {
    const next = new Map(entries);
    for (const key of this.values.keys()) if (key.startsWith(prefix) && !next.has(key)) this.delete(key);
    for (const key of this.#staged.keys()) if (key.startsWith(prefix) && !next.has(key)) this.delete(key);
    for (const [key, value] of next) {
      assert(key.startsWith(prefix), `${this.name}: ${key} is not under ${prefix}, which it was to replace`);
      this.set(key, value);
    }
  }

  override settle(): void {
    for (const [key, value] of this.#staged) this.write(key, value);
    this.#staged.clear();
  }

  #stage(key: K, value: V | undefined): void {
    this.#staged.set(key, value);
    this.graph.touch();
  }
}
