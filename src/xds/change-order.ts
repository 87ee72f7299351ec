import type { Position } from "./resource.ts";

const NONE = -1;

/** Slots in the order of their last change: a doubly linked list in arrays, 16 bytes a slot, nothing to compact. */
export class ChangeOrder {
  #older = new Int32Array(0);
  #newer = new Int32Array(0);
  #at = new Float64Array(0);
  #newest = NONE;

  /** When `slot` last changed; only for slots that were touched and not forgotten. */
  changedAt(slot: number): Position {
    return this.#at[slot]!;
  }

  /** Makes `slot`, known or not, the newest. Positions never go down. */
  touch(slot: number, at: Position): void {
    this.#makeRoom(slot);
    this.forget(slot);
    this.#at[slot] = at;
    this.#older[slot] = this.#newest;
    if (this.#newest !== NONE) this.#newer[this.#newest] = slot;
    this.#newest = slot;
  }

  forget(slot: number): void {
    if (this.#newest !== slot && this.#newer[slot] === NONE) return;
    const older = this.#older[slot]!;
    const newer = this.#newer[slot]!;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer] = older;
    if (older !== NONE) this.#newer[older] = newer;
    this.#older[slot] = this.#newer[slot] = NONE;
  }

  /** Slots changed after `position`, each once, newest first. Do not touch while iterating. */
  *since(position: Position): Iterable<number> {
    for (let slot = this.#newest; slot !== NONE && this.#at[slot]! > position; slot = this.#older[slot]!) yield slot;
  }

  #makeRoom(slot: number): void {
    if (slot < this.#at.length) return;
    const length = Math.ceil((slot + 16) * 1.25);
    this.#older = grown(this.#older, new Int32Array(length).fill(NONE));
    this.#newer = grown(this.#newer, new Int32Array(length).fill(NONE));
    this.#at = grown(this.#at, new Float64Array(length));
  }
}

/** `to`, which is longer, with what `from` holds at its start. */
export function grown<A extends Int32Array | Uint32Array | Float64Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
