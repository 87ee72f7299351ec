import type { Clock } from "../host.ts";
import { printable } from "../printable.ts";
import type { SubscriptionStatus } from "./resource.ts";

/** The longest text of a NACK that is kept, in characters. */
const REJECTION_CHARACTERS_MAX = 1024;

/** What became of the responses of one type on one stream; at most one waits for its answer. */
export class Answers {
  readonly #clock: Clock;
  readonly #nextNonce: () => string;
  #waitingSinceMs: number | undefined;
  #unansweredBytes = 0;
  #sentNonce = "";
  #sentAt = 0;
  #ackedNonce = "";
  #ackedAt = 0;
  #lastRejection = "";
  #rejections = 0;
  #strays = 0;

  constructor(clock: Clock, nextNonce: () => string) {
    this.#clock = clock;
    this.#nextNonce = nextNonce;
  }

  /** True once a response was sent. */
  get begun(): boolean {
    return this.#sentNonce !== "";
  }
  /** When the response that waits was sent, by `clock.elapsedMs`. */
  get waitingSinceMs(): number | undefined {
    return this.#waitingSinceMs;
  }
  /** Of the response that waits; 0 if none does. */
  get unansweredBytes(): number {
    return this.#waitingSinceMs === undefined ? 0 : this.#unansweredBytes;
  }
  /** Answers with a nonce that does not wait: late, repeated, or made up. */
  get strays(): number {
    return this.#strays;
  }

  /** How many responses the client rejected, in whole or in part. */
  get rejections(): number {
    return this.#rejections;
  }

  /** True if the client has rejected and never accepted: a ztunnel is not ready before it accepts (contract 2.4). */
  get onlyRejected(): boolean {
    return this.#rejections > 0 && this.#ackedNonce === "";
  }

  /** @returns the nonce of the response that is about to be sent. */
  send(bytes: number): string {
    this.#unansweredBytes = bytes;
    this.#sentNonce = this.#nextNonce();
    this.#sentAt = this.#clock.now();
    this.#waitingSinceMs = this.#clock.elapsedMs();
    return this.#sentNonce;
  }

  /** Takes an ACK, or a NACK: a `rejection` is one whatever its code (pitfall 14). */
  receive(nonce: string, rejection: string | undefined): void {
    // The second answer to a response, whichever way it goes, finds nothing waiting.
    if (this.#waitingSinceMs === undefined || nonce !== this.#sentNonce) {
      this.#strays += 1;
      return;
    }
    this.#waitingSinceMs = undefined;
    if (rejection === undefined) {
      this.#ackedNonce = nonce;
      this.#ackedAt = this.#clock.now();
      this.#lastRejection = "";
    } else {
      this.#rejections += 1;
      this.#lastRejection = printable(rejection, REJECTION_CHARACTERS_MAX);
    }
  }

  status(): Pick<
    SubscriptionStatus,
    "sentNonce" | "sentAt" | "ackedNonce" | "ackedAt" | "lastRejection" | "rejections"
  > {
    return {
      sentNonce: this.#sentNonce,
      sentAt: this.#sentAt,
      ackedNonce: this.#ackedNonce,
      ackedAt: this.#ackedAt,
      lastRejection: this.#lastRejection,
      rejections: this.#rejections,
    };
  }
}
