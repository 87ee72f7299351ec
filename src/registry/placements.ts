import type { Collection } from "./collection/collection.ts";
import { CollectionNode, type Graph } from "./collection/graph.ts";
import type { Placement } from "./kube/labels.ts";

/** A collection whose values have labels that selectors look at. */
export interface Labelled {
  readonly rank: number;
  changes(): Iterable<readonly [before: readonly Placement[], after: readonly Placement[]]>;
}

export function labelled<V>(from: Collection<string, V>, placementsOf: (value: V) => readonly Placement[]): Labelled {
  const of = (value: V | undefined): readonly Placement[] => (value === undefined ? [] : placementsOf(value));
  return {
    rank: from.rank,
    *changes() {
      for (const { before, after } of from.batch) yield [of(before), of(after)];
    },
  };
}

/**
 * Every distinct set of labels in a namespace, whoever has it. What depends on labels only is derived once for each,
 * instead of once for each of the thousand pods of a Deployment.
 */
export function distinctPlacements(graph: Graph, inputs: readonly Labelled[]): Collection<string, Placement> {
  const node = new DistinctPlacements(inputs);
  graph.add(node);
  return node;
}

class DistinctPlacements extends CollectionNode<string, Placement> {
  readonly #uses = new Map<string, number>();

  constructor(readonly inputs: readonly Labelled[]) {
    super("placements", 1 + Math.max(...inputs.map((input) => input.rank)), () => true);
  }

  override settle(): void {
    for (const input of this.inputs)
      for (const [before, after] of input.changes()) {
        for (const placement of after) this.#use(placement, 1);
        for (const placement of before) this.#use(placement, -1);
      }
  }

  #use(placement: Placement, step: 1 | -1): void {
    const uses = (this.#uses.get(placement.id) ?? 0) + step;
    if (uses === 0) this.#uses.delete(placement.id);
    else this.#uses.set(placement.id, uses);
    this.write(placement.id, uses === 0 ? undefined : placement);
  }
}
