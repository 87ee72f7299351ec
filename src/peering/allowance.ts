/** What one peer may have us hold, and how fast it may send; beyond it the peer is capped, and the others notice nothing. */
export interface PeerQuota {
  readonly recordsMax: number;
  /** Encoded, of all that is held. */
  readonly bytesMax: number;
  /** On average; `burstBytes` may come at once, as a first state does. */
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
}

/** A cluster that shares 10,000 services of some 2 KB each fits five times over (contract peering.md 2.16 has 100). */
export const PEER_QUOTA: PeerQuota = {
  recordsMax: 50_000,
  bytesMax: 100 * 1024 * 1024,
  bytesPerSecond: 4 * 1024 * 1024,
  burstBytes: 128 * 1024 * 1024,
};

/** What is small costs work, too: a response, and each record or name in it, count as this much at least. */
const LEAST_BYTES = { response: 4096, entry: 1024 } as const;

/** What a response of `bytes` with so many entries takes of a peer's rate, also one that nobody asked for. */
export const costOf = (bytes: number, entries: number): number =>
  Math.max(bytes, LEAST_BYTES.response + entries * LEAST_BYTES.entry);

/** How much of its quota a peer has used. */
export class Tally {
  readonly #quota: PeerQuota;
  #records = 0;
  #bytes = 0;

  constructor(quota: PeerQuota) {
    this.#quota = quota;
  }

  get records(): number {
    return this.#records;
  }
  get bytes(): number {
    return this.#bytes;
  }

  /** Why there is no room for a record of `bytes` in place of one of `beforeBytes`; undefined once it is counted. */
  add(bytes: number, beforeBytes: number | undefined): string | undefined {
    const { recordsMax, bytesMax } = this.#quota;
    if (beforeBytes === undefined && this.#records >= recordsMax) return `${recordsMax} records are held of this peer`;
    if (this.#bytes + bytes - (beforeBytes ?? 0) > bytesMax)
      return `records of ${bytesMax / 1024 / 1024} MiB are held of this peer`;
    if (beforeBytes === undefined) this.#records += 1;
    this.#bytes += bytes - (beforeBytes ?? 0);
    return undefined;
  }

  remove(bytes: number): void {
    this.#records -= 1;
    this.#bytes -= bytes;
  }
}

/** A bucket of bytes that fills at a rate. */
export class ByteRate {
  readonly #quota: PeerQuota;
  #left: number;
  #atMs: number;

  constructor(quota: PeerQuota, nowMs: number) {
    this.#quota = quota;
    this.#left = quota.burstBytes;
    this.#atMs = nowMs;
  }

  /** @returns for how many milliseconds the sender must wait; 0 if not at all. */
  spend(bytes: number, nowMs: number): number {
    const { bytesPerSecond, burstBytes } = this.#quota;
    this.#left = Math.min(burstBytes, this.#left + ((nowMs - this.#atMs) / 1000) * bytesPerSecond) - bytes;
    this.#atMs = nowMs;
    return this.#left >= 0 ? 0 : Math.ceil((-this.#left / bytesPerSecond) * 1000);
  }
}
