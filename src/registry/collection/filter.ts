import type { Collection } from "./collection.ts";
import { CollectionNode, type Graph, rankAbove } from "./graph.ts";

/** Those values of a collection that `keep` wants. Unlike a derivation it remembers nothing of the others. */
export function filter<K extends string, V>(
  graph: Graph,
  name: string,
  from: Collection<K, V>,
  /** Pure. */
  keep: (value: V) => boolean,
): Collection<K, V> {
  const node = new Filtered(name, from, keep);
  graph.add(node);
  return node;
}

class Filtered<K extends string, V> extends CollectionNode<K, V> {
  constructor(
    name: string,
    readonly from: Collection<K, V>,
    readonly keep: (value: V) => boolean,
  ) {
    // What has changed at all has been settled by `from`.
    super(name, rankAbove([from]), () => false);
  }

  override settle(): void {
    for (const { key, after } of this.from.batch)
      this.write(key, after !== undefined && this.keep(after) ? after : undefined);
  }
}
