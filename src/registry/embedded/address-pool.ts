import { isIPv4 } from "node:net";
import { MeshError } from "../../errors.ts";
import { hashNumber } from "./object-uid.ts";
import { Remembered } from "./remembered.ts";

/** Hands out the addresses of one IPv4 range, to the same key the same one as long as it is remembered. */
export class AddressPool {
  readonly #range: Range;
  readonly #remembered: Remembered;
  readonly #holders = new Map<number, string>();
  #claimed: ReadonlySet<number> = new Set();

  /**
   * @param name what the range is for, as `podCidr`; for errors.
   * @throws MeshError `invalid` if `cidr` is not an IPv4 range of at least four addresses.
   */
  constructor(name: string, cidr: string, saved: Readonly<Record<string, string>> = {}) {
    this.#range = parseRange(name, cidr);
    // A range that was changed since, or an address that was saved twice, is not worth an error: both get a new one.
    const valid = Object.entries(saved).filter(([key, address]) => {
      const slot = this.#slotOf(address);
      if (slot === undefined || this.#holders.has(slot)) return false;
      this.#holders.set(slot, key);
      return true;
    });
    this.#remembered = new Remembered(valid);
  }

  /** Starts a round. `claimed` are addresses that manifests state themselves, which nobody else may get. */
  begin(claimed: Iterable<string>): void {
    this.#remembered.begin();
    this.#claimed = new Set([...claimed].map((address) => this.#slotOf(address)).filter((slot) => slot !== undefined));
  }

  /** @returns undefined if every address is taken. */
  assign(key: string): string | undefined {
    const known = this.#remembered.get(key);
    if (known !== undefined) {
      if (this.#claimed.size === 0 || !this.#claimed.has(this.#slotOf(known)!)) return known;
      this.#holders.delete(this.#slotOf(known)!);
    }
    const slot = this.#free(key) ?? this.#reclaim();
    if (slot === undefined) {
      this.#remembered.delete(key);
      return undefined;
    }
    const address = this.#addressAt(slot);
    this.#holders.set(slot, key);
    this.#remembered.set(key, address);
    return address;
  }

  /** Ends a round. @returns true if there is something to save. */
  end(): boolean {
    const pruned = this.#remembered.prune();
    if (pruned.length > 0) {
      const gone = new Set(pruned);
      for (const [slot, key] of this.#holders) if (gone.has(key)) this.#holders.delete(slot);
    }
    return this.#remembered.takeChanged();
  }

  toJSON(): Readonly<Record<string, string>> {
    return this.#remembered.toJSON();
  }

  #isFree(slot: number): boolean {
    return !this.#holders.has(slot) && !this.#claimed.has(slot);
  }

  /** Starts where the key's hash says, so that a mesh built from scratch mostly gets what it had. */
  #free(key: string): number | undefined {
    if (this.#holders.size >= this.#range.size) return undefined;
    const start = hashNumber(key) % this.#range.size;
    for (let step = 0; step < this.#range.size; step++) {
      const slot = (start + step) % this.#range.size;
      if (this.#isFree(slot)) return slot;
    }
    return undefined;
  }

  /** Takes the address of something that is gone, if nothing else is left. */
  #reclaim(): number | undefined {
    for (let key = this.#remembered.evict(); key !== undefined; key = this.#remembered.evict()) {
      const slot = [...this.#holders].find(([, holder]) => holder === key)?.[0];
      if (slot === undefined) continue;
      this.#holders.delete(slot);
      if (this.#isFree(slot)) return slot;
    }
    return undefined;
  }

  #addressAt(slot: number): string {
    const value = this.#range.first + slot;
    return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
  }

  #slotOf(address: string): number | undefined {
    if (!isIPv4(address)) return undefined;
    const slot = ipv4Number(address) - this.#range.first;
    return slot >= 0 && slot < this.#range.size ? slot : undefined;
  }
}

/** The addresses of a range that a host can have. */
interface Range {
  readonly first: number;
  readonly size: number;
}

function parseRange(name: string, cidr: string): Range {
  const [address = "", bits = "", ...rest] = cidr.split("/");
  const length = /^\d{1,2}$/.test(bits) ? Number(bits) : NaN;
  if (!isIPv4(address) || !(length >= 8 && length <= 30) || rest.length > 0)
    throw new MeshError(
      "invalid",
      `${name} ${JSON.stringify(cidr)} is not an IPv4 range from /8 to /30, as 10.244.0.0/16`,
    );
  const size = 2 ** (32 - length);
  const network = Math.floor(ipv4Number(address) / size) * size;
  // The network's own address, the gateway's, which comes first by custom, and the broadcast address.
  return { first: network + 2, size: size - 3 };
}

const ipv4Number = (address: string): number => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
