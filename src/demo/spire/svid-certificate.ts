import { sign } from "node:crypto";
import { EMPTY_NAME, type IssuingKey, keyIdOf, signatureOf } from "../../ca/certificate.ts";
import { EXTENSION, NAME_TAG, PURPOSE } from "../../ca/certificate-fields.ts";
import { bitString, contextTag, der, DerReader, integer, oid, oidText, sequence, TAG, time } from "../../ca/der.ts";
import type { EpochMs } from "../../host.ts";

/** A leaf as SPIRE's server makes it, or would with a fault in it. */
export interface SvidShape {
  readonly serial: Uint8Array;
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
  /** In DER. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  readonly uris: readonly string[];
  readonly dns: readonly string[];
  /** Calls itself an authority: a fault. */
  readonly authority: boolean;
}

const PRINTABLE = 0x13;
const COUNTRY = "2.5.4.6";
const ORGANIZATION = "2.5.4.10";
const UNIT = "2.5.4.11";
const COMMON_NAME = "2.5.4.3";
const SERIAL = "2.5.4.5";
/** In the order in which SPIRE writes them, whatever a request had. */
const ATTRIBUTES = [COUNTRY, ORGANIZATION, UNIT, "2.5.4.7", "2.5.4.8", "2.5.4.9", "2.5.4.17", COMMON_NAME, SERIAL];

const part = (id: string, text: string, tag: number = PRINTABLE): Buffer =>
  der(TAG.set, sequence(oid(id), der(tag, Buffer.from(text))));

/** Of a leaf whose request names nobody. */
const SVID_SUBJECT: Uint8Array = sequence(part(COUNTRY, "US"), part(ORGANIZATION, "SPIRE"));

/** Authorities with one name would be mistaken for each other: SPIRE puts the certificate's serial number in. */
export function authoritySubject(serial: Uint8Array): Uint8Array {
  const number = BigInt(`0x${Buffer.from(serial).toString("hex")}`).toString();
  return sequence(part(COUNTRY, "US"), part(ORGANIZATION, "SPIFFE"), part(SERIAL, number));
}

/** Of an authority below another: its parent's name, and how far down it is. */
export const downstreamSubject = (parent: Uint8Array, depth: number): Uint8Array =>
  rewritten(parent, UNIT, part(UNIT, `DOWNSTREAM-${depth}`));

/** SPIRE makes the first DNS name the common name, whatever the request says. */
export function subjectFor(requested: Uint8Array, [name]: readonly string[]): Uint8Array {
  const subject = requested.length > EMPTY_NAME.length ? requested : SVID_SUBJECT;
  return name === undefined
    ? rewritten(subject)
    : rewritten(subject, COMMON_NAME, part(COMMON_NAME, name, TAG.utf8String));
}

/** A name with one attribute instead of another of its kind. */
function rewritten(name: Uint8Array, kind?: string, instead: Uint8Array = Buffer.alloc(0)): Buffer {
  const parts: { readonly id: string; readonly whole: Uint8Array }[] = [];
  const reader = new DerReader(name).enter(TAG.sequence);
  while (!reader.atEnd) {
    const set = reader.next(TAG.set);
    parts.push({ id: oidText(set.read().enter(TAG.sequence).next(TAG.oid).content), whole: set.whole });
  }
  const kept = parts.filter(({ id }) => id !== kind);
  const all = kind === undefined ? kept : [...kept, { id: kind, whole: instead }];
  const place = ({ id }: { readonly id: string }): number => ATTRIBUTES.indexOf(id);
  return sequence(...all.sort((a, b) => place(a) - place(b)).map(({ whole }) => whole));
}

/** Signs it, and looks at nothing: what a client must refuse has to be made by somebody. @returns DER. */
export function signSvid(shape: SvidShape, issuer: IssuingKey): Uint8Array {
  const { digest, identifier } = signatureOf(issuer.privateKey);
  const signed = sequence(
    der(contextTag(0, true), integer(Buffer.of(2))),
    integer(shape.serial),
    identifier,
    issuer.subject,
    sequence(time(shape.notBefore), time(shape.notAfter)),
    shape.subject,
    shape.publicKey,
    der(contextTag(3, true), sequence(...extensionsOf(shape, issuer))),
  );
  return sequence(signed, identifier, bitString(sign(digest, signed, issuer.privateKey)));
}

const TRUE = der(TAG.boolean, Buffer.of(0xff));
const extension = (id: string, critical: boolean, value: Uint8Array): Buffer =>
  sequence(oid(id), ...(critical ? [TRUE] : []), der(TAG.octetString, value));

/** digitalSignature, keyEncipherment and keyAgreement. */
const LEAF_USAGE = der(TAG.bitString, Buffer.of(3, 0xa8));
/** keyCertSign and cRLSign. */
const AUTHORITY_USAGE = der(TAG.bitString, Buffer.of(1, 0x06));

function extensionsOf({ authority, publicKey, uris, dns, subject }: SvidShape, issuer: IssuingKey): readonly Buffer[] {
  const names = [
    ...dns.map((name) => der(NAME_TAG.dns, Buffer.from(name, "latin1"))),
    ...uris.map((uri) => der(NAME_TAG.uri, Buffer.from(uri, "latin1"))),
  ];
  return [
    extension(EXTENSION.keyUsage, true, authority ? AUTHORITY_USAGE : LEAF_USAGE),
    extension(EXTENSION.extendedKeyUsage, false, sequence(oid(PURPOSE.serverAuth), oid(PURPOSE.clientAuth))),
    extension(EXTENSION.basicConstraints, true, sequence(...(authority ? [TRUE] : []))),
    extension(EXTENSION.subjectKeyId, false, der(TAG.octetString, keyIdOf(publicKey))),
    extension(EXTENSION.authorityKeyId, false, sequence(der(contextTag(0, false), issuer.keyId))),
    extension(EXTENSION.subjectAltName, subject.length === EMPTY_NAME.length, sequence(...names)),
  ];
}
