/**
 * A digest of a set of names and versions that does not depend on order and changes in constant time,
 * so that two replicas can be compared. It finds mistakes, not forgeries: it is no cryptographic hash.
 */
export class ContentDigest {
  #low = 0;
  #high = 0;

  add(name: string, version: string): void {
    const { low, high } = hash(name, version);
    this.#low = (this.#low + low) >>> 0;
    this.#high = (this.#high + high) >>> 0;
  }

  remove(name: string, version: string): void {
    const { low, high } = hash(name, version);
    this.#low = (this.#low - low) >>> 0;
    this.#high = (this.#high - high) >>> 0;
  }

  /** 16 hexadecimal digits; all zero for the empty set. */
  toString(): string {
    return this.#high.toString(16).padStart(8, "0") + this.#low.toString(16).padStart(8, "0");
  }
}

/** Two multiplicative hashes of 32 bits, each stirred by the other at the end. */
function hash(name: string, version: string): { readonly low: number; readonly high: number } {
  let low = 0x9e3779b1;
  let high = 0x85ebca77;
  for (const text of [name, "\u0000", version])
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      low = Math.imul(low ^ unit, 0x01000193);
      high = Math.imul(high ^ unit, 0x5bd1e995);
      high ^= high >>> 15;
    }
  low = Math.imul(low ^ (high >>> 16), 0xc2b2ae3d);
  high = Math.imul(high ^ (low >>> 13), 0x27d4eb2f);
  return { low: (low ^ (low >>> 16)) >>> 0, high: (high ^ (high >>> 14)) >>> 0 };
}
