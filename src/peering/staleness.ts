import type { Clock } from "../host.ts";
import type { PeerStatus } from "../registry/model/peer.ts";

/** What becomes of what a peer said once nobody has confirmed it for longer than the grace (contract peering.md 2.13). */
export type StalePolicy = "retain" | "unhealthy" | "remove";

export interface StaleOptions {
  /** Within it nothing changes for anybody. */
  readonly graceMs: number;
  readonly policy: StalePolicy;
}

/** For how long a peer has not confirmed what it said; by a clock that no jump of wall time moves. */
export class Staleness {
  readonly #clock: Clock;
  readonly #options: StaleOptions;
  #sinceMs: number | undefined;

  constructor(clock: Clock, options: StaleOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Milliseconds; undefined while the peer confirms by being there. */
  get ageMs(): number | undefined {
    return this.#sinceMs === undefined ? undefined : this.#clock.elapsedMs() - this.#sinceMs;
  }
  /** Until the grace is over; undefined if it is not running. */
  get graceLeftMs(): number | undefined {
    const { ageMs } = this;
    return ageMs === undefined || ageMs >= this.#options.graceMs ? undefined : this.#options.graceMs - ageMs;
  }
  get verdict(): PeerStatus["staleness"] {
    if (this.#sinceMs === undefined) return "fresh";
    return this.graceLeftMs === undefined ? this.#options.policy : "within-grace";
  }

  /** Does nothing if it has begun. @param ageMs how old what is known was by then. */
  begin(ageMs = 0): void {
    this.#sinceMs ??= this.#clock.elapsedMs() - Math.max(0, ageMs);
  }

  end(): void {
    this.#sinceMs = undefined;
  }
}
