import type { WorkloadUid } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { CollectionNode, type Graph, rankAbove } from "./collection/graph.ts";
import type { Workload } from "./model/workload.ts";

/**
 * Addresses that peers claim for their pods and that workloads of our own have: a peer on our network must not stand in for
 * them. Where no peer claims any, which is nearly everywhere, nothing is kept of our own.
 */
export function takenAddresses(
  graph: Graph,
  claims: Collection<WorkloadUid, Workload>,
  own: Collection<WorkloadUid, Workload>,
): Collection<string, true> {
  const node = new TakenAddresses(claims, own);
  graph.add(node);
  return node;
}

class TakenAddresses extends CollectionNode<string, true> {
  readonly #claimed = new Map<string, number>();
  /** Undefined while nobody claims anything. */
  #own: Map<string, number> | undefined;

  constructor(
    readonly claims: Collection<WorkloadUid, Workload>,
    readonly own: Collection<WorkloadUid, Workload>,
  ) {
    super("taken-addresses", rankAbove([claims, own]), (a, b) => a === b);
  }

  override settle(): void {
    const touched = count(this.#claimed, this.claims.batch);
    if (this.#claimed.size === 0) this.#own = undefined;
    else if (this.#own === undefined) this.#countOwn();
    else for (const address of count(this.#own, this.own.batch)) touched.add(address);
    for (const address of touched)
      this.write(address, this.#claimed.has(address) && this.#own?.has(address) ? true : undefined);
  }

  #countOwn(): void {
    this.#own = new Map();
    for (const [, { addresses }] of this.own.entries())
      for (const address of addresses) this.#own.set(address, (this.#own.get(address) ?? 0) + 1);
  }
}

/** @returns the addresses that were counted up or down. */
function count(counts: Map<string, number>, batch: Collection<WorkloadUid, Workload>["batch"]): Set<string> {
  const touched = new Set<string>();
  const step = (workload: Workload | undefined, by: 1 | -1): void => {
    for (const address of workload?.addresses ?? []) {
      touched.add(address);
      const next = (counts.get(address) ?? 0) + by;
      if (next === 0) counts.delete(address);
      else counts.set(address, next);
    }
  };
  for (const { before, after } of batch) {
    step(after, 1);
    step(before, -1);
  }
  return touched;
}
