import { MeshError } from "../errors.ts";
import type { EpochMs, Host, Logger } from "../host.ts";
import { HeldSvid, type IdentityKeeper, textOf } from "./held-svid.ts";
import type { Svid } from "./svid.ts";

/** Asks for an identity with a new key; must end when `signal` aborts. */
export type AskForSvid = (signal: AbortSignal) => Promise<Svid>;

/** A request that is not answered by then is given up. */
const ANSWER_MS = 30_000;
/** Failures in a row wait 1, 2, 4, … seconds, a fifth more or less, 150 s at most: as ztunnel (contract ztunnel.md 4.2). */
const RETRY = { firstMs: 1_000, longestMs: 150_000, spread: 0.2 };
/** Whatever the CA gives, it is not asked without a pause. */
const PAUSE_MS = 1_000;
/** Half of the remaining life, a tenth more or less: gateways that start at once must not renew at once for ever. */
const RENEWAL = { share: 0.5, spread: 0.1 };
/** The wall clock can jump, and timers stand still while a machine sleeps: nothing waits longer without a look at it. */
const LOOK_MS = 60_000;

const CA = { none: "there is no certificate yet", silent: "the CA has not answered", late: "it is being renewed" };

/**
 * Keeps us an identity of the mesh's own: gets one, renews it, tries again for as long as that fails. The old one is
 * served until there is another, whatever happens; that it has ended, or is about to, is said. No I/O.
 */
export class SvidKeeper implements IdentityKeeper {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #ask: AskForSvid;
  readonly #onSvid: (svid: Svid) => void;
  readonly #held: HeldSvid;
  #failures = 0;
  #dueAt: EpochMs = 0;
  #timer: Disposable | undefined;
  #asking: AbortController | undefined;
  /** Somebody wants another one, which the request that is under way may not give. */
  #askAgain = false;
  #closed = false;

  constructor(host: Host, ask: AskForSvid, onSvid: (svid: Svid) => void) {
    this.#host = host;
    this.#log = host.log.scope("gateway");
    this.#ask = ask;
    this.#onSvid = onSvid;
    this.#held = new HeldSvid(host, CA);
  }

  get svid(): Svid | undefined {
    return this.#held.svid;
  }

  whyNone(): string | undefined {
    return this.#held.whyNone();
  }

  /** Asks now, even if what we have is good for long: the roots have changed. Also the way to begin. */
  renew(): void {
    if (this.#asking !== undefined) this.#askAgain = true;
    else void this.#request();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    this.#asking?.abort();
  }

  async #request(): Promise<void> {
    if (this.#closed) return;
    this.#timer?.[Symbol.dispose]();
    this.#askAgain = false;
    const asking = (this.#asking = new AbortController());
    const late = this.#host.clock.after(ANSWER_MS, () => asking.abort());
    try {
      const svid = await this.#ask(asking.signal);
      if (!this.#closed) this.#take(svid);
    } catch (thrown) {
      if (!this.#closed) this.#failed(thrown);
    } finally {
      late[Symbol.dispose]();
      this.#asking = undefined;
    }
    if (this.#askAgain) void this.#request();
    else this.#wait();
  }

  #take(svid: Svid): void {
    const { clock, random } = this.#host;
    const now = clock.now();
    this.#held.take(svid);
    this.#failures = 0;
    const share = RENEWAL.share + RENEWAL.spread * (2 * random.next() - 1);
    this.#dueAt = now + Math.max(PAUSE_MS, (svid.notAfter - now) * share);
    const { spiffeId } = svid;
    this.#log.info("we have a certificate", { spiffeId, until: textOf(svid.notAfter), renewal: textOf(this.#dueAt) });
    this.#onSvid(svid);
  }

  #failed(thrown: unknown): void {
    const { clock, random } = this.#host;
    const { message } = MeshError.from(thrown);
    const rangeMs = Math.min(RETRY.longestMs, RETRY.firstMs * 2 ** Math.min(this.#failures, 10));
    const held = this.#held.svid;
    const now = clock.now();
    // A short life must not end within one pause.
    const leftMs = held === undefined || held.notAfter <= now ? Infinity : Math.max(PAUSE_MS, held.notAfter - now);
    const waitMs = Math.min(leftMs, rangeMs * (1 + RETRY.spread * (2 * random.next() - 1)));
    this.#failures += 1;
    this.#dueAt = now + waitMs;
    this.#held.failed(message);
    const { until } = this.#held;
    this.#log.error(`no new certificate: ${message}`, { retryMs: Math.round(waitMs), failures: this.#failures, until });
  }

  #wait(): void {
    if (this.#closed) return;
    const now = this.#host.clock.now();
    this.#held.tellEnd();
    if (this.#dueAt <= now) void this.#request();
    else this.#timer = this.#host.clock.after(Math.min(this.#dueAt - now, LOOK_MS), () => this.#wait());
  }
}
