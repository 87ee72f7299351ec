import { redactAssignments } from "./assignments.ts";
import { redactEncoded } from "./encoded-runs.ts";
import { markerOf, type SecretKind } from "./marker.ts";
import { redactPem } from "./pem-blocks.ts";
import { SecretBook } from "./secret-book.ts";
import { type Found, redactHeaders, redactShapes, redactUrls } from "./text-rules.ts";
import { redactValue } from "./values.ts";

/** How often something encoded may hold something encoded; what lies deeper is taken out unseen. */
const DEPTH_MAX = 5;
/** Private fields of a JSON Web Key. */
const JWK_FIELD = /(\\*["'])(d|p|q|dp|dq|qi|k|oth)\1(\s*:\s*)(\\*["'])([A-Za-z0-9_-]{8,})\4?/g;

/**
 * Takes secrets out of what leaves a cluster, before anybody else sees it. It errs on the side of taking out. What it found
 * by its place or its name it also looks for everywhere else: redact everything first, then `sweep` all of it.
 */
export class Redactor {
  readonly #book = new SecretBook();
  readonly #counts = new Map<SecretKind, number>();

  /** A text of any kind: a log, metrics, a manifest. Never throws. */
  text(text: string): string {
    return this.#text(text, this.#found, 0);
  }

  /** What JSON or YAML said; in it texts that are JSON or YAML themselves are read, too. */
  value(value: unknown): unknown {
    return redactValue(value, this.#found, (text) => this.#text(text, this.#found, 0));
  }

  /** Takes out what was found to be a secret elsewhere, however it is written here. */
  sweep(text: string): string {
    return this.#book.sweep(text, () => this.#count("mentioned again"));
  }

  /** How many of each kind were taken out. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** True if there were so many secrets that some were not looked for elsewhere. */
  get overflowed(): boolean {
    return this.#book.full;
  }

  readonly #found: Found = (kind, secret) => {
    this.#count(kind);
    if (secret !== undefined) this.#book.learn(secret);
  };

  #count(kind: SecretKind): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
  }

  #text(text: string, found: Found, depth: number): string {
    const kept: string[] = [];
    const keep = (block: string): string => `\u0001${kept.push(block) - 1}\u0002`;
    let redacted = redactPem(text.replace(/[\u0001\u0002]/g, "\uFFFD"), found, keep);
    redacted = redactShapes(redacted, found);
    redacted = redactJwk(redacted, found);
    redacted = redactHeaders(redacted, found);
    redacted = redactUrls(redacted, found);
    redacted = redactAssignments(redacted, found);
    redacted = redactEncoded(redacted, found, (inner) => this.#holds(inner, depth + 1));
    return redacted.replace(/\u0001(\d+)\u0002/g, (_, at: string) => kept[Number(at)]!);
  }

  /** What is found inside is learned, and counted with what it is inside of. */
  #holds(inner: string, depth: number): boolean {
    if (depth > DEPTH_MAX) return true;
    let any = false;
    const note: Found = (_, secret) => {
      any = true;
      if (secret !== undefined) this.#book.learn(secret);
    };
    redactValue(inner, note, (text) => this.#text(text, note, depth));
    return any;
  }
}

function redactJwk(text: string, found: Found): string {
  if (!/["']kty\\*["']/.test(text)) return text;
  return text.replace(JWK_FIELD, (_, quote: string, name: string, colon: string, mark: string, secret: string) => {
    found("private key", secret);
    return `${quote}${name}${quote}${colon}${mark}${markerOf("private key")}${mark}`;
  });
}
