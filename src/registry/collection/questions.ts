import type { Lookup } from "./collection.ts";

/**
 * Which keys asked which queries of one lookup, so that a changed answer finds who must be asked again.
 * Most queries have few askers and many have one, which costs no Set.
 */
export class Askers<K extends string> {
  readonly #askers = new Map<string, K | Set<K>>();

  constructor(readonly lookup: Lookup<string, unknown>) {}

  add(query: string, key: K): void {
    const askers = this.#askers.get(query);
    if (askers === undefined) this.#askers.set(query, key);
    else if (typeof askers !== "string") askers.add(key);
    else if (askers !== key) this.#askers.set(query, new Set([askers, key]));
  }

  remove(query: string, key: K): void {
    const askers = this.#askers.get(query);
    if (askers === key) this.#askers.delete(query);
    else if (askers !== undefined && typeof askers !== "string" && askers.delete(key) && askers.size === 0)
      this.#askers.delete(query);
  }

  /** Adds to `stale` the keys for which an answer changed in the flush now running. */
  collectStale(stale: Set<K>): void {
    if (this.#askers.size === 0) return;
    for (const query of this.lookup.changed.keys()) {
      const askers = this.#askers.get(query);
      if (typeof askers === "string") stale.add(askers);
      else if (askers !== undefined) for (const key of askers) stale.add(key);
    }
  }
}

/** One run's questions, as pairs of a lookup's number and a query; flat, for there are as many as there are pods. */
export type Questions = readonly (number | string)[];

export function sameQuestions(a: Questions, b: Questions): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
