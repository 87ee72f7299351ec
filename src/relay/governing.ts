import { Backoff } from "../backoff.ts";
import { messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import type { Bound } from "./messages.ts";

/** Bounds that somebody takes away would share more, and nobody would say so: they are written again. */
const AGAIN_MS = 60_000;
const RETRY = { firstMs: 2_000, longestMs: 60_000 };

/** Has the bounds of an order hold. Those of before do until then, and while nobody says anything of bounds. */
export class Governing {
  readonly #host: Host;
  readonly #govern: (bounds: readonly Bound[] | undefined) => Promise<void>;
  readonly #backoff: Backoff;
  #wanted: { readonly bounds: readonly Bound[] | undefined } | undefined;
  /** What holds, as far as nobody else changes it. */
  #held: { readonly bounds: readonly Bound[] | undefined } | undefined;
  #notBefore = 0;
  #trouble = "";

  constructor(host: Host, govern: (bounds: readonly Bound[] | undefined) => Promise<void>) {
    this.#host = host;
    this.#govern = govern;
    this.#backoff = new Backoff(host.random, RETRY.longestMs, RETRY.firstMs);
  }

  /** True while bounds that were ordered do not hold. */
  get pending(): boolean {
    return this.#wanted !== undefined;
  }

  /** Why they do not; empty if nothing went wrong. */
  get trouble(): string {
    return this.#trouble;
  }

  /** @param bounds undefined: nothing is bounded. */
  want(bounds: readonly Bound[] | undefined): void {
    this.#wanted = { bounds };
    this.#notBefore = 0;
  }

  /** Never rejects: what failed is due again later. */
  async carryOut(): Promise<void> {
    const wanted = this.#wanted ?? this.#held;
    if (wanted === undefined || this.#host.clock.elapsedMs() < this.#notBefore) return;
    try {
      await this.#govern(wanted.bounds);
      if (this.#wanted === wanted) this.#wanted = undefined;
      this.#held = wanted;
      this.#notBefore = this.#wanted === undefined ? this.#host.clock.elapsedMs() + AGAIN_MS : 0;
      this.#trouble = "";
      this.#backoff.reset();
    } catch (thrown) {
      this.#trouble = `the bounds of the order do not hold: ${messageOf(thrown)}`;
      this.#notBefore = this.#host.clock.elapsedMs() + this.#backoff.next();
    }
  }
}
