import { MeshError, messageOf } from "../errors.ts";
import { formatServiceAccountId, parseServiceAccountId } from "../spiffe.ts";
import {
  alternativeNames,
  EXTENSION,
  NAME_TAG,
  PURPOSE,
  purposes,
  readCertificate,
  type CertificateFields,
} from "./certificate-fields.ts";
import { contextTag, der, DerReader, sequence, TAG } from "./der.ts";
import type { SigningRequest } from "./signer.ts";

const KNOWN: ReadonlySet<string> = new Set(Object.values(EXTENSION));

/** What a certificate must agree with, besides the standards. */
export interface LintContext {
  readonly request: SigningRequest;
  /** The issuer's subject, in DER. */
  readonly issuer: Uint8Array;
  /** The issuer's subject key identifier. */
  readonly issuerKeyId: Uint8Array;
  readonly issuerNotAfter: number;
  readonly now: number;
}

/**
 * The last look before a certificate leaves: it is read again from its bytes and held to the request, to X509-SVID 2 to
 * 4 and to RFC 5280. Whatever made it, no other identity, no authority and no longer life gets out.
 * @throws MeshError `internal`, with the rule that it breaks.
 */
export function lintSvid(bytes: Uint8Array, context: LintContext): void {
  const broken = brokenRule(readCertificate(bytes), context);
  if (broken !== undefined)
    throw new MeshError(
      "internal",
      `a certificate for ${formatServiceAccountId(context.request.identity)} was not let out: ${broken}`,
    );
}

function brokenRule(fields: CertificateFields, context: LintContext): string | undefined {
  return brokenFrame(fields, context) ?? brokenName(fields, context) ?? brokenUse(fields, context);
}

function brokenFrame(
  fields: CertificateFields,
  { issuer, issuerNotAfter, now, request }: LintContext,
): string | undefined {
  const { serial, version, signatureAlgorithms, notBefore, notAfter } = fields;
  if (version !== 3) return "it is not of version 3";
  if (serial.length === 0 || serial.length > 20 || serial[0]! >= 0x80 || serial.every((byte) => byte === 0))
    return "its serial number is not positive, or has over 20 bytes";
  if (!same(...signatureAlgorithms)) return "its signature algorithm differs inside and outside";
  if (!same(fields.issuer, issuer)) return "its issuer is not who signed it";
  if (!same(fields.publicKey, request.publicKey)) return "its key is not the one that was asked for";
  if (notBefore > now || notAfter <= now || notAfter > issuerNotAfter)
    return "its time has not begun, is over, or outlasts its issuer's";
  if (notAfter > now + request.ttlSeconds * 1000) return "it lives longer than was asked for";
  return undefined;
}

function brokenName(fields: CertificateFields, { request }: LintContext): string | undefined {
  const names = alternativeNames(fields);
  const [name] = names;
  if (name === undefined || names.length > 1 || name.tag !== NAME_TAG.uri) return "it has not exactly one URI name";
  const uri = Buffer.from(name.content).toString("latin1");
  if (uri !== formatServiceAccountId(request.identity)) return "its name is not the identity that was asked for";
  // A text can agree with an identity whose parts hold what none may, as a slash.
  try {
    parseServiceAccountId(uri);
  } catch (thrown) {
    return messageOf(thrown);
  }
  if (fields.subject.length !== 2) return "it has a subject beside its name";
  if (fields.extensions.get(EXTENSION.subjectAltName)?.critical !== true) return "its name is not critical";
  return undefined;
}

function brokenUse(fields: CertificateFields, { issuerKeyId }: LintContext): string | undefined {
  const { extensions } = fields;
  for (const id of extensions.keys()) if (!KNOWN.has(id)) return `it has the extension ${id}`;
  const constraints = extensions.get(EXTENSION.basicConstraints);
  if (constraints === undefined || !new DerReader(constraints.value).enter(TAG.sequence).atEnd)
    return "it does not say that it is no authority";
  const usage = extensions.get(EXTENSION.keyUsage);
  const bits = usage && new DerReader(usage.value).next(TAG.bitString).content;
  // digitalSignature must be there; keyCertSign and cRLSign must not (X509-SVID 4.3).
  if (usage?.critical !== true || bits === undefined || (bits[1]! & 0x80) === 0 || (bits[1]! & 0x06) !== 0)
    return "its key usage is not that of a leaf";
  const uses = purposes(fields) ?? [];
  if (uses.length !== 2 || !uses.includes(PURPOSE.serverAuth) || !uses.includes(PURPOSE.clientAuth))
    return "it is not for servers and clients both, and nothing else";
  const authority = extensions.get(EXTENSION.authorityKeyId);
  if (authority === undefined || !same(authority.value, sequence(der(contextTag(0, false), issuerKeyId))))
    return "it does not name its issuer's key";
  return undefined;
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a.buffer, a.byteOffset, a.length).equals(b);
