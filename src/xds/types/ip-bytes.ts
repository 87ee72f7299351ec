import { isIPv4, isIPv6 } from "node:net";
import { MeshError } from "../../errors.ts";

/**
 * The 4 or 16 bytes of canonical address text, without zone: ztunnel rejects any other length, and never matches an
 * IPv4 address in 16 bytes (contract ztunnel.md 3.2, pitfall 7).
 * @throws MeshError `invalid`, naming `field`.
 */
export function ipBytes(text: string, field: string): Uint8Array {
  if (isIPv4(text)) return Uint8Array.from(text.split("."), Number);
  if (!isIPv6(text) || text.includes("%"))
    throw new MeshError("invalid", `${field} is ${JSON.stringify(text)}, which is no IP address`);
  const bytes = new Uint8Array(16);
  const [head = "", tail] = text.split("::");
  bytes.set(groups(head), 0);
  if (tail !== undefined) {
    const right = groups(tail);
    bytes.set(right, 16 - right.length);
  }
  return bytes;
}

function groups(text: string): readonly number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number);
    const value = parseInt(group, 16);
    return [value >> 8, value & 255];
  });
}

/** @throws MeshError `invalid` if `length` is not a prefix length of an address of that many bytes. */
export function checkPrefixLength(length: number, bytes: Uint8Array, field: string): number {
  if (Number.isInteger(length) && length >= 0 && length <= bytes.length * 8) return length;
  throw new MeshError("invalid", `${field} has a prefix of ${length} bits; 0 to ${bytes.length * 8} are possible`);
}
