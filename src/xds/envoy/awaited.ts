import type { Clock } from "../../host.ts";
import type { TypeUrl } from "../resource.ts";
import { PATIENCE_MS } from "./patience.ts";

interface Wait {
  /** Of the resource that needs it. */
  readonly forType: TypeUrl;
  readonly typeUrl: TypeUrl;
  readonly name: string;
  readonly sinceMs: number;
  /** It is in the response that is unanswered. */
  sent: boolean;
}

/** The resources that Envoy must ask for and have, before what it was sent before them can be used. */
export class Awaited {
  readonly #clock: Clock;
  readonly #waits = new Map<string, Wait>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(forType: TypeUrl, typeUrl: TypeUrl, name: string): void {
    const wait = { forType, typeUrl, name, sinceMs: this.#clock.elapsedMs(), sent: false };
    this.#waits.set(keyOf(typeUrl, name), wait);
  }

  sending(typeUrl: TypeUrl, name: string): void {
    const wait = this.#waits.get(keyOf(typeUrl, name));
    if (wait !== undefined) wait.sent = true;
  }

  /** Nothing of this type is unanswered any more. */
  answered(typeUrl: TypeUrl): void {
    this.#drop((wait) => wait.typeUrl === typeUrl && wait.sent);
  }

  /** What was sent was rejected: of what it needs nothing may ever be asked for. */
  rejected(forType: TypeUrl): void {
    this.#drop((wait) => wait.forType === forType);
  }

  /** Names of this type that were not sent yet. */
  *unsent(typeUrl: TypeUrl): Iterable<string> {
    for (const wait of this.#waits.values()) if (wait.typeUrl === typeUrl && !wait.sent) yield wait.name;
  }

  /** Since when something of this type is waited for; undefined if nothing is that `isThere`, or for too long. */
  since(typeUrl: TypeUrl, isThere: (name: string) => boolean): number | undefined {
    const late = this.#clock.elapsedMs() - PATIENCE_MS;
    this.#drop((wait) => wait.typeUrl === typeUrl && (wait.sinceMs <= late || !isThere(wait.name)));
    let since: number | undefined;
    for (const wait of this.#waits.values()) if (wait.typeUrl === typeUrl) since = Math.max(since ?? 0, wait.sinceMs);
    return since;
  }

  #drop(isOver: (wait: Wait) => boolean): void {
    for (const [key, wait] of this.#waits) if (isOver(wait)) this.#waits.delete(key);
  }
}

const keyOf = (typeUrl: TypeUrl, name: string): string => `${typeUrl} ${name}`;
