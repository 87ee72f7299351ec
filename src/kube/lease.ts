/** How long a lease is held, and how often it is asked for. The defaults are what Kubernetes' own components use. */
export interface LeaseTimes {
  /** Others take a lease that nobody renewed for so long. */
  readonly leaseMs: number;
  /** Its holder stops to act on it so long after the last renewal that it knows of; well below `leaseMs`. */
  readonly renewMs: number;
  /** From one attempt to the next. */
  readonly retryMs: number;
}

export const LEASE_TIMES: LeaseTimes = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2_000 };

/** A Lease as it is there, or as it shall be. */
export interface LeaseRecord {
  /** Empty if nobody holds it. */
  readonly holder: string;
  /** What its holder promises to renew it within. */
  readonly leaseMs: number;
  /** RFC 3339, as written; for people: no decision is made by it, since clocks differ and jump. */
  readonly acquired: string;
  /** How often it went from one holder to another. */
  readonly transitions: number;
  /** Changes with every write; empty for one that is not there yet. */
  readonly resourceVersion: string;
}

/** Holders of another version may promise more than we do; what is beyond this is a mistake. */
const LEASE_MS_MAX = 120_000;

/**
 * Who leads, by one Lease: a machine without I/O. All times are milliseconds of a clock that only grows.
 *
 * A holder counts from when it began to ask, up to `renewMs`; a rival from when it saw the last change, for `leaseMs`.
 * The rival's count begins later and is longer, so no two lead at once, whatever their wall clocks say and however long
 * an answer takes.
 */
export class LeaseElection {
  readonly #identity: string;
  readonly #times: LeaseTimes;
  /** What was last seen, kept also when the Lease is gone: deleting it does not end its holder's term. */
  #seen: LeaseRecord | undefined;
  #absent = false;
  #seenMs = 0;
  #mustRead = true;
  #leadsUntilMs = -Infinity;

  constructor(identity: string, times: LeaseTimes = LEASE_TIMES) {
    this.#identity = identity;
    this.#times = times;
  }

  /** True if nothing can be proposed before the Lease was read again. */
  get mustRead(): boolean {
    return this.#mustRead;
  }

  /** Until when we may act, unless renewed; in the past if we do not lead. */
  get leadsUntilMs(): number {
    return this.#leadsUntilMs;
  }

  /** Who holds it, as last seen; empty if nobody. */
  get holder(): string {
    return this.#seen?.holder ?? "";
  }

  leads(nowMs: number): boolean {
    return nowMs < this.#leadsUntilMs;
  }

  /** Takes the Lease as it was read; undefined if there is none. */
  observed(record: LeaseRecord | undefined, nowMs: number): void {
    this.#mustRead = false;
    this.#absent = record === undefined;
    if (record !== undefined) this.#note(record, nowMs);
    if (record !== undefined && record.holder !== this.#identity) this.#leadsUntilMs = -Infinity;
  }

  /** What to write now; undefined if it is another's, or must be read first. `wallTime` is RFC 3339. */
  proposal(nowMs: number, wallTime: string): LeaseRecord | undefined {
    if (this.#mustRead || !this.#isFree(nowMs)) return undefined;
    const seen = this.#seen;
    const ours = seen?.holder === this.#identity;
    return {
      holder: this.#identity,
      leaseMs: this.#times.leaseMs,
      acquired: ours ? seen.acquired : wallTime,
      transitions: ours || seen === undefined ? (seen?.transitions ?? 0) : seen.transitions + 1,
      resourceVersion: this.#absent ? "" : (seen?.resourceVersion ?? ""),
    };
  }

  /** Takes the Lease as the server stored our proposal; `askedMs` is when we began to ask for that. */
  written(record: LeaseRecord, askedMs: number, nowMs: number): void {
    this.observed(record, nowMs);
    if (record.holder === this.#identity) this.#leadsUntilMs = askedMs + this.#times.renewMs;
  }

  /** A write did not succeed, or nobody knows whether it did. */
  failed(): void {
    this.#mustRead = true;
  }

  /** Ends our term, and says what to write so that others need not wait; undefined if there is nothing to give back. */
  release(): LeaseRecord | undefined {
    this.#leadsUntilMs = -Infinity;
    const seen = this.#seen;
    if (seen?.holder !== this.#identity || this.#absent || this.#mustRead) return undefined;
    this.#mustRead = true;
    return { ...seen, holder: "", leaseMs: 1_000 };
  }

  #note(record: LeaseRecord, nowMs: number): void {
    if (record.resourceVersion !== this.#seen?.resourceVersion) this.#seenMs = nowMs;
    this.#seen = record;
  }

  #isFree(nowMs: number): boolean {
    const seen = this.#seen;
    if (seen === undefined || seen.holder === "" || seen.holder === this.#identity) return true;
    const promisedMs = Math.min(Math.max(this.#times.leaseMs, seen.leaseMs), LEASE_MS_MAX);
    return nowMs >= this.#seenMs + promisedMs;
  }
}
