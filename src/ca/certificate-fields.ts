import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { contextTag, DerReader, type DerValue, oidText, TAG } from "./der.ts";

export interface Extension {
  readonly critical: boolean;
  /** What the extension's octet string holds. */
  readonly value: Uint8Array;
}

/** A certificate taken apart (RFC 5280 4.1). Names and keys are in DER. */
export interface CertificateFields {
  readonly version: number;
  readonly serial: Uint8Array;
  /** As inside, and as outside of what is signed. */
  readonly signatureAlgorithms: readonly [Uint8Array, Uint8Array];
  readonly issuer: Uint8Array;
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
  readonly subject: Uint8Array;
  readonly publicKey: Uint8Array;
  /** By object identifier, as `2.5.29.17`. */
  readonly extensions: ReadonlyMap<string, Extension>;
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
  const fields = certificate.enter(TAG.sequence);
  const outerAlgorithm = certificate.next(TAG.sequence).whole;
  const version = fields.optional(contextTag(0, true));
  const serial = fields.next(TAG.integer).content;
  const algorithm = fields.next(TAG.sequence).whole;
  const issuer = fields.next(TAG.sequence).whole;
  const validity = fields.enter(TAG.sequence);
  const [notBefore, notAfter] = [readTime(validity.next()), readTime(validity.next())];
  const subject = fields.next(TAG.sequence).whole;
  const publicKey = fields.next(TAG.sequence).whole;
  const extensions = fields.optional(contextTag(3, true));
  fields.end();
  return {
    version: version === undefined ? 1 : 1 + new DerReader(version.content).next(TAG.integer).content[0]!,
    serial,
    signatureAlgorithms: [algorithm, outerAlgorithm],
    issuer,
    notBefore,
    notAfter,
    subject,
    publicKey,
    extensions: extensions === undefined ? new Map() : readExtensions(new DerReader(extensions.content)),
  };
}

function readExtensions(reader: DerReader): ReadonlyMap<string, Extension> {
  const found = new Map<string, Extension>();
  const list = reader.enter(TAG.sequence);
  while (!list.atEnd) {
    const entry = list.enter(TAG.sequence);
    const id = oidText(entry.next(TAG.oid).content);
    const critical = entry.boolean();
    if (found.has(id)) throw new MeshError("invalid", `the certificate has the extension ${id} twice`);
    found.set(id, { critical, value: entry.next(TAG.octetString).content });
  }
  return found;
}

function readTime({ tag, content }: DerValue): EpochMs {
  const text = Buffer.from(content).toString("latin1");
  const digits = tag === TAG.utcTime ? `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}` : text;
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits);
  if (match === null)
    throw new MeshError("invalid", `the certificate has the time ${JSON.stringify(text.slice(0, 20))}`);
  const [, year, month, day, hour, minute, second] = match;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
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
  const list = new DerReader(extension.value).enter(TAG.sequence);
  while (!list.atEnd) found.push(oidText(list.next(TAG.oid).content));
  return found;
}

/** Of a certificate authority: how many authorities may follow it, or undefined if any number. */
export function pathLength({ extensions }: CertificateFields): {
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
export function alternativeNames({ extensions }: CertificateFields): readonly DerValue[] {
  const extension = extensions.get(EXTENSION.subjectAltName);
  if (extension === undefined) return [];
  const names: DerValue[] = [];
  const list = new DerReader(extension.value).enter(TAG.sequence);
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
