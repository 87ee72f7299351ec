import type { BundleSource } from "../bundle-config.ts";
import { messageOf } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import { type BundleDocument, parseBundleDocument } from "./bundle-document.ts";
import type { FetchBundle } from "./bundle-fetch.ts";

/** SPIRE looks four times within a hint, and takes none below a minute (contract identity.md 1.6). */
const LOOKS_PER_HINT = 4;
const HINT_MS = 300_000;
const REFRESH_MS = { min: 15_000, max: 1_800_000 } as const;
const RETRY_MS = 5_000;
/** Somebody who says that there is another bundle is heard this often. */
const HURRY_MS = 10_000;
/** A replica that lags behind says so once or twice; who was made anew goes on saying it. */
const BEHIND_MAX = 3;

/** A bundle as it was read. */
export interface ReadBundle {
  readonly text: string;
  readonly document: BundleDocument;
  readonly readAt: EpochMs;
}

export interface FollowerEvents {
  /** The bundle is another than before; `before` is undefined for the first. */
  changed(now: ReadBundle, before: ReadBundle | undefined): void;
  /** After each look, whatever came of it: undefined, or why it failed. */
  looked(why: string | undefined): void;
}

/** Reads one bundle again and again; what was good last stays until something else is. */
export class BundleFollower {
  readonly source: BundleSource;
  readonly #host: Host;
  readonly #fetch: FetchBundle;
  readonly #events: FollowerEvents;
  readonly #closing = new AbortController();
  #current: ReadBundle | undefined;
  #why: string | undefined;
  #failures = 0;
  #behind = 0;
  #lookedMs = -Infinity;
  #looking: Promise<void> | undefined;
  #timer: Disposable | undefined;

  /** @param remembered what was read before our last stop. */
  constructor(
    host: Host,
    source: BundleSource,
    fetch: FetchBundle,
    remembered: ReadBundle | undefined,
    events: FollowerEvents,
  ) {
    this.#host = host;
    this.source = source;
    this.#fetch = fetch;
    this.#current = remembered;
    this.#events = events;
  }

  get current(): ReadBundle | undefined {
    return this.#current;
  }
  /** Why the last look failed; undefined if it did not, or there was none. */
  get why(): string | undefined {
    return this.#why;
  }
  /** How many looks in a row have failed. */
  get failures(): number {
    return this.#failures;
  }

  /** Resolves after the first look. */
  start(): Promise<void> {
    return this.#look();
  }

  /** Looks soon, as somebody knows more than we do. */
  hurry(): void {
    if (this.#looking !== undefined || this.#closing.signal.aborted) return;
    const waitMs = this.#lookedMs + HURRY_MS - this.#host.clock.elapsedMs();
    this.#again(Math.max(0, waitMs));
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error("we are stopping"));
    this.#timer?.[Symbol.dispose]();
    await this.#looking;
  }

  #again(delayMs: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#host.clock.after(delayMs, () => void this.#look());
  }

  /** Never rejects. */
  #look(): Promise<void> {
    this.#lookedMs = this.#host.clock.elapsedMs();
    this.#looking = this.#read().then((why) => {
      this.#looking = undefined;
      if (this.#closing.signal.aborted) return;
      this.#why = why;
      this.#failures = why === undefined ? 0 : this.#failures + 1;
      this.#events.looked(why);
      this.#again(this.#delayMs());
    });
    return this.#looking;
  }

  /** Why there is nothing new that counts. */
  async #read(): Promise<string | undefined> {
    try {
      const text = await this.#fetch(this.source, this.#closing.signal);
      if (!this.#closing.signal.aborted) this.#take(text);
      return undefined;
    } catch (thrown) {
      return messageOf(thrown);
    }
  }

  #take(text: string): void {
    const document = parseBundleDocument(text, this.source.trustDomains);
    const before = this.#current;
    if (before !== undefined && !sameRoots(before.document, document)) this.#checkSequence(before.document, document);
    this.#behind = 0;
    const now = { text, document, readAt: this.#host.clock.now() };
    this.#current = now;
    if (before === undefined || !sameRoots(before.document, document)) this.#events.changed(now, before);
  }

  #checkSequence(before: BundleDocument, now: BundleDocument): void {
    if (before.sequence === undefined || now.sequence === undefined || now.sequence >= before.sequence) return;
    if (++this.#behind >= BEHIND_MAX) return;
    throw new Error(
      `it has other roots under sequence ${now.sequence}, which is older than ${before.sequence}; ` +
        `they count once they have been said ${BEHIND_MAX} times in a row`,
    );
  }

  #delayMs(): number {
    const jitter = 0.9 + 0.2 * this.#host.random.next();
    const { refreshHintSeconds } = this.#current?.document ?? {};
    const hintMs = refreshHintSeconds === undefined ? HINT_MS : refreshHintSeconds * 1000;
    const refreshMs = Math.min(Math.max(hintMs / LOOKS_PER_HINT, REFRESH_MS.min), REFRESH_MS.max);
    const delayMs = this.#failures === 0 ? refreshMs : Math.min(RETRY_MS * 2 ** (this.#failures - 1), refreshMs);
    return delayMs * jitter;
  }
}

const keyOf = (der: Uint8Array): string => Buffer.from(der).toString("base64");

function sameRoots(one: BundleDocument, other: BundleDocument): boolean {
  const known = new Set(one.authorities.map(keyOf));
  return known.size === other.authorities.length && other.authorities.every((der) => known.has(keyOf(der)));
}
