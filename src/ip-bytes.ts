import { isIPv4, isIPv6 } from "node:net";

/** The 4 or 16 bytes of an address in text; undefined if it is none, or has a zone. IPv4-mapped IPv6 has 16. */
export function ipBytes(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split("."), Number);
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const bytes = new Uint8Array(16);
  const [head = "", tail] = text.split("::");
  bytes.set(groupBytes(head), 0);
  if (tail !== undefined) {
    const right = groupBytes(tail);
    bytes.set(right, 16 - right.length);
  }
  return bytes;
}

function groupBytes(text: string): readonly number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number);
    const value = parseInt(group, 16);
    return [value >> 8, value & 255];
  });
}
