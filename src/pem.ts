import { MeshError } from "./errors.ts";

const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n([A-Za-z0-9+/=\r\n]*)-----END \1-----/g;

const LINES = /^([^\r\n]+\r?\n)+$/;

/** The blocks of a label, as DER, in order; what lies between blocks is skipped. */
export function pemBlocks(text: string, label: string): readonly Buffer[] {
  return [...text.matchAll(BLOCK)].flatMap(([, found, body]) =>
    found === label ? [Buffer.from(body!, "base64")] : [],
  );
}

/**
 * The same of a text in which nothing may be missing: a block that is cut short or damaged is no block, and would go
 * without a word.
 * @throws MeshError `invalid` if one begins that cannot be read.
 */
export function wholePemBlocks(text: string, label: string): readonly Buffer[] {
  const blocks = pemBlocks(text, label);
  const begun = beginnings(text, label);
  if (begun === blocks.length) return blocks;
  throw new MeshError(
    "invalid",
    `it is cut short or damaged, as only ${blocks.length} of ${begun} ${label} blocks can be read; put all of it there`,
  );
}

/** How many blocks of a label begin in a text, whether or not they can be read. */
export const beginnings = (text: string, label: string): number => text.split(`-----BEGIN ${label}-----`).length - 1;

/**
 * The only block of a text that holds nothing else.
 * @throws MeshError `invalid` for none, several, another label, or anything around it.
 */
export function onlyPemBlock(text: string, label: string): Buffer {
  const [match, ...more] = [...text.matchAll(BLOCK)];
  const whole = match?.[0].length ?? 0;
  if (match === undefined || more.length > 0 || match[1] !== label || text.trim().length !== whole)
    throw new MeshError("invalid", `it must be one PEM block of ${label} and nothing else`);
  const body = match[2]!.replace(/[\r\n]/g, "");
  const bytes = Buffer.from(body, "base64");
  // Node passes over what is no base64, and two readers would read two things.
  if (bytes.toString("base64") !== body || !LINES.test(match[2]!))
    throw new MeshError("invalid", `the PEM block of ${label} is not in lines of base64`);
  return bytes;
}

/** In lines of 64 characters, with a newline at the end (RFC 7468). */
export function toPem(label: string, der: Uint8Array): string {
  const text = Buffer.from(der.buffer, der.byteOffset, der.length).toString("base64");
  let lines = "";
  for (let at = 0; at < text.length; at += 64) lines += `${text.slice(at, at + 64)}\n`;
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}
