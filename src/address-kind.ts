import { lookup as systemLookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { ipBytes } from "./ip-bytes.ts";

/** Places that only this machine can mean: itself, and its link, where clouds keep their metadata and its tokens. */
export type AddressKind = "loopback" | "linkLocal";

/** The same, and addresses that are not routed in the internet: of the networks that we are in, or of nobody. */
export type InnerKind = AddressKind | "private";

export const ADDRESS_KINDS: Readonly<Record<InnerKind, string>> = {
  loopback: "this machine itself",
  linkLocal: "a link-local or metadata address",
  private: "a private address",
};

/** Of a host as a URL has it: a name or an address, with or without brackets. Undefined if it may lead anywhere. */
export function kindOfHost(host: string): AddressKind | undefined {
  const bare = host
    .replace(/^\[|\]$/g, "")
    .replace(/\.$/, "")
    .toLowerCase();
  if (isIP(bare) !== 0) return kindOfAddress(bare);
  if (bare === "localhost" || bare.endsWith(".localhost")) return "loopback";
  return bare === "metadata" || bare === "metadata.google.internal" ? "linkLocal" : undefined;
}

/** Beyond 169.254.0.0/16 and fe80::/10, clouds keep metadata at these. */
const METADATA: ReadonlySet<string> = new Set(["100.100.100.200", "168.63.129.16", "fd00:ec2::254"].map(keyOf));

function keyOf(address: string): string {
  return String(ipBytes(address));
}

function kindOfAddress(address: string): AddressKind | undefined {
  const bytes = ipBytes(address.split("%", 1)[0]!);
  if (bytes === undefined) return undefined;
  const v4 = bytes.length === 4 ? bytes : embedded(bytes);
  if (METADATA.has(String(v4 ?? bytes))) return "linkLocal";
  if (v4 !== undefined) return kindOfIpv4(v4);
  if (bytes.subarray(0, 15).every((byte) => byte === 0) && bytes[15]! <= 1) return "loopback";
  return bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80 ? "linkLocal" : undefined;
}

/** As RFC 6890 lists them, with multicast and what is reserved. */
const PRIVATE: readonly (readonly [network: string, bits: number])[] = [
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10],
  ["198.18.0.0", 15],
  ["192.0.0.0", 24],
  ["224.0.0.0", 3],
  ["fc00::", 7],
  ["fec0::", 10],
  ["ff00::", 8],
];

/** Of an address, with or without brackets; undefined for one of the internet, and for a name. */
export function innerKindOf(address: string): InnerKind | undefined {
  const bare = address.replace(/^\[|\]$/g, "");
  const bytes = ipBytes(bare.split("%", 1)[0]!);
  if (bytes === undefined) return undefined;
  const own = bytes.length === 4 ? bytes : (embedded(bytes) ?? bytes);
  return kindOfAddress(bare) ?? (PRIVATE.some(([network, bits]) => isIn(own, network, bits)) ? "private" : undefined);
}

function isIn(bytes: Uint8Array, network: string, bits: number): boolean {
  const wanted = ipBytes(network)!;
  if (wanted.length !== bytes.length) return false;
  return wanted.every((byte, at) => {
    const mask = 0xff00 >> Math.min(8, Math.max(0, bits - 8 * at));
    return ((byte ^ bytes[at]!) & mask & 0xff) === 0;
  });
}

/** Linux takes 0.0.0.0 for itself. */
function kindOfIpv4(bytes: Uint8Array): AddressKind | undefined {
  if (bytes[0] === 127 || bytes[0] === 0) return "loopback";
  return bytes[0] === 169 && bytes[1] === 254 ? "linkLocal" : undefined;
}

/** Before an IPv4 address: what maps it, and what NAT64 translates. */
const PREFIXES = ["::ffff:0:0", "64:ff9b::"].map((text) => ipBytes(text)!.subarray(0, 12));

function embedded(bytes: Uint8Array): Uint8Array | undefined {
  const isPrefix = (prefix: Uint8Array) => prefix.every((byte, at) => bytes[at] === byte);
  return PREFIXES.some(isPrefix) ? bytes.subarray(12) : undefined;
}

/** Resolves names as the system does, but refuses one that leads where it may not: what was checked was only a name. */
export function guardedLookup(refused: readonly InnerKind[], lookup = systemLookup): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, []);
      for (const { address } of addresses) {
        const kind = innerKindOf(address);
        if (kind !== undefined && refused.includes(kind))
          return callback(new Error(`${hostname} resolves to ${address}, ${ADDRESS_KINDS[kind]}`), []);
      }
      if (options.all === true) return callback(null, addresses);
      const [first] = addresses;
      if (first === undefined) return callback(new Error(`${hostname} has no address`), []);
      callback(null, first.address, first.family);
    });
  };
}
