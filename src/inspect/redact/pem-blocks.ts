import { derKind } from "./der-kind.ts";
import { markerOf } from "./marker.ts";
import type { Found } from "./text-rules.ts";

const PUBLIC_LABEL =
  /^(?:(?:TRUSTED |X509 )?CERTIFICATE|(?:NEW )?CERTIFICATE REQUEST|(?:RSA |EC )?PUBLIC KEY|EC PARAMETERS|X509 CRL)$/;
/** What these hold has no outer layer by which it could be told. */
const BARE_LABEL = /^(?:RSA PUBLIC KEY|EC PARAMETERS)$/;
/** A space as text, forms and URLs write it. */
const LABEL = String.raw`((?:[A-Z0-9]|[ +]|%20)+?)`;
const BLOCK = new RegExp(
  String.raw`-----BEGIN(?:[ +]|%20)${LABEL}-----([\s\S]{0,40000}?)-----END(?:[ +]|%20)\1-----`,
  "g",
);
/** Not closed, or closed by another label: what follows is taken as its body for as long as it may be one. */
const CUT_AFTER =
  /-----BEGIN(?:[ +]|%20)(?:[A-Z0-9 +]|%20)*PRIVATE(?:[A-Z0-9 +]|%20)*-----[\s\S]{0,40000}?(?:-----END[A-Z0-9 +%]*-----|(?=-----BEGIN)|$)/g;
const BODY_PIECES =
  /[A-Za-z0-9+/=_-]{16,}|(?<=[A-Za-z0-9+/]{16}(?:\s|\\+[nr]){1,4}[^\s]{0,40}?)[A-Za-z0-9+/=]{4,}(?=\s|\\|"|'|$)/g;
/** How much of an unclosed block is looked through. */
const BODY_CHARACTERS_MAX = 16_384;
const END = /-----END(?:[ +]|%20)(?:[A-Z0-9 +]|%20)*PRIVATE(?:[A-Z0-9 +]|%20)*-----/g;
/** Of which a body and what is between its lines are made, however it is escaped. */
const BODY_CHARACTER = /[A-Za-z0-9+/=\s\\%&#;_-]/;
/** Between the lines of a body, as files, JSON and URLs write it. */
const BREAKS = /\s|\\+[nrt]|%0[AD]|&#1[03];|["',]/gi;

/**
 * Takes out private keys, also if their beginning or their end is missing. Public blocks are handed to `keep`, which returns
 * what stands in their place until all is done, so that no other rule looks into them.
 */
export function redactPem(text: string, found: Found, keep: (block: string) => string): string {
  if (!text.includes("-----")) return text;
  return text
    .replace(BLOCK, (block, label: string, body: string) => {
      if (isPublic(label.replace(/[+]|%20/g, " "), body)) return keep(block);
      found("private key");
      return markerOf("private key");
    })
    .replace(CUT_AFTER, (piece) => (found("private key"), withoutBody(piece)))
    .split(END)
    .map((piece, at, { length }) => (at === length - 1 ? piece : (found("private key"), withoutTail(piece))))
    .join("");
}

/** What stands before an end that has no beginning. */
function withoutTail(piece: string): string {
  const last = Math.max(0, piece.length - BODY_CHARACTERS_MAX);
  let at = piece.length;
  while (at > last && BODY_CHARACTER.test(piece[at - 1]!)) at--;
  return `${piece.slice(0, at)}${markerOf("private key")}`;
}

/** A label is a claim: what a block of certificates holds is looked at. */
function isPublic(label: string, body: string): boolean {
  if (!PUBLIC_LABEL.test(label)) return false;
  const bytes = Buffer.from(body.replace(BREAKS, "").replace(/%2B/gi, "+").replace(/%2F/gi, "/"), "base64");
  return derKind(bytes) === "public" || (BARE_LABEL.test(label) && derKind(bytes) === undefined);
}

/** Lines of a log in between are kept, as far as they cannot be a part of the key. */
function withoutBody(piece: string): string {
  if (/-----END[A-Z0-9 +%]*-----$/.test(piece) && piece.length < BODY_CHARACTERS_MAX) return markerOf("private key");
  const header = /^-----BEGIN[A-Z0-9 +%]*-----/.exec(piece)?.[0] ?? "";
  const [near, far] = [piece.slice(header.length, BODY_CHARACTERS_MAX), piece.slice(BODY_CHARACTERS_MAX)];
  return `${markerOf("private key")}${near.replace(BODY_PIECES, markerOf("private key"))}${far}`;
}
