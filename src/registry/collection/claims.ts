import { byCodeUnit } from "./collection.ts";

/**
 * Who owns each output key, when several inputs write the same one: the smallest input key, in code unit order.
 * The others wait with what they wrote, and take over when the owner leaves. So the outcome depends on what the
 * inputs are, never on the order in which they came.
 */
export class Claims<K extends string, K2 extends string, V2> {
  readonly #owners = new Map<K2, K>();
  /** Only for contested keys: what the losers wrote. */
  readonly #waiting = new Map<K2, Map<K, V2>>();

  /** @returns true if `value` is now the one to show; `shown` is the one that was. */
  claim(output: K2, input: K, value: V2, shown: V2 | undefined): boolean {
    const owner = this.#owners.get(output);
    if (owner === input) return true;
    if (owner === undefined) {
      this.#owners.set(output, input);
      return true;
    }
    let waiting = this.#waiting.get(output);
    if (waiting === undefined) this.#waiting.set(output, (waiting = new Map()));
    if (byCodeUnit(owner, input) < 0) {
      waiting.set(input, value);
      return false;
    }
    waiting.delete(input);
    waiting.set(owner, shown!);
    this.#owners.set(output, input);
    return true;
  }

  /** @returns what to show once `input` no longer writes `output`; `shown` is what shows now. */
  release(output: K2, input: K, shown: V2 | undefined): V2 | undefined {
    const waiting = this.#waiting.get(output);
    if (this.#owners.get(output) !== input) {
      waiting?.delete(input);
      if (waiting?.size === 0) this.#waiting.delete(output);
      return shown;
    }
    if (waiting === undefined) {
      this.#owners.delete(output);
      return undefined;
    }
    const heir = [...waiting.keys()].reduce((least, key) => (byCodeUnit(key, least) < 0 ? key : least));
    const value = waiting.get(heir)!;
    waiting.delete(heir);
    if (waiting.size === 0) this.#waiting.delete(output);
    this.#owners.set(output, heir);
    return value;
  }
}
