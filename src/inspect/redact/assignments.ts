import { isMarker, markerOf } from "./marker.ts";
import { isPasswordName, isSecretName } from "./secret-name.ts";
import type { Found } from "./text-rules.ts";

/** A quick look, before any line is read closely. */
const HINT = /pass|pwd|secret|token|key|credential|auth|cookie|psk|otp/i;
const NAME = String.raw`([A-Za-z0-9_.-]{2,100})`;
const BEGIN = String.raw`(?<![A-Za-z0-9_.-])`;
/** What follows is the value, and what ends it; tried in this order at each place. */
const HEADS: readonly (readonly [RegExp, (head: RegExpExecArray, text: string) => number | undefined])[] = [
  // A name, perhaps quoted, and a quote, perhaps escaped: all up to the same quote.
  [new RegExp(String.raw`${BEGIN}${NAME}\\*["']?\s*(?::|=>|=)\s*(\\*["'])`, "g"), quotedEnd],
  [/(\\*["'])(?:name|key)\1\s*:\s*\1([A-Za-z0-9_.-]{2,100})\1\s*,\s*\1value\1\s*:\s*(\1)/g, quotedEnd],
  [/\bname: +["']?([A-Za-z0-9_.-]{2,100})["']?[ \t]*\r?\n[ \t]*value:[ \t]+(?=[^\s"'|>&*!{[#])/g, lineEnd],
  [/\bname: +["']?([A-Za-z0-9_.-]{2,100})["']?[ \t]*\r?\n[ \t]*value:[ \t]+(["'])/g, quotedEnd],
  // As YAML writes it: all of the line is the value.
  [new RegExp(String.raw`(?<=^\s*(?:- +)*)${NAME}:[ \t]+(?=[^\s"'|>&*!{[#])`, "gm"), lineEnd],
  [new RegExp(String.raw`${BEGIN}${NAME}\\*["']?(?:=>|=|:[ \t]*)(?=[^\s"'<>\\|,;&(){}[\]])`, "g"), wordEnd],
  [new RegExp(String.raw`(?<![\w-])--?${NAME}(?:[ \t]+|\\*["'],\s*\\*["'])(?=[^\s"'\\,<-])`, "g"), wordEnd],
];
const BLOCK_LINE = /^([ \t]*(?:- +)*)([A-Za-z0-9_.-]{2,100}):[ \t]*[|>][+-]?\d?[ \t]*\r?$/;

/** What is said to be a secret by the name before it, in logs, YAML, JSON (also inside of strings), flags and variables. */
export function redactAssignments(text: string, found: Found): string {
  if (!HINT.test(text)) return text;
  const taken = (name: string, secret: string): string => {
    const kind = isPasswordName(name) ? "password" : "named secret";
    found(kind, secret);
    return markerOf(kind);
  };
  let redacted = redactBlocks(text, taken);
  for (const [head, end] of HEADS) redacted = redactAfter(redacted, head, end, taken);
  return redacted;
}

/** Goes on right behind a head that names no secret: its value may have some inside. */
function redactAfter(
  text: string,
  head: RegExp,
  endOf: (head: RegExpExecArray, text: string) => number | undefined,
  taken: (name: string, secret: string) => string,
): string {
  const pieces: string[] = [];
  let done = 0;
  head.lastIndex = 0;
  for (let match = head.exec(text); match !== null; match = head.exec(text)) {
    const name = match.slice(1).find((group) => group !== undefined && /^[\w.-]{2,}$/.test(group)) ?? "";
    if (!isSecretName(name)) continue;
    const begin = match.index + match[0].length;
    const end = endOf(match, text) ?? begin;
    const secret = text.slice(begin, end);
    if (end === begin || isHarmless(secret) || isWordOfSentence(name, match[0], secret)) continue;
    pieces.push(text.slice(done, begin), taken(name, secret));
    head.lastIndex = done = end;
  }
  return pieces.length === 0 ? text : [...pieces, text.slice(done)].join("");
}

/** Where the quote comes again that the head ends in, unless it is escaped once more; else the end of the line. */
function quotedEnd(head: RegExpExecArray, text: string): number {
  const begin = head.index + head[0].length;
  const quote = /\\*["']$/.exec(head[0])![0];
  const line = text.indexOf("\n", begin);
  const last = line < 0 ? text.length : line;
  for (let at = text.indexOf(quote, begin); at >= 0 && at < last; at = text.indexOf(quote, at + 1))
    if (at === begin || text[at - 1] !== "\\") return at;
  return last;
}

function lineEnd(head: RegExpExecArray, text: string): number {
  const begin = head.index + head[0].length;
  const line = text.indexOf("\n", begin);
  return begin + text.slice(begin, line < 0 ? text.length : line).trimEnd().length;
}

const WORD = /[^\s"'<>\\,;&){}\]]+/y;
function wordEnd(head: RegExpExecArray, text: string): number | undefined {
  WORD.lastIndex = head.index + head[0].length;
  return WORD.exec(text) === null ? undefined : WORD.lastIndex;
}

/** `|` and `>`: the lines below that stand further in. */
function redactBlocks(text: string, taken: (name: string, secret: string) => string): string {
  if (!/:[ \t]*[|>]/.test(text)) return text;
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const [, indent, name] = BLOCK_LINE.exec(lines[at]!) ?? [];
    if (indent === undefined || !isSecretName(name!)) continue;
    let end = at + 1;
    while (end < lines.length && (lines[end]!.trim() === "" || leadOf(lines[end]!) > leadOf(lines[at]!))) end++;
    const body = lines.slice(at + 1, end).map((line) => line.trim());
    if (isHarmless(body.join("\n"))) continue;
    const markers = body.map((line) => taken(name!, line));
    lines.splice(at + 1, end - at - 1, `${" ".repeat(indent.length + 2)}${markers[0]}`);
  }
  return lines.join("\n");
}

const leadOf = (line: string): number => /^[ \t]*/.exec(line)![0].length;

/** Nothing is in it that could be kept from anybody: truths, nothing at all, and what is only a number of something. */
const isHarmless = (value: string): boolean =>
  value.startsWith("<redacted:") ||
  isMarker(value) ||
  // What stands in place of a public block.
  /^\u0001\d+\u0002\s*$/.test(value) ||
  /^(?:|true|false|null|none|nil|~|\d{1,3}|\{\}|\[\]|\*+)$/i.test(value.trim()) ||
  isPlace(value);

/** As `istio-system/cacerts`, or `/var/run/secrets/tokens`: where it lies, not what it is. */
export const isPlace = (value: string): boolean =>
  /^[a-z0-9][a-z0-9.-]{0,62}\/[a-z0-9][a-z0-9.-]{0,62}$/.test(value) || /^\.{0,2}(?:\/[\w.@-]{1,64})+\/?$/.test(value);

/** `token: expired` tells of a token, `password: swordfish` tells it. */
const isWordOfSentence = (name: string, head: string, value: string): boolean =>
  /[: \t][ \t]+$/.test(head) && !isPasswordName(name) && /^[A-Za-z]?[a-z]*(?:-[a-z]+)*[.:!?]?$/.test(value);
