/** Counts what is open, in all and of each address, and refuses what would be over. */
export class Quota {
  readonly #max: { readonly total: number; readonly perAddress: number };
  readonly #byAddress = new Map<string, number>();
  #taken = 0;

  constructor(max: { readonly total: number; readonly perAddress: number }) {
    this.#max = max;
  }

  get taken(): number {
    return this.#taken;
  }

  /** @returns what gives the place back, once, however often it is asked to; undefined if there is no place. */
  take(address: string): Disposable | undefined {
    const count = this.#byAddress.get(address) ?? 0;
    if (this.#taken >= this.#max.total || count >= this.#max.perAddress) return undefined;
    this.#taken += 1;
    this.#byAddress.set(address, count + 1);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#giveBack(address);
        held = false;
      },
    };
  }

  #giveBack(address: string): void {
    this.#taken -= 1;
    const count = this.#byAddress.get(address)! - 1;
    if (count > 0) this.#byAddress.set(address, count);
    else this.#byAddress.delete(address);
  }
}
