import { createPublicKey, verify } from "node:crypto";
import { NAME_TAG, readExtensions, EXTENSION } from "../../ca/certificate-fields.ts";
import { bits, contextTag, DerReader, type DerValue, oidText, TAG } from "../../ca/der.ts";
import { MeshError } from "../../errors.ts";

/** A PKCS#10 request with its names, which SPIRE's server goes by, and our own authority does not. */
export interface NamedRequest {
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  /** In DER. */
  readonly subject: Uint8Array;
  readonly uris: readonly string[];
  readonly dns: readonly string[];
  /** True if it was signed with its own key. */
  readonly signed: boolean;
}

const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";
const DIGESTS: Readonly<Record<string, string>> = {
  "1.2.840.10045.4.3.2": "sha256",
  "1.2.840.10045.4.3.3": "sha384",
  "1.2.840.10045.4.3.4": "sha512",
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
};

/** @throws MeshError `invalid` for what is no request (RFC 2986). */
export function readNamedRequest(bytes: Uint8Array): NamedRequest {
  const outer = new DerReader(bytes);
  const request = outer.enter(TAG.sequence);
  outer.end();
  const info = request.next(TAG.sequence);
  const algorithm = oidText(request.enter(TAG.sequence).next(TAG.oid).content);
  const signature = bits(request.next(TAG.bitString).content);
  request.end();
  const fields = info.read();
  fields.next(TAG.integer);
  const subject = fields.next(TAG.sequence).whole;
  const publicKey = fields.next(TAG.sequence).whole;
  const names = namesOf(fields.optional(contextTag(0, true)));
  fields.end();
  const textsOf = (tag: number): readonly string[] =>
    names.filter((name) => name.tag === tag).map(({ content }) => Buffer.from(content).toString("latin1"));
  return {
    publicKey,
    subject,
    uris: textsOf(NAME_TAG.uri),
    dns: textsOf(NAME_TAG.dns),
    signed: isSigned(DIGESTS[algorithm], info.whole, publicKey, signature),
  };
}

function namesOf(attributes: DerValue | undefined): readonly DerValue[] {
  const reader = attributes?.read();
  const names: DerValue[] = [];
  while (reader !== undefined && !reader.atEnd) {
    const attribute = reader.enter(TAG.sequence);
    if (oidText(attribute.next(TAG.oid).content) !== EXTENSION_REQUEST) continue;
    const value = readExtensions(attribute.enter(TAG.set)).get(EXTENSION.subjectAltName)?.value;
    const list = value === undefined ? undefined : new DerReader(value).enter(TAG.sequence);
    while (list !== undefined && !list.atEnd) names.push(list.next());
  }
  return names;
}

function isSigned(digest: string | undefined, info: Uint8Array, publicKey: Uint8Array, signature: Uint8Array): boolean {
  if (digest === undefined) throw new MeshError("invalid", "it is signed in a way that nobody here knows");
  return verify(digest, info, createPublicKey({ key: Buffer.from(publicKey), format: "der", type: "spki" }), signature);
}
