import { CollectionNode, type Graph } from "./graph.ts";
import { isDeepStrictEqual } from "node:util";

/** A collection written from outside the graph: a watch, a peer link, a test. */
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

  /** Makes the keys under `prefix` exactly `entries`: a relist, or a cluster that left. */
  replace(prefix: string, entries: Iterable<readonly [K, V]>): void {
    const next = new Map(entries);
    for (const key of [...this.values.keys(), ...this.#staged.keys()])
      if (key.startsWith(prefix) && !next.has(key)) this.delete(key);
    for (const [key, value] of next) this.set(key, value);
  }

  #stage(key: K, value: V | undefined): void {
    this.#staged.set(key, value);
    this.graph.touch();
  }

  override settle(): void {
    for (const [key, value] of this.#staged) this.write(key, value);
    this.#staged.clear();
  }
}
