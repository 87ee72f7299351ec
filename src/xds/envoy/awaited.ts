import type { Clock } from "../../host.ts";
import type { TypeUrl } from "../resource.ts";

/** Envoy asks while it answers; if it does not ask for this long, it has no need. */
const PATIENCE_MS = 5_000;

interface Wait {
  /** Of the resource that needs it. */
  readonly forType: TypeUrl;
  readonly typeUrl: TypeUrl;
  readonly name: string;
  readonly sinceMs: number;
}

/** The resources that Envoy must ask for and be sent, before what it was sent before them can be used. */
export class Awaited {
  readonly #clock: Clock;
  readonly #onGivenUp: () => void;
  /** Those that wait longest first. */
  readonly #waits = new Map<string, Wait>();
  #timer: Disposable | undefined;

  /** @param onGivenUp called when some have waited for too long. */
  constructor(clock: Clock, onGivenUp: () => void) {
    this.#clock = clock;
    this.#onGivenUp = onGivenUp;
  }

  add(forType: TypeUrl, typeUrl: TypeUrl, name: string): void {
    const key = keyOf(typeUrl, name);
    this.#waits.delete(key);
    this.#waits.set(key, { forType, typeUrl, name, sinceMs: this.#clock.elapsedMs() });
    this.#timer ??= this.#clock.after(PATIENCE_MS, () => this.#giveUp());
  }

  done(typeUrl: TypeUrl, name: string): void {
    this.#waits.delete(keyOf(typeUrl, name));
  }

  /** What was sent was rejected: of what it needs nothing may ever be asked for. */
  rejected(forType: TypeUrl): void {
    for (const [key, wait] of this.#waits) if (wait.forType === forType) this.#waits.delete(key);
  }

  /** Keeps those of which `waits` is true. @returns whether any of this type are left. */
  any(typeUrl: TypeUrl, waits: (name: string) => boolean): boolean {
    let left = false;
    for (const [key, wait] of this.#waits) {
      if (wait.typeUrl !== typeUrl) continue;
      if (waits(wait.name)) left = true;
      else this.#waits.delete(key);
    }
    return left;
  }

  close(): void {
    this.#timer?.[Symbol.dispose]();
    this.#waits.clear();
  }

  #giveUp(): void {
    const now = this.#clock.elapsedMs();
    for (const [key, { sinceMs }] of this.#waits) if (now - sinceMs >= PATIENCE_MS) this.#waits.delete(key);
    const [oldest] = this.#waits.values();
    this.#timer = oldest && this.#clock.after(Math.max(1, oldest.sinceMs + PATIENCE_MS - now), () => this.#giveUp());
    this.#onGivenUp();
  }
}

const keyOf = (typeUrl: TypeUrl, name: string): string => `${typeUrl} ${name}`;
