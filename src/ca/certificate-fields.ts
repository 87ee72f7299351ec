import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { bits, contextTag, DerReader, type DerValue, oidText, TAG } from "./der.ts";

export interface Extension {
  readonly critical: boolean;
  /** What the extension's octet string holds. */
  readonly value: Uint8Array;
  /** True if it says that it is not critical, which DER leaves out. */
  readonly saysFalse: boolean;
}

/** A certificate taken apart (RFC 5280 4.1). Names and keys are in DER. */
export interface CertificateFields {
  readonly version: number;
  readonly serial: Uint8Array;
  /** As inside, and as outside of what is signed. */
  readonly signatureAlgorithms: readonly [Uint8Array, Uint8Array];
  readonly issuer: Uint8Array;
  readonly validity: Uint8Array;
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
  readonly subject: Uint8Array;
  readonly publicKey: Uint8Array;
  /** By object identifier, as `2.5.29.17`. */
  readonly extensions: ReadonlyMap<string, Extension>;
  /** What the signature is over, in DER. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

export const EXTENSION = {
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyId: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
} as const;

/** @throws MeshError `invalid` if it is no certificate, or names an extension twice. */
export function readCertificate(bytes: Uint8Array): CertificateFields {
  const outer = new DerReader(bytes);
  const certificate = outer.enter(TAG.sequence);
  outer.end();
  const signed = certificate.next(TAG.sequence);
  const fields = signed.read();
  const outerAlgorithm = certificate.next(TAG.sequence).whole;
  const signature = bits(certificate.next(TAG.bitString).content);
  certificate.end();
  const version = fields.optional(contextTag(0, true));
  const serial = fields.next(TAG.integer).content;
  const algorithm = fields.next(TAG.sequence).whole;
  const issuer = fields.next(TAG.sequence).whole;
  const validity = fields.next(TAG.sequence);
  const [notBefore, notAfter] = readTimes(validity.read());
  const subject = fields.next(TAG.sequence).whole;
  const publicKey = fields.next(TAG.sequence).whole;
  const extensions = fields.optional(contextTag(3, true));
  fields.end();
  return {
    version: version === undefined ? 1 : 1 + version.read().next(TAG.integer).content[0]!,
    serial,
    signatureAlgorithms: [algorithm, outerAlgorithm],
    issuer,
    validity: validity.whole,
    notBefore,
    notAfter,
    subject,
    publicKey,
    signed: signed.whole,
    signature,
    extensions: extensions === undefined ? new Map() : readExtensions(extensions.read()),
  };
}

/** What the books of an authority say of a certificate, without taking the rest apart. @throws as `readCertificate`. */
export function readSerialAndEnd(bytes: Uint8Array): Pick<CertificateFields, "serial" | "notAfter"> {
  const fields = new DerReader(bytes).enter(TAG.sequence).enter(TAG.sequence);
  fields.optional(contextTag(0, true));
  const serial = fields.next(TAG.integer).content;
  fields.next(TAG.sequence);
  fields.next(TAG.sequence);
  const validity = fields.enter(TAG.sequence);
  validity.next();
  return { serial, notAfter: readTime(validity.next()) };
}

/** The Extensions that `reader` holds (RFC 5280 4.1.2.9), by object identifier. @throws MeshError `invalid` */
export function readExtensions(reader: DerReader): ReadonlyMap<string, Extension> {
  const found = new Map<string, Extension>();
  const list = reader.enter(TAG.sequence);
  reader.end();
  while (!list.atEnd) {
    const entry = list.enter(TAG.sequence);
    const id = oidText(entry.next(TAG.oid).content);
    const flag = entry.optional(TAG.boolean);
    const critical = flag !== undefined && new DerReader(flag.whole).boolean();
    if (found.has(id)) throw new MeshError("invalid", `it has the extension ${id} twice`);
    const value = entry.next(TAG.octetString).content;
    entry.end();
    found.set(id, { critical, value, saysFalse: flag !== undefined && !critical });
  }
  return found;
}

function readTimes(reader: DerReader): readonly [EpochMs, EpochMs] {
  const times = [readTime(reader.next()), readTime(reader.next())] as const;
  reader.end();
  return times;
}

/** A UTCTime or GeneralizedTime (RFC 5280 4.1.2.5). @throws MeshError `invalid` */
export function readTime({ tag, content }: DerValue): EpochMs {
  const text = Buffer.from(content).toString("latin1");
  const digits = tag === TAG.utcTime ? `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}` : text;
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits);
  if (match === null) throw new MeshError("invalid", `it has the time ${JSON.stringify(text.slice(0, 20))}`);
  const [, year, month, day, hour, minute, second] = match;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/** Into the sequence that these bytes are. */
function onlySequence(bytes: Uint8Array): DerReader {
  const reader = new DerReader(bytes);
  const list = reader.enter(TAG.sequence);
  reader.end();
  return list;
}

/** What certificates are for, in the extended key usage extension. */
export const PURPOSE = {
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  any: "2.5.29.37.0",
} as const;

/** What the certificate is for; undefined if it does not say, and so is for everything. */
export function purposes({ extensions }: CertificateFields): readonly string[] | undefined {
  const extension = extensions.get(EXTENSION.extendedKeyUsage);
  if (extension === undefined) return undefined;
  const found: string[] = [];
  const list = onlySequence(extension.value);
  while (!list.atEnd) found.push(oidText(list.next(TAG.oid).content));
  return found;
}

/** Of a certificate authority: how many authorities may follow it, or undefined if any number. */
export function pathLength({ extensions }: Pick<CertificateFields, "extensions">): {
  readonly ca: boolean;
  readonly max: number | undefined;
} {
  const extension = extensions.get(EXTENSION.basicConstraints);
  if (extension === undefined) return { ca: false, max: undefined };
  const constraints = new DerReader(extension.value).enter(TAG.sequence);
  const ca = constraints.boolean();
  const max = constraints.optional(TAG.integer);
  return { ca, max: max && Buffer.from(max.content).readUIntBE(0, Math.min(max.content.length, 6)) };
}

/** The names of the subject alternative name extension: their tag within GeneralName, and their content. */
export function alternativeNames({ extensions }: Pick<CertificateFields, "extensions">): readonly DerValue[] {
  const extension = extensions.get(EXTENSION.subjectAltName);
  if (extension === undefined) return [];
  const names: DerValue[] = [];
  const list = onlySequence(extension.value);
  while (!list.atEnd) names.push(list.next());
  return names;
}

/** Tags within GeneralName. */
export const NAME_TAG = { dns: contextTag(2, false), uri: contextTag(6, false), ip: contextTag(7, false) } as const;

/** The URIs among the alternative names. */
export function uriNames(fields: CertificateFields): readonly string[] {
  return alternativeNames(fields)
    .filter(({ tag }) => tag === NAME_TAG.uri)
    .map(({ content }) => Buffer.from(content).toString("latin1"));
}
