import { Backoff } from "../../backoff.ts";
import { MeshError } from "../../errors.ts";
import type { Host } from "../../host.ts";

/** A token of Vault's, as it was given. */
export interface TokenGrant {
  readonly token: string;
  /** Infinity for one that never ends, or of which nothing is known. */
  readonly lifeMs: number;
  readonly renewable: boolean;
}

/** How a token is had, and kept alive. Both throw MeshError. */
export interface TokenWay {
  obtain(signal: AbortSignal): Promise<TokenGrant>;
  /** @throws MeshError `unavailable` if it may work later. */
  renew(token: string, signal: AbortSignal): Promise<TokenGrant>;
}

/** One that lives for less is had anew instead. */
const RENEWED_MS_MIN = 10_000;
/** Vault ends it by its own clock, and what is asked takes a while. */
const SPARE_MS = 5_000;
/** One that is refused so soon is not refused for its age. */
const NEW_MS = 5_000;

interface Held extends TokenGrant {
  /** By `Clock.elapsedMs`. */
  readonly sinceMs: number;
  readonly endMs: number;
}

/** The token that we have: asked for when it is needed, renewed at half of its life, had anew when it ends or is refused. */
export class VaultToken {
  readonly #host: Pick<Host, "clock" | "random">;
  readonly #way: TokenWay;
  readonly #backoff: Backoff;
  readonly #closed = new AbortController();
  #held: Held | undefined;
  #obtaining: Promise<string> | undefined;
  #renewal: Disposable | undefined;
  #problem = "";

  constructor(host: Pick<Host, "clock" | "random">, way: TokenWay) {
    this.#host = host;
    this.#way = way;
    this.#backoff = new Backoff(host.random);
  }

  /** Why the token that is used now could not be renewed; empty if all is well. */
  get problem(): string {
    return this.#problem;
  }

  /** However many ask, one is obtained. @throws MeshError as the way. */
  async get(signal: AbortSignal): Promise<string> {
    if (this.#held !== undefined && this.#now < this.#held.endMs) return this.#held.token;
    this.#obtaining ??= this.#obtain().finally(() => (this.#obtaining = undefined));
    return unlessAborted(this.#obtaining, signal);
  }

  /** Tells that Vault refused a token. @returns whether another one may do better. */
  refused(token: string): boolean {
    if (this.#held?.token !== token) return true;
    if (this.#now - this.#held.sinceMs < NEW_MS) return false;
    this.#forget();
    return true;
  }

  close(): void {
    this.#closed.abort();
    this.#forget();
  }

  get #now(): number {
    return this.#host.clock.elapsedMs();
  }

  async #obtain(): Promise<string> {
    const grant = await this.#way.obtain(this.#closed.signal);
    this.#problem = "";
    this.#hold(grant);
    return grant.token;
  }

  #hold(grant: TokenGrant): void {
    this.#forget();
    this.#backoff.reset();
    const now = this.#now;
    this.#held = { ...grant, sinceMs: now, endMs: now + grant.lifeMs - Math.min(SPARE_MS, grant.lifeMs / 10) };
    if (grant.renewable && grant.lifeMs >= RENEWED_MS_MIN && grant.lifeMs < Infinity) this.#renewIn(grant.lifeMs / 2);
  }

  #forget(): void {
    this.#held = undefined;
    this.#renewal?.[Symbol.dispose]();
    this.#renewal = undefined;
  }

  #renewIn(delayMs: number): void {
    if (this.#closed.signal.aborted) return;
    this.#renewal = this.#host.clock.after(Math.min(delayMs, TIMER_MS_MAX), () => void this.#renew());
  }

  /** One that cannot be renewed may have been revoked, so another one is asked for. */
  async #renew(): Promise<void> {
    const held = this.#held;
    if (held === undefined) return;
    try {
      const grant = await this.#way.renew(held.token, this.#closed.signal);
      if (this.#held === held) this.#hold(grant);
      this.#problem = "";
    } catch (thrown) {
      if (this.#held !== held) return;
      const { code, message } = MeshError.from(thrown);
      this.#problem = message;
      if (code === "unavailable") this.#renewIn(this.#backoff.next());
      else this.#forget();
    }
  }
}

/** Timers hold no more than 2^31 ms; renewed too early is renewed. */
const TIMER_MS_MAX = 2 ** 31 - 1;

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new MeshError("unavailable", "nobody waits for Vault's token any more"));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
