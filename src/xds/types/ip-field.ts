import { MeshError } from "../../errors.ts";
import { ipBytes } from "../../ip-bytes.ts";

/**
 * The bytes of canonical address text: ztunnel rejects any length but 4 and 16, and never matches an IPv4 address in 16
 * bytes (contract ztunnel.md 3.2, pitfall 7).
 * @throws MeshError `invalid`, naming `field`.
 */
export function ipField(text: string, field: string): Uint8Array {
  const bytes = ipBytes(text);
  if (bytes !== undefined) return bytes;
  throw new MeshError("invalid", `${field} is ${JSON.stringify(text)}, which is no IP address`);
}

/** @throws MeshError `invalid` if `length` is not a prefix length of an address of that many bytes. */
export function checkPrefixLength(length: number, bytes: Uint8Array, field: string): number {
  if (Number.isInteger(length) && length >= 0 && length <= bytes.length * 8) return length;
  throw new MeshError("invalid", `${field} has a prefix of ${length} bits; 0 to ${bytes.length * 8} are possible`);
}

/** Canonical text of an address; undefined for bytes that are none. */
export function ipText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return undefined;
  const groups = Buffer.from(bytes).toString("hex").match(/.{4}/g)!;
  // A URL's host is written in RFC 5952 form.
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}
