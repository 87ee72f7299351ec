import { type KeyObject, verify } from "node:crypto";
import { MeshError, messageOf } from "../errors.ts";
import { formatServiceAccountId, parseServiceAccountId } from "../spiffe.ts";
import { keyIdOf, type Signature, type UnlintedCertificate } from "./certificate.ts";
import {
  alternativeNames,
  EXTENSION,
  NAME_TAG,
  PURPOSE,
  purposes,
  readCertificate,
  type CertificateFields,
} from "./certificate-fields.ts";
import { contextTag, der, DerReader, sequence, TAG, time } from "./der.ts";
import { weaknessOf } from "./key-strength.ts";
import type { LintedCertificate, SigningRequest } from "./signer.ts";

/** A leaf may say that it began this long ago (contract ztunnel.md 4.5). */
export const BACKDATE_MS_MAX = 120_000;

/** What a certificate must agree with, besides the standards. */
export interface LintContext {
  readonly request: SigningRequest;
  /** The one that the issuer signs for. */
  readonly trustDomain: string;
  /** The issuer's subject, in DER. */
  readonly issuer: Uint8Array;
  /** The issuer's subject key identifier. */
  readonly issuerKeyId: Uint8Array;
  readonly issuerNotAfter: number;
  /** How the issuer's key signs. */
  readonly signature: Signature;
  /** Verifies the signature; undefined to take that on trust, where it was shown before that the key works. */
  readonly issuerKey: KeyObject | undefined;
  readonly now: number;
}

/** A sentence on what is wrong, or undefined. */
type Rule = (fields: CertificateFields, context: LintContext) => string | undefined;

/**
 * The last look before a certificate leaves: it is read again from its bytes and held to the request, to X509-SVID 2 to
 * 5 and to RFC 5280 4. Whatever made it, no other identity, no authority and no longer life gets out.
 * @throws MeshError `internal`, with the rule that it breaks.
 */
export function lintSvid(bytes: UnlintedCertificate, context: LintContext): LintedCertificate {
  const broken = brokenRule(bytes, context);
  if (broken === undefined) return bytes as Uint8Array as LintedCertificate;
  const name = formatServiceAccountId(context.request.identity);
  throw new MeshError("internal", `a certificate for ${name} was not let out: ${broken}`);
}

function brokenRule(bytes: Uint8Array, context: LintContext): string | undefined {
  try {
    const fields = readCertificate(bytes);
    for (const rule of RULES) {
      const broken = rule(fields, context);
      if (broken !== undefined) return broken;
    }
    return undefined;
  } catch (thrown) {
    return `RFC 5280 4.1, X.690: ${messageOf(thrown)}`;
  }
}

/** `sentence`, unless `holds`. */
const rule =
  (sentence: string, holds: (fields: CertificateFields, context: LintContext) => boolean): Rule =>
  (fields, context) =>
    holds(fields, context) ? undefined : sentence;

const frame: readonly Rule[] = [
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
  rule("its key is not the one that was asked for", ({ publicKey }, { request }) => same(publicKey, request.publicKey)),
  ({ publicKey }) => {
    const weakness = weaknessOf(publicKey);
    return weakness === undefined ? undefined : `RFC 5280 4.1.2.7: its key is ${weakness}`;
  },
  rule("RFC 5280 4.1.2.5: its times are not written as they must be", ({ validity, notBefore, notAfter }) =>
    same(validity, sequence(time(notBefore), time(notAfter))),
  ),
];

