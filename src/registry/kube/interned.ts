const ENTRIES_MAX = 200_000;

/**
 * One object for each of equal texts, so that a hundred thousand pods share their node names and labels.
 * Holds at most two generations of `ENTRIES_MAX`: sharing that was forgotten costs memory, never correctness.
 */
export class Interned<V> {
  #young = new Map<string, V>();
  #old = new Map<string, V>();

  get(text: string, make: (text: string) => V): V {
    const known = this.#young.get(text);
    if (known !== undefined) return known;
    const value = this.#old.get(text) ?? make(text);
    if (this.#young.size >= ENTRIES_MAX) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, value);
    return value;
  }
}
