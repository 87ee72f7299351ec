import type { Collection } from "./collection/collection.ts";
import { CollectionNode, type Graph } from "./collection/graph.ts";

/** Collections of one type as one. Their keys must be disjoint. */
export function union<K extends string, V>(
  graph: Graph,
  name: string,
  inputs: readonly Collection<K, V>[],
): Collection<K, V> {
  const node = new Union(name, inputs);
  graph.add(node);
  return node;
}

class Union<K extends string, V> extends CollectionNode<K, V> {
  constructor(
    name: string,
    readonly inputs: readonly Collection<K, V>[],
  ) {
    // An input reports only what differs, so comparing again would be wasted.
    super(name, 1 + Math.max(...inputs.map((input) => input.rank)), () => false);
  }

  override settle(): void {
    const batches = this.inputs.map((input) => input.batch);
    // A key may leave one input and enter another in the same flush: what left must not undo what came.
    for (const batch of batches) for (const { key, after } of batch) if (after === undefined) this.write(key, after);
    for (const batch of batches) for (const { key, after } of batch) if (after !== undefined) this.write(key, after);
  }
}
