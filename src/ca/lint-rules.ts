import { type KeyObject, verify } from "node:crypto";
import { messageOf } from "../errors.ts";
import { keyIdOf, type Signature } from "./certificate.ts";
import { type CertificateFields, EXTENSION, PURPOSE, purposes, readCertificate } from "./certificate-fields.ts";
import { contextTag, der, DerReader, sequence, TAG, time } from "./der.ts";
import { weaknessOf } from "./key-strength.ts";

/** Who signed, and what a certificate must agree with for it. */
export interface IssuerContext {
  /** The issuer's subject, in DER. */
  readonly issuer: Uint8Array;
  /** The issuer's subject key identifier. */
  readonly issuerKeyId: Uint8Array;
  /** How the issuer's key signs. */
  readonly signature: Signature;
  /** Verifies the signature; undefined to take that on trust, where it was shown before that the key works. */
  readonly issuerKey: KeyObject | undefined;
}

/** A sentence on what is wrong, or undefined. */
export type Rule<C = IssuerContext> = (fields: CertificateFields, context: C) => string | undefined;

/** The first that a certificate breaks, read from its bytes. */
export function brokenRule<C>(bytes: Uint8Array, rules: readonly Rule<C>[], context: C): string | undefined {
  try {
    const fields = readCertificate(bytes);
    for (const rule of rules) {
      const broken = rule(fields, context);
      if (broken !== undefined) return broken;
    }
    return undefined;
  } catch (thrown) {
    return `RFC 5280 4.1, X.690: ${messageOf(thrown)}`;
  }
}

/** `sentence`, unless `holds`. */
export const rule =
  <C = IssuerContext>(sentence: string, holds: (fields: CertificateFields, context: C) => boolean): Rule<C> =>
  (fields, context) =>
    holds(fields, context) ? undefined : sentence;

/** Of every certificate. */
export const frame: readonly Rule[] = [
  rule("RFC 5280 4.1.2.1: it is not of version 3", ({ version }) => version === 3),
  rule(
    "RFC 5280 4.1.2.2: its serial number is not positive, or has over 20 bytes",
    ({ serial }) => serial.length <= 20 && (serial[0] ?? 0x80) < 0x80 && serial.some((byte) => byte !== 0),
  ),
  rule(
    "X.690 8.3.2: its serial number is not in its shortest form",
    ({ serial }) => serial.length < 2 || serial[0] !== 0 || serial[1]! >= 0x80,
  ),
  rule("RFC 5280 4.1.1.2: its signature algorithm differs inside and outside", ({ signatureAlgorithms: [one, two] }) =>
    same(one, two),
  ),
  rule(
    "RFC 5280 4.1.2.3: its signature algorithm is not that of its issuer's key",
    ({ signatureAlgorithms: [one] }, { signature }) => same(one, signature.identifier),
  ),
  rule("RFC 5280 4.1.2.4: its issuer is not who signed it", ({ issuer }, context) => same(issuer, context.issuer)),
  ({ publicKey }) => {
    const weakness = weaknessOf(publicKey);
    return weakness === undefined ? undefined : `RFC 5280 4.1.2.7: its key is ${weakness}`;
  },
  rule("RFC 5280 4.1.2.5: its times are not written as they must be", ({ validity, notBefore, notAfter }) =>
    same(validity, sequence(time(notBefore), time(notAfter))),
  ),
];

const KNOWN: ReadonlySet<string> = new Set(Object.values(EXTENSION));
/** Of every certificate: extensions that all readers read alike. */
export const extensionRules: readonly Rule[] = [
  ({ extensions }) => {
    const unknown = [...extensions.keys()].find((id) => !KNOWN.has(id));
    return unknown === undefined ? undefined : `RFC 5280 4.2: it has the extension ${unknown}`;
  },
  rule("X.690 11.5: an extension says that it is not critical", ({ extensions }) => {
    for (const { saysFalse } of extensions.values()) if (saysFalse) return false;
    return true;
  }),
];

const NO_AUTHORITY = sequence();

/** Bits of the first byte of KeyUsage. */
export const USAGE = { digitalSignature: 0x80, keyCertSign: 0x04, cRLSign: 0x02 } as const;

/** Of a leaf: no authority. */
const leafOnly: readonly Rule[] = [
  ({ extensions }) => {
    const constraints = extensions.get(EXTENSION.basicConstraints);
    if (constraints?.critical !== true)
      return "RFC 5280 4.2.1.9: it does not say, as critical, that it is no authority";
    return same(constraints.value, NO_AUTHORITY) ? undefined : "X509-SVID 4.1: it is an authority, or limits a path";
  },
  ({ extensions }) => {
    const usage = extensions.get(EXTENSION.keyUsage);
    if (usage?.critical !== true) return "X509-SVID 4.3: it has no key usage, or none that is critical";
    const bits = readWhole(usage.value, TAG.bitString);
    const first = bits.length === 2 ? bits[1]! : 0;
    if ((first & USAGE.digitalSignature) === 0) return "X509-SVID 4.3: its key usage lacks digitalSignature";
    if ((first & USAGE.keyCertSign) !== 0) return "X509-SVID 4.3: its key usage has keyCertSign";
    return (first & USAGE.cRLSign) === 0 ? undefined : "X509-SVID 4.3: its key usage has cRLSign";
  },
];

/** Of a leaf: no authority, for servers and clients both. */
export const leafUse: readonly Rule[] = [
  ...leafOnly,
  (fields) => {
    const uses = purposes(fields) ?? [];
    return uses.length === 2 && uses.includes(PURPOSE.serverAuth) && uses.includes(PURPOSE.clientAuth)
      ? undefined
      : "X509-SVID 4.4: it is not for servers and clients both, and nothing else";
  },
];

/** Of a leaf that is shown in one half of a handshake alone. */
export const leafUseAs = (role: "server" | "client"): readonly Rule[] => [
  ...leafOnly,
  rule(`it is not for a ${role}, and nothing else`, (fields) => purposes(fields)?.join() === PURPOSE[`${role}Auth`]),
];

/** Of every certificate: who signed it, and that it did. */
export const issuerRules: readonly Rule[] = [
  rule("RFC 5280 4.2.1.1: it does not name its issuer's key", ({ extensions }, { issuerKeyId }) => {
    const authority = extensions.get(EXTENSION.authorityKeyId);
    return authority?.critical === false && same(authority.value, sequence(der(contextTag(0, false), issuerKeyId)));
  }),
  rule(
    "RFC 5280 4.1.1.3: its signature does not verify",
    ({ signed, signature }, { issuerKey, signature: { digest } }) =>
      issuerKey === undefined || verify(digest, signed, issuerKey, signature),
  ),
];

/** Of a leaf: its key identifier follows from its key. */
export const ownKey: Rule = rule("RFC 5280 4.2.1.2: it does not name its own key", ({ extensions, publicKey }) => {
  const own = extensions.get(EXTENSION.subjectKeyId);
  return own?.critical === false && same(own.value, der(TAG.octetString, keyIdOf(publicKey)));
});

/** The content of the one value that these bytes are. */
export function readWhole(bytes: Uint8Array, tag: number): Uint8Array {
  const reader = new DerReader(bytes);
  const { content } = reader.next(tag);
  reader.end();
  return content;
}

export const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a.buffer, a.byteOffset, a.length).equals(b);
