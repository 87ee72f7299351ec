import { LRUCache } from "lru-cache";
import type { Clock } from "../host.ts";

/** Who asked longest ago is forgotten first, and begins anew. */
const ASKERS_MAX = 10_000;

export interface QuotaLimits {
  /** At once, by someone who has not asked for long. */
  readonly burst: number;
  readonly perSecond: number;
}

/** So much for each asker, so that none of them takes all there is (contract identity.md 6, threat 24). */
export class Quota {
  readonly #clock: Clock;
  readonly #limits: QuotaLimits;
  readonly #askers = new LRUCache<string, { left: number; atMs: number }>({ max: ASKERS_MAX });

  constructor(clock: Clock, limits: QuotaLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Takes one of what `asker` may have; false if nothing is left. */
  take(asker: string): boolean {
    const { burst, perSecond } = this.#limits;
    const nowMs = this.#clock.elapsedMs();
    const account = this.#askers.get(asker) ?? { left: burst, atMs: nowMs };
    account.left = Math.min(burst, account.left + ((nowMs - account.atMs) / 1000) * perSecond);
    account.atMs = nowMs;
    this.#askers.set(asker, account);
    if (account.left < 1) return false;
    account.left -= 1;
    return true;
  }
}
