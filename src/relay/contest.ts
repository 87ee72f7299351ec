import type { Clock } from "../host.ts";
import type { ClusterId } from "../names.ts";

/** One that is restarted takes the place of its own stream once or twice; two that fight do so without end. */
const TAKEOVERS = 3;
const WITHIN_MS = 300_000;

interface Takeovers {
  readonly atMs: number[];
  addresses: readonly [string, string];
}

/** Sees two control planes that are one cluster by their certificates, each of which ends the other's stream. */
export class Contest {
  readonly #clock: Clock;
  readonly #takeovers = new Map<ClusterId, Takeovers>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A stream from `to` took the place of one from `from` that was open. @returns whether that is a fight. */
  took(cluster: ClusterId, from: string, to: string): boolean {
    const known = this.#takeovers.get(cluster) ?? { atMs: [], addresses: [from, to] };
    known.atMs.push(this.#clock.elapsedMs());
    if (known.atMs.length > TAKEOVERS) known.atMs.shift();
    known.addresses = [from, to];
    this.#takeovers.set(cluster, known);
    return this.whyContested(cluster) !== undefined;
  }

  /** With both addresses; undefined once they have not fought for five minutes. */
  whyContested(cluster: ClusterId): string | undefined {
    const known = this.#takeovers.get(cluster);
    if (known === undefined || known.atMs.length < TAKEOVERS) return undefined;
    if (this.#clock.elapsedMs() - known.atMs[0]! > WITHIN_MS) return undefined;
    const [from, to] = known.addresses;
    return `two control planes claim to be cluster ${cluster}, one from ${from} and one from ${to}, and end each other's streams: give one of them another name and a token of its own, and run causeway trust revoke --cluster ${cluster} if you know only one of them`;
  }
}
