import type { Counter, EpochMs, Gauge, Host, Logger } from "../host.ts";
import type { Svid } from "./svid.ts";

/** Gets us an identity, and keeps it current, from the one place that we were told. */
export interface IdentityKeeper {
  readonly svid: Svid | undefined;
  /** Why we have no identity that anybody would believe; undefined if we have. */
  whyNone(): string | undefined;
  /** Asks now, if there is somebody who waits to be asked: roots have changed. Also the way to begin. */
  renew(): void;
  close(): void;
}

/** What sentences say of the one who gives us identities. */
export interface Giver {
  /** While there was none. */
  readonly none: string;
  /** Why, while there is neither an answer nor a failure. */
  readonly silent: string;
  /** Likewise, of one that has ended. */
  readonly late: string;
}

/** The identity that we show until there is another, whoever gave it: its end is counted, and said. No I/O. */
export class HeldSvid {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #giver: Giver;
  readonly #requests: Counter;
  readonly #expiry: Gauge;
  #svid: Svid | undefined;
  #failure: string | undefined;
  #saidEnded = false;

  constructor(host: Host, giver: Giver) {
    this.#host = host;
    this.#log = host.log.scope("gateway");
    this.#giver = giver;
    const { metrics } = host;
    this.#requests = metrics.counter("gateway_certificate_requests_total", "Certificates that we asked for.", [
      "result",
    ]);
    this.#expiry = metrics.gauge(
      "gateway_certificate_expiry_timestamp_seconds",
      "When the certificate that we show ends, in Unix seconds.",
    );
  }

  get svid(): Svid | undefined {
    return this.#svid;
  }

  /** Why there is no newer one; undefined if nothing is wrong. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** What is left while nothing newer can be had, for logs. */
  get until(): string {
    const svid = this.#svid;
    return svid === undefined ? "we have none" : `the old one is good until ${textOf(svid.notAfter)}`;
  }

  take(svid: Svid): void {
    this.#svid = svid;
    this.#failure = undefined;
    this.#saidEnded = false;
    this.#requests.add(1, { result: "issued" });
    this.#expiry.set(Math.floor(svid.notAfter / 1000));
  }

  failed(why: string): void {
    this.#failure = why;
    this.#requests.add(1, { result: "failed" });
  }

  /** What we have is what we are to have, after all. */
  recovered(): void {
    this.#failure = undefined;
  }

  whyNone(): string | undefined {
    const svid = this.#svid;
    const { none, silent, late } = this.#giver;
    if (svid === undefined) return `${none}: ${this.#failure ?? silent}`;
    if (svid.notAfter > this.#host.clock.now()) return undefined;
    return `the certificate of ${svid.spiffeId} ended at ${textOf(svid.notAfter)}: ${this.#failure ?? late}`;
  }

  /** Once for each. */
  tellEnd(): void {
    const svid = this.#svid;
    if (svid === undefined || svid.notAfter > this.#host.clock.now() || this.#saidEnded) return;
    this.#saidEnded = true;
    const { spiffeId, notAfter } = svid;
    this.#log.error("our certificate has ended: callers refuse us until there is another", {
      spiffeId,
      ended: textOf(notAfter),
    });
  }
}

export const textOf = (at: EpochMs): string => new Date(at).toISOString();
