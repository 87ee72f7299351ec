import type { Lookup } from "./collection.ts";

/** Removing one of them is a scan: beyond this a Set is faster. A node has fewer pods. */
const LISTED_MAX = 256;

/**
 * Which keys asked which queries of one lookup, so that a changed answer finds who must be asked again.
 * Many queries have one asker and most have few, which cost no Set.
 */
export class Askers<K extends string> {
  readonly #askers = new Map<string, K | K[] | Set<K>>();

  constructor(readonly lookup: Lookup<string, unknown>) {}

  add(query: string, key: K): void {
    const askers = this.#askers.get(query);
    if (askers === undefined) this.#askers.set(query, key);
    else if (askers instanceof Set) askers.add(key);
    else if (typeof askers === "string") {
      if (askers !== key) this.#askers.set(query, [askers, key]);
      // One run adds all its questions at once, so what it asks twice comes twice in a row.
    } else if (askers.at(-1) === key) return;
    else if (askers.length < LISTED_MAX) askers.push(key);
    else this.#askers.set(query, new Set(askers).add(key));
  }

  remove(query: string, key: K): void {
    const askers = this.#askers.get(query);
    if (askers === undefined) return;
    if (askers === key) this.#askers.delete(query);
    else if (askers instanceof Set) {
      if (askers.delete(key) && askers.size === 0) this.#askers.delete(query);
    } else if (typeof askers !== "string") {
      const at = askers.indexOf(key);
      if (at >= 0) askers.splice(at, 1);
      if (askers.length === 0) this.#askers.delete(query);
    }
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
