import { isDeepStrictEqual } from "node:util";
import type { Collection } from "./collection.ts";
import { CollectionNode, type Graph } from "./graph.ts";
import { Index } from "./index-by.ts";

export interface Merge<K extends string, V, G extends string, M> {
  readonly name: string;
  readonly from: Collection<K, V>;
  readonly by: (value: V) => G;
  /** Members arrive sorted by key, so that the answer does not depend on arrival order. */
  readonly combine: (group: G, members: readonly V[]) => M | undefined;
}

/** One value per group, recomputed when any member of the group changes. */
export function merge<K extends string, V, G extends string, M>(
  graph: Graph,
  options: Merge<K, V, G, M>,
): Collection<G, M> {
  const groups = new Index(graph, options.from, `by-group`, (value) => [options.by(value)]);
  const node = new Merged(options, groups);
  graph.add(node);
  return node;
}

class Merged<K extends string, V, G extends string, M> extends CollectionNode<G, M> {
  constructor(
    readonly options: Merge<K, V, G, M>,
    readonly groups: Index<K, V>,
  ) {
    super(options.name, groups.rank + 1, isDeepStrictEqual);
  }
  override settle(): void {
    for (const bucket of this.groups.changed) {
      const members = this.groups.get(bucket);
      this.write(bucket as G, members.length === 0 ? undefined : this.options.combine(bucket as G, members));
    }
  }
}
