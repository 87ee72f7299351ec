import { bits, DerReader, oidText, TAG } from "./der.ts";

const RSA = "1.2.840.113549.1.1.1";
const EC = "1.2.840.10045.2.1";
/** The named curves that are allowed, and how long a coordinate is. */
const COORDINATE_BYTES: ReadonlyMap<string, number> = new Map([
  ["1.2.840.10045.3.1.7", 32],
  ["1.3.132.0.34", 48],
]);

/**
 * Why no leaf may have this key, or undefined. Reads the encoding alone: that a point is on its curve was seen when the
 * request was verified.
 * @param publicKey SubjectPublicKeyInfo in DER.
 * @throws MeshError `invalid` if it is none.
 */
export function weaknessOf(publicKey: Uint8Array): string | undefined {
  const outer = new DerReader(publicKey);
  const info = outer.enter(TAG.sequence);
  outer.end();
  const algorithm = info.enter(TAG.sequence);
  const named = oidText(algorithm.next(TAG.oid).content);
  const key = bits(info.next(TAG.bitString).content);
  info.end();
  if (named === RSA) return weakModulus(new DerReader(key).enter(TAG.sequence).next(TAG.integer).content);
  if (named !== EC) return `of the kind ${named}, not elliptic or RSA`;
  const curve = oidText(algorithm.next(TAG.oid).content);
  const length = COORDINATE_BYTES.get(curve);
  if (length === undefined) return `on the curve ${curve}, not P-256 or P-384`;
  return key.length === 1 + 2 * length && key[0] === 4 ? undefined : "no uncompressed point of its curve";
}

function weakModulus(content: Uint8Array): string | undefined {
  const modulus = content[0] === 0 ? content.subarray(1) : content;
  const length = 8 * modulus.length - Math.clz32(modulus[0] ?? 0) + 24;
  return length >= 2048 && length <= 4096 ? undefined : `RSA of ${length} bits, not 2048 to 4096`;
}
