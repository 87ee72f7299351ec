import type { Clock } from "../../host.ts";
import type { Problem } from "../../registry/model/problem.ts";

/** Whoever has a token may be refused under many names. */
const PROXIES_MAX = 256;
/** Envoy tries again every half minute at the latest: who does not has given up, or was let in elsewhere. */
const FORGET_MS = 120_000;

interface Refused {
  readonly gateway: string;
  readonly proxy: string;
  readonly why: string;
  readonly atMs: number;
}

/** The proxies that wait to be let in, and why they were not; bounded, and forgotten once they are silent. */
export class RefusedProxies {
  readonly #clock: Clock;
  /** Those that were refused longest ago first. */
  readonly #refused = new Map<string, Refused>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns true if that was not known. */
  note(gateway: string, proxy: string, why: string): boolean {
    const key = `${gateway} ${proxy}`;
    const before = this.#refused.get(key);
    this.#refused.delete(key);
    this.#refused.set(key, { gateway, proxy, why, atMs: this.#clock.elapsedMs() });
    const [first] = this.#refused.keys();
    if (this.#refused.size > PROXIES_MAX) this.#refused.delete(first!);
    return before?.why !== why;
  }

  /** @returns true if it was refused before. */
  forgive(gateway: string, proxy: string): boolean {
    return this.#refused.delete(`${gateway} ${proxy}`);
  }

  problems(): readonly Problem[] {
    const since = this.#clock.elapsedMs() - FORGET_MS;
    for (const [key, { atMs }] of this.#refused) if (atMs < since) this.#refused.delete(key);
    return Array.from(this.#refused.values(), ({ gateway, proxy, why }) => ({
      object: `Gateway ${gateway}`,
      origin: "",
      field: "",
      message: `Its proxy ${proxy} is not let in: ${why}.`,
      severity: "warning",
    }));
  }
}
