import { createPublicKey, KeyObject, verify, webcrypto } from "node:crypto";
import { MeshError, messageOf } from "../errors.ts";
import { bits, contextTag, DerReader, type DerValue, oidText, requireDer, TAG } from "./der.ts";
import { onlyPemBlock } from "../pem.ts";

/** A request for RSA 4096 with a long list of names has some 3 kB. */
const CSR_CHARACTERS_MAX = 16 * 1024;

/** The attribute of a request that holds what its maker would like to see in the certificate (RFC 2985 5.4.2). */
export const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";

interface SignatureAlgorithm {
  readonly keyType: "ec" | "rsa";
  readonly hash: "sha256" | "sha384" | "sha512";
}

const ALGORITHMS: Readonly<Partial<Record<string, SignatureAlgorithm>>> = {
  "1.2.840.10045.4.3.2": { keyType: "ec", hash: "sha256" },
  "1.2.840.10045.4.3.3": { keyType: "ec", hash: "sha384" },
  "1.2.840.10045.4.3.4": { keyType: "ec", hash: "sha512" },
  "1.2.840.113549.1.1.11": { keyType: "rsa", hash: "sha256" },
  "1.2.840.113549.1.1.12": { keyType: "rsa", hash: "sha384" },
  "1.2.840.113549.1.1.13": { keyType: "rsa", hash: "sha512" },
};

/** A PKCS#10 request (RFC 2986) whose sender has shown that it holds the private key. All in DER. */
export interface Csr {
  readonly whole: Uint8Array;
  /** SubjectPublicKeyInfo, of an allowed kind. */
  readonly publicKey: Uint8Array;
  readonly subject: Uint8Array;
  /** What else it asks for; undefined if there is no place for it. */
  readonly attributes: DerValue | undefined;
}

/**
 * Reads a request for the one thing that is believed of it: that whoever sent it holds the private key. Its subject,
 * names and extensions are ignored (contract ztunnel.md 4.4, step 5).
 * @returns the SubjectPublicKeyInfo in DER.
 * @throws MeshError as `readCsr`.
 */
export const parseCsr = async (pem: string): Promise<Uint8Array> => (await readCsr(pem)).publicKey;

/**
 * @param look at what it asks for, where that matters: it throws what is wrong with it.
 * @throws MeshError `invalid` for what is no request, is not signed by its key, or has a key that is not allowed; with
 *   `stage: "request"` in its detail.
 */
export async function readCsr(pem: string, look: (csr: Csr) => void = () => {}): Promise<Csr> {
  try {
    if (pem.length > CSR_CHARACTERS_MAX) throw new MeshError("invalid", `it has over ${CSR_CHARACTERS_MAX} characters`);
    const csr = await read(onlyPemBlock(pem, "CERTIFICATE REQUEST"));
    look(csr);
    return csr;
  } catch (thrown) {
    throw new MeshError(
      "invalid",
      `the certificate request cannot be used: ${messageOf(thrown)}`,
      { stage: "request" },
      { cause: thrown },
    );
  }
}

async function read(bytes: Uint8Array): Promise<Csr> {
  requireDer(new DerReader(bytes));
  const outer = new DerReader(bytes);
  const request = outer.enter(TAG.sequence);
  outer.end();
  const info = request.next(TAG.sequence);
  const named = signatureAlgorithm(request.enter(TAG.sequence));
  const signature = bits(request.next(TAG.bitString).content);
  request.end();

  const fields = info.read();
  fields.next(TAG.integer);
  const subject = fields.next(TAG.sequence).whole;
  const publicKey = fields.next(TAG.sequence).whole;
  const attributes = fields.optional(contextTag(0, true));
  fields.end();

  const algorithm = ALGORITHMS[named];
  if (algorithm === undefined) throw new MeshError("invalid", `it is signed with ${named}; use SHA-256, 384 or 512`);
  const key = await allowedKey(publicKey);
  if (key.asymmetricKeyType !== algorithm.keyType || !verify(algorithm.hash, info.whole, key, signature))
    throw new MeshError("invalid", "it is not signed by its own key");
  return { whole: bytes, publicKey, subject, attributes };
}

/** RSA may have the parameter NULL, and ECDSA has none (RFC 4055 2.1, RFC 5758 3.2). */
function signatureAlgorithm(reader: DerReader): string {
  const named = oidText(reader.next(TAG.oid).content);
  if (ALGORITHMS[named]?.keyType === "rsa") reader.optional(TAG.null);
  if (ALGORITHMS[named] !== undefined) reader.end();
  return named;
}

interface Curve {
  readonly name: "P-256" | "P-384";
  /** What comes before the two coordinates of an uncompressed point in the SubjectPublicKeyInfo (RFC 5480). */
  readonly prefix: Buffer;
  readonly coordinateBytes: number;
}

const CURVES: readonly Curve[] = [
  {
    name: "P-256",
    prefix: Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex"),
    coordinateBytes: 32,
  },
  {
    name: "P-384",
    prefix: Buffer.from("3076301006072a8648ce3d020106052b8104002203620004", "hex"),
    coordinateBytes: 48,
  },
];
/** Verifying takes longer the larger it is; everybody's is 65537. */
const RSA_EXPONENT_MAX = 2n ** 32n;

/**
 * The bytes of the key go into the certificate as they came, so they must be the one encoding that everybody reads
 * alike: OpenSSL also takes curves given by their parameters, compressed points and BER, which a peer would refuse.
 * @throws MeshError `invalid` unless it is P-256, P-384 or RSA of 2048 to 4096 bits.
 */
function allowedKey(publicKey: Uint8Array): KeyObject | Promise<KeyObject> {
  const spki = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length);
  const curve = CURVES.find(
    ({ prefix, coordinateBytes }) =>
      spki.length === prefix.length + 2 * coordinateBytes && spki.subarray(0, prefix.length).equals(prefix),
  );
  return curve === undefined ? rsaKey(spki) : pointOf(curve, spki);
}

/**
 * A quarter of what OpenSSL's decoders take, which look for every kind of key, and two thirds of a JWK: for P-256 the
 * largest part of a certificate but for the two signatures (contract identity.md 5). It refuses what is no point of the curve.
 */
async function pointOf({ name, prefix }: Curve, spki: Buffer): Promise<KeyObject> {
  const point = spki.subarray(prefix.length - 1);
  try {
    const algorithm = { name: "ECDSA", namedCurve: name };
    return KeyObject.from(await webcrypto.subtle.importKey("raw", point, algorithm, true, ["verify"]));
  } catch (thrown) {
    throw new MeshError("invalid", `its key is no point of ${name}`, {}, { cause: thrown });
  }
}

function rsaKey(spki: Buffer): KeyObject {
  const key = createPublicKey({ key: spki, format: "der", type: "spki" });
  const { namedCurve, modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  const { asymmetricKeyType: type } = key;
  const allowed = type === "rsa" && modulusLength >= 2048 && modulusLength <= 4096;
  if (allowed && publicExponent >= 3n && publicExponent <= RSA_EXPONENT_MAX) {
    if (key.export({ type: "spki", format: "der" }).equals(spki)) return key;
    throw new MeshError("invalid", "its key is not in DER");
  }
  const shown = type === "ec" ? `${namedCurve} in this encoding` : `${type} ${modulusLength || ""}`.trim();
  throw new MeshError(
    "invalid",
    `its key is ${shown}; use P-256 or P-384, as a named curve and an uncompressed point, or RSA of 2048 to 4096 bits`,
  );
}