const life: readonly Rule[] = [
  rule("its issuer has ended", (_, { issuerNotAfter, now }) => issuerNotAfter > now),
  rule("RFC 5280 4.1.2.5: its life ends before it begins", ({ notBefore, notAfter }) => notBefore < notAfter),
  rule("its life is over", ({ notAfter }, { now }) => notAfter > now),
  rule("its life has not begun", ({ notBefore }, { now }) => notBefore <= now),
  // A certificate counts seconds.
  rule("its life began over 120 s ago", ({ notBefore }, { now }) => notBefore > now - BACKDATE_MS_MAX - 1000),
  rule("X509-SVID 2: it outlasts its issuer", ({ notAfter }, { issuerNotAfter }) => notAfter <= issuerNotAfter),
  rule(
    "it lives longer than was asked for",
    ({ notAfter }, { now, request }) => notAfter <= now + request.ttlSeconds * 1000,
  ),
];

const name: readonly Rule[] = [
  (fields, { request, trustDomain }) => {
    const names = alternativeNames(fields);
    const [only] = names;
    if (only === undefined || names.length > 1 || only.tag !== NAME_TAG.uri)
      return "X509-SVID 2: it has not exactly one URI name, and no other";
    const uri = Buffer.from(only.content).toString("latin1");
    if (uri !== formatServiceAccountId(request.identity)) return "its name is not the identity that was asked for";
    // A text can agree with an identity whose parts hold what none may, as a slash.
    try {
      const { trustDomain: named } = parseServiceAccountId(uri);
      return named === trustDomain ? undefined : "X509-SVID 3: its trust domain is not its issuer's";
    } catch (thrown) {
      return `SPIFFE-ID 2: ${messageOf(thrown)}`;
    }
  },
  rule("it has a subject beside its name", ({ subject }) => subject.length === 2),
  rule(
    "RFC 5280 4.2.1.6: its name is not critical, though it has no subject",
    ({ extensions }) => extensions.get(EXTENSION.subjectAltName)?.critical === true,
  ),
];

const KNOWN: ReadonlySet<string> = new Set(Object.values(EXTENSION));
const NO_AUTHORITY = sequence();

/** Bits of the first byte of KeyUsage. */
const USAGE = { digitalSignature: 0x80, keyCertSign: 0x04, cRLSign: 0x02 } as const;

const use: readonly Rule[] = [
  ({ extensions }) => {
    const unknown = [...extensions.keys()].find((id) => !KNOWN.has(id));
    return unknown === undefined ? undefined : `RFC 5280 4.2: it has the extension ${unknown}`;
  },
  rule("X.690 11.5: an extension says that it is not critical", ({ extensions }) => {
    for (const { saysFalse } of extensions.values()) if (saysFalse) return false;
    return true;
  }),
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
  (fields) => {
    const uses = purposes(fields) ?? [];
    return uses.length === 2 && uses.includes(PURPOSE.serverAuth) && uses.includes(PURPOSE.clientAuth)
      ? undefined
      : "X509-SVID 4.4: it is not for servers and clients both, and nothing else";
  },
];

const keys: readonly Rule[] = [
  rule("RFC 5280 4.2.1.1: it does not name its issuer's key", ({ extensions }, { issuerKeyId }) => {
    const authority = extensions.get(EXTENSION.authorityKeyId);
    return authority?.critical === false && same(authority.value, sequence(der(contextTag(0, false), issuerKeyId)));
  }),
  rule("RFC 5280 4.2.1.2: it does not name its own key", ({ extensions, publicKey }) => {
    const own = extensions.get(EXTENSION.subjectKeyId);
    return own?.critical === false && same(own.value, der(TAG.octetString, keyIdOf(publicKey)));
  }),
  rule(
    "RFC 5280 4.1.1.3: its signature does not verify",
    ({ signed, signature }, { issuerKey, signature: { digest } }) =>
      issuerKey === undefined || verify(digest, signed, issuerKey, signature),
  ),
];

const RULES: readonly Rule[] = [...frame, ...life, ...name, ...use, ...keys];

/** The content of the one value that these bytes are. */
function readWhole(bytes: Uint8Array, tag: number): Uint8Array {
  const reader = new DerReader(bytes);
  const { content } = reader.next(tag);
  reader.end();
  return content;
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a.buffer, a.byteOffset, a.length).equals(b);
