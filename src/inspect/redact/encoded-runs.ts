import { derKind } from "./der-kind.ts";
import { markerOf } from "./marker.ts";
import type { Found } from "./text-rules.ts";

/** Looks at a text that was found encoded in another; true if it has a secret. */
export type Holds = (text: string) => boolean;

/** Lines of one width, as PEM and MIME have them, with what is between them in files, JSON strings and URLs. */
const WRAPPED =
  /(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/]{56,80}(?![A-Za-z0-9+/_-])(?:(?:\\*\r|\\+r)?(?:\n|\\+n)[ \t]*[A-Za-z0-9+/]{56,80})*(?:(?:\\*\r|\\+r)?(?:\n|\\+n)[ \t]*[A-Za-z0-9+/]{1,80}={0,2}(?=\s|\\|"|'|$))?/g;
const BASE64 = /(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20,}(?:={1,2}|(?:%3D){1,2})?/g;
const HEX = /(?<![0-9A-Za-z])(?:[0-9a-fA-F]{2}){10,}(?![0-9A-Za-z])/g;
const PERCENT = /(?:[A-Za-z0-9_.~+!*'()-]|%[0-9A-Fa-f]{2}){8,}/g;
/** From here on, what is neither text nor anything known is taken for a key, or a piece of one. */
const LONG_RUN = 56;

/** Takes out what is encoded and has a secret in it; a run that nobody can tell from a piece of a key goes, too. */
export function redactEncoded(text: string, found: Found, holds: Holds): string {
  const taken = (): string => (found("encoded"), markerOf("encoded"));
  return text
    .replace(PERCENT, (run) => (holdsDecoded(run, holds) ? taken() : run))
    .replace(WRAPPED, (run) => (isSecretRun(run.replace(/\s|\\+[nr]/g, ""), holds) ? taken() : run))
    .replace(BASE64, (run) => (isSecretRun(run, holds) ? taken() : run))
    .replace(HEX, (run) => (isSecretHex(run, holds) ? taken() : run));
}

function isSecretRun(run: string, holds: Holds): boolean {
  // Digests and serial numbers; those that spell a text or a key are told below.
  if (/^[0-9a-fA-F]+$/.test(run)) return false;
  const bytes = Buffer.from(run.replace(/%3D/gi, "="), "base64");
  const kind = derKind(bytes);
  if (kind !== undefined) return kind === "private";
  const said = textOf(bytes);
  if (said !== undefined) return holds(said);
  // Nobody can say what is in it.
  if (isCompressed(bytes)) return true;
  return run.length >= LONG_RUN && looksRandom(run);
}

function isSecretHex(run: string, holds: Holds): boolean {
  const bytes = Buffer.from(run, "hex");
  if (derKind(bytes) === "private") return true;
  const said = textOf(bytes);
  return said !== undefined && holds(said);
}

function holdsDecoded(run: string, holds: Holds): boolean {
  if (!/%.*%/.test(run)) return false;
  try {
    return holds(decodeURIComponent(run.replace(/\+/g, " ")));
  } catch {
    return false;
  }
}

const isCompressed = (bytes: Buffer): boolean => bytes.length > 18 && bytes[0] === 0x1f && bytes[1] === 0x8b;

/** Undefined if it is no text. The last character may be cut. */
function textOf(bytes: Buffer): string | undefined {
  if (bytes.length < 6) return undefined;
  const text = bytes.toString("utf8").replace(/\uFFFD{1,3}$/, "");
  // eslint-disable-next-line no-control-regex
  return /[\uFFFD\u0000-\u0008\u000E-\u001F\u007F]/.test(text) ? undefined : text;
}

/** Names and paths have neither so many kinds of characters nor so few separators. */
function looksRandom(run: string): boolean {
  const count = (kind: RegExp): number => run.match(kind)?.length ?? 0;
  return count(/[A-Z]/g) >= 5 && count(/[a-z]/g) >= 5 && count(/[0-9]/g) >= 3 && count(/[/-]/g) <= run.length / 10;
}
