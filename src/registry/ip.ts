import { isIPv4 } from "node:net";
import { ipBytes } from "../ip-bytes.ts";
import type { Cidr } from "./model/policy.ts";

/**
 * The canonical text of an IP address: RFC 5952 for IPv6, and IPv4 for an IPv4-mapped IPv6 address, because ztunnel
 * would store the mapped form and never match it (contract ztunnel.md section 7, 7). Undefined if it is none, or if it
 * has a zone: a zone means something to one machine only.
 */
export function parseIp(text: string): string | undefined {
  if (isIPv4(text)) return text;
  const bytes = bytesOf(text);
  return bytes && format(bytes);
}

/** An address or a range with its host bits cleared; a bare address gets its full length. Undefined if it is neither. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const bytes = bytesOf(address);
  if (!bytes) return undefined;
  const bits = bytes.length * 8;
  if (slash < 0) return { ip: format(bytes), prefixLength: bits };
  const length = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(length)) return undefined;
  // A mapped range is written in IPv6 bits; what lies before the last 32 is the mapping itself.
  const prefixLength = Number(length) - (bytes.length === 4 && !isIPv4(address) ? 96 : 0);
  if (prefixLength < 0 || prefixLength > bits) return undefined;
  return { ip: format(masked(bytes, prefixLength)), prefixLength };
}

export function isCidrWithin(inner: Cidr, outer: Cidr): boolean {
  const [bytes, mask] = [bytesOf(inner.ip), bytesOf(outer.ip)];
  if (!bytes || !mask || bytes.length !== mask.length || inner.prefixLength < outer.prefixLength) return false;
  return format(masked(bytes, outer.prefixLength)) === format(masked(mask, outer.prefixLength));
}

const NOT_ENDPOINTS: readonly (readonly [string, string])[] = [
  ["0.0.0.0/8", "an unspecified address"],
  ["127.0.0.0/8", "a loopback address"],
  ["169.254.0.0/16", "a link-local address, where clouds keep their metadata"],
  ["224.0.0.0/4", "a multicast address"],
  ["255.255.255.255/32", "the broadcast address"],
  ["::/128", "an unspecified address"],
  ["::1/128", "a loopback address"],
  ["fe80::/10", "a link-local address"],
  ["ff00::/8", "a multicast address"],
  ["fd00:ec2::254/128", "the address of a cloud's metadata"],
];
const REFUSED = NOT_ENDPOINTS.map(([text, what]) => ({ range: parseCidr(text)!, what }));

/** Why canonical `ip` may not be an endpoint that an object names: traffic would go to the sender's own machine. */
export function whyNotEndpoint(ip: string): string | undefined {
  const cidr = { ip, prefixLength: isIPv4(ip) ? 32 : 128 };
  return REFUSED.find(({ range }) => isCidrWithin(cidr, range))?.what;
}

type Bytes = readonly number[];

/** 4 or 16 bytes; the mapped form is folded. */
function bytesOf(text: string): Bytes | undefined {
  const bytes = ipBytes(text);
  if (bytes === undefined || bytes.length === 4) return bytes && [...bytes];
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  return mapped ? [...bytes.subarray(12)] : [...bytes];
}

function masked(bytes: Bytes, prefixLength: number): Bytes {
  return bytes.map((byte, at) => {
    const kept = Math.min(8, Math.max(0, prefixLength - at * 8));
    return byte & (0xff00 >> kept) & 255;
  });
}

function format(bytes: Bytes): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, at) => ((bytes[at * 2]! << 8) | bytes[at * 2 + 1]!).toString(16));
  const run = longestZeroRun(groups);
  if (run.length < 2) return groups.join(":");
  return `${groups.slice(0, run.start).join(":")}::${groups.slice(run.start + run.length).join(":")}`;
}

function longestZeroRun(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  groups.forEach((group, at) => {
    if (group !== "0") start = at + 1;
    else if (at + 1 - start > best.length) best = { start, length: at + 1 - start };
  });
  return best;
}
