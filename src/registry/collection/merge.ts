import { isDeepStrictEqual } from "node:util";
import type { Collection } from "./collection.ts";
import { CollectionNode, type Graph, rankAbove } from "./graph.ts";
import { Index } from "./index-by.ts";
import { purely } from "./purely.ts";

export interface Merge<K extends string, V, G extends string, M> {
  readonly name: string;
  readonly from: Collection<K, V>;
  readonly by: (value: V) => G;
  /** Pure. Members come in key order, so that the answer does not depend on the order of arrival; never none. */
  readonly combine: (group: G, members: readonly V[]) => M | undefined;
  readonly equals?: (a: M, b: M) => boolean;
}

/** One value per group, recomputed when any member of the group changes. */
export function merge<K extends string, V, G extends string, M>(
  graph: Graph,
  options: Merge<K, V, G, M>,
): Collection<G, M> {
  const groups = new Index(graph, options.from, `for ${options.name}`, (value) => [options.by(value)]);
  const node = new Merged(options, groups);
  graph.add(node);
  return node;
}

class Merged<K extends string, V, G extends string, M> extends CollectionNode<G, M> {
  readonly #options: Merge<K, V, G, M>;
  readonly #groups: Index<K, V>;

  constructor(options: Merge<K, V, G, M>, groups: Index<K, V>) {
    super(options.name, rankAbove([groups]), options.equals ?? isDeepStrictEqual);
    this.#options = options;
    this.#groups = groups;
  }

  override settle(): void {
    for (const name of this.#groups.changed) {
      const group = name as G;
      const members = this.#groups.get(group);
      const merged = () => (members.length === 0 ? undefined : this.#options.combine(group, members));
      this.write(group, purely(this.name, group, merged));
    }
  }
}
