const [INTEGER, OCTETS, OID, SEQUENCE, CONTEXT_0] = [0x02, 0x04, 0x06, 0x30, 0xa0];
/** The one form of keys that is no DER. */
const OPENSSH = Buffer.from("openssh-key-v1\0");

/**
 * What DER holds, told by how it begins, so that one that is cut short is told as well: `private` for a key (PKCS#8, also
 * encrypted, PKCS#1, SEC1) or a PKCS#12 file, `public` for a certificate, a request, a revocation list or a public key.
 */
export function derKind(bytes: Uint8Array): "private" | "public" | undefined {
  if (Buffer.from(bytes.subarray(0, OPENSSH.length)).equals(OPENSSH)) return "private";
  const outer = headerAt(bytes, 0);
  if (outer?.tag !== SEQUENCE || outer.length < 16) return undefined;
  const first = headerAt(bytes, outer.body);
  if (first === undefined) return undefined;
  if (first.tag === INTEGER) return versionedKind(bytes, first);
  if (first.tag !== SEQUENCE) return undefined;
  const inner = headerAt(bytes, first.body);
  if (inner?.tag === CONTEXT_0 || inner?.tag === SEQUENCE || inner?.tag === INTEGER) return "public";
  // An algorithm comes first in both; what follows is the bits of a public key, or the octets of a sealed private one.
  if (inner?.tag !== OID) return undefined;
  const second = headerAt(bytes, first.body + first.length);
  return second?.tag === 0x03 ? "public" : "private";
}

/** Private keys begin with a small version number, and so does PKCS#12; nothing public does. */
function versionedKind(bytes: Uint8Array, version: Header): "private" | undefined {
  if (version.length !== 1 || bytes[version.body]! > 3) return undefined;
  const next = headerAt(bytes, version.body + 1);
  return next !== undefined && [SEQUENCE, INTEGER, OCTETS].includes(next.tag) ? "private" : undefined;
}

interface Header {
  readonly tag: number;
  /** Where the content begins. */
  readonly body: number;
  readonly length: number;
}

function headerAt(bytes: Uint8Array, at: number): Header | undefined {
  const [tag, first] = [bytes[at], bytes[at + 1]];
  if (tag === undefined || first === undefined) return undefined;
  if (first < 0x80) return { tag, body: at + 2, length: first };
  const count = first & 0x7f;
  if (count === 0 || count > 4 || at + 2 + count > bytes.length) return undefined;
  let length = 0;
  for (let i = 0; i < count; i++) length = length * 256 + bytes[at + 2 + i]!;
  return { tag, body: at + 2 + count, length };
}
