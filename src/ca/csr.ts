import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { MeshError, messageOf } from "../errors.ts";
import { bits, contextTag, DerReader, oidText, TAG } from "./der.ts";
import { onlyPemBlock } from "./pem.ts";

/** A request for RSA 4096 with a long list of names has some 3 kB. */
const CSR_CHARACTERS_MAX = 16 * 1024;

const HASHES: Readonly<Record<string, "sha256" | "sha384" | "sha512">> = {
  "1.2.840.10045.4.3.2": "sha256",
  "1.2.840.10045.4.3.3": "sha384",
  "1.2.840.10045.4.3.4": "sha512",
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
};

/**
 * Reads a PKCS#10 request (RFC 2986) for the one thing that is believed of it: that whoever sent it holds the private
 * key. Its subject, names and extensions are ignored (contract ztunnel.md 4.4, step 5).
 * @returns the SubjectPublicKeyInfo in DER.
 * @throws MeshError `invalid` for what is no request, is not signed by its key, or has a key that is not allowed.
 */
export function parseCsr(pem: string): Uint8Array {
  try {
    if (pem.length > CSR_CHARACTERS_MAX) throw new MeshError("invalid", `it has over ${CSR_CHARACTERS_MAX} characters`);
    return read(onlyPemBlock(pem, "CERTIFICATE REQUEST"));
  } catch (thrown) {
    throw new MeshError(
      "invalid",
      `the certificate request cannot be used: ${messageOf(thrown)}`,
      {},
      { cause: thrown },
    );
  }
}

function read(bytes: Uint8Array): Uint8Array {
  const outer = new DerReader(bytes);
  const request = outer.enter(TAG.sequence);
  outer.end();
  const info = request.next(TAG.sequence);
  const algorithm = oidText(request.enter(TAG.sequence).next(TAG.oid).content);
  const signature = bits(request.next(TAG.bitString).content);
  request.end();

  const fields = new DerReader(info.content);
  fields.next(TAG.integer);
  fields.next(TAG.sequence);
  const publicKey = fields.next(TAG.sequence).whole;
  fields.optional(contextTag(0, true));
  fields.end();

  const hash = HASHES[algorithm];
  if (hash === undefined) throw new MeshError("invalid", `it is signed with ${algorithm}; use SHA-256, 384 or 512`);
  const key = allowedKey(publicKey);
  if (!verify(hash, info.whole, key, signature)) throw new MeshError("invalid", "it is not signed by its own key");
  return publicKey;
}

/** What comes before the two coordinates of an uncompressed point in the SubjectPublicKeyInfo of P-256 (RFC 5480). */
const P256_PREFIX = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex");
const P256_COORDINATE_BYTES = 32;

/** @throws MeshError `invalid` unless it is P-256, P-384 or RSA of 2048 to 4096 bits. */
function allowedKey(spki: Uint8Array): KeyObject {
  return p256Key(Buffer.from(spki.buffer, spki.byteOffset, spki.length)) ?? otherKey(spki);
}

/** The keys that ztunnel makes. Half as long as through OpenSSL's decoders, which look for every kind of key. */
function p256Key(spki: Buffer): KeyObject | undefined {
  const start = P256_PREFIX.length;
  if (spki.length !== start + 2 * P256_COORDINATE_BYTES || !spki.subarray(0, start).equals(P256_PREFIX))
    return undefined;
  const x = spki.toString("base64url", start, start + P256_COORDINATE_BYTES);
  const y = spki.toString("base64url", start + P256_COORDINATE_BYTES);
  return createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
}

function otherKey(spki: Uint8Array): KeyObject {
  const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  const { namedCurve = "", modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  const { asymmetricKeyType: type } = key;
  if (type === "ec" && (namedCurve === "prime256v1" || namedCurve === "secp384r1")) return key;
  if (type === "rsa" && modulusLength >= 2048 && modulusLength <= 4096 && publicExponent >= 3n) return key;
  const shown = type === "ec" ? namedCurve : `${type} ${modulusLength || ""}`.trim();
  throw new MeshError("invalid", `its key is ${shown}; use P-256, P-384, or RSA of 2048 to 4096 bits`);
}
