import { isMarker, markerOf } from "./marker.ts";

/** Shorter ones would be found in what has nothing to do with them. */
const LENGTH_MIN = 8;
const LENGTH_MAX = 16_384;
/** More are redacted where they stand, but not looked for elsewhere. */
const SECRETS_MAX = 5_000;
/** In one regular expression. */
const NEEDLES_AT_ONCE = 400;

/**
 * Values that were found to be secret where they stand, and are looked for wherever else they are said: in plain, as base64
 * (also in the midst of a longer text), in hex, and as URLs and JSON write them.
 */
export class SecretBook {
  readonly #needles = new Set<string>();
  #secrets = 0;
  #patterns: readonly RegExp[] | undefined;

  /** True if secrets were found that cannot be looked for elsewhere, as there are too many. */
  get full(): boolean {
    return this.#secrets >= SECRETS_MAX;
  }

  /** Words such as `postgres` are not looked for: they would take the names of things with them. */
  learn(secret: string): void {
    const value = secret.trim();
    if (value.length < LENGTH_MIN || value.length > LENGTH_MAX || isMarker(value)) return;
    if (isWord(value) || this.full || this.#needles.has(value)) return;
    this.#secrets++;
    this.#patterns = undefined;
    for (const needle of writingsOf(value)) if (needle.length >= LENGTH_MIN) this.#needles.add(needle);
  }

  /** @param onFound called for each place. */
  sweep(text: string, onFound: () => void): string {
    let swept = text;
    for (const pattern of (this.#patterns ??= patternsOf(this.#needles)))
      swept = swept.replace(pattern, () => (onFound(), markerOf("mentioned again")));
    return swept;
  }
}

const isWord = (value: string): boolean => /^[a-z]+(?:[-_. ][a-z]+)*$/i.test(value) || /^\d{1,9}$/.test(value);

/** Each way in which a text, or the bytes that it stands for, may be written. */
function* writingsOf(value: string): Iterable<string> {
  const bytes = Buffer.from(value, "utf8");
  yield value;
  yield JSON.stringify(value).slice(1, -1);
  yield JSON.stringify(JSON.stringify(value).slice(1, -1)).slice(1, -1);
  yield* encodingsOf(bytes);
  for (const percent of [encodeURIComponent(value), new URLSearchParams({ v: value }).toString().slice(2)]) {
    yield percent;
    yield percent.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
  }
  const decoded = /^[A-Za-z0-9+/]{16,}={0,2}$/.test(value) ? Buffer.from(value, "base64") : undefined;
  if (decoded !== undefined && decoded.length >= LENGTH_MIN) yield* encodingsOf(decoded);
}

function* encodingsOf(bytes: Buffer): Iterable<string> {
  const hex = bytes.toString("hex");
  yield hex;
  yield hex.toUpperCase();
  for (const encoded of within(bytes)) {
    yield encoded;
    yield encoded.replace(/\+/g, "-").replace(/\//g, "_");
    yield encodeURIComponent(encoded);
  }
}

/** What base64 of a longer text has of `bytes` for certain, wherever in it they begin: characters shared with neighbours are left out. */
function within(bytes: Buffer): readonly string[] {
  return [0, 1, 2].map((offset) => {
    const shifted = Buffer.concat([Buffer.alloc(offset), bytes]);
    const sure = Math.floor((shifted.length * 8) / 6);
    return shifted.toString("base64").slice(Math.ceil((offset * 8) / 6), sure);
  });
}

function patternsOf(needles: ReadonlySet<string>): readonly RegExp[] {
  // The longest first: one may begin with another.
  const sorted = [...needles].sort((a, b) => b.length - a.length);
  const patterns: RegExp[] = [];
  for (let at = 0; at < sorted.length; at += NEEDLES_AT_ONCE)
    patterns.push(
      new RegExp(
        sorted
          .slice(at, at + NEEDLES_AT_ONCE)
          .map(escaped)
          .join("|"),
        "g",
      ),
    );
  return patterns;
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
