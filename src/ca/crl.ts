import { type KeyObject, verify, type X509Certificate } from "node:crypto";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { EXTENSION, type Extension, readCertificate, readExtensions, readTime } from "./certificate-fields.ts";
import { bits, contextTag, DerReader, type DerValue, oidText, TAG } from "./der.ts";

/** A certificate revocation list: whole, and signed by an authority that we know. */
export interface RevocationList extends ReadList {
  /** Who issued it, for people. */
  readonly issuerName: string;
}

interface ReadList {
  readonly der: Uint8Array;
  /** Who lists what it issued: a name in DER. */
  readonly issuer: Uint8Array;
  readonly thisUpdate: EpochMs;
  /** When a newer one is due; undefined if it does not say. */
  readonly nextUpdate: EpochMs | undefined;
  /** Grows from list to list; undefined if it does not say. */
  readonly number: bigint | undefined;
  /** Serial numbers as `serialText` writes them. */
  readonly revoked: ReadonlySet<string>;
}

/** One that was read, and that nobody is known to have signed yet. */
export interface UnverifiedList extends ReadList {
  /** The object identifier of its signature algorithm. */
  readonly algorithm: string;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

const CRL_NUMBER = "2.5.29.20";
const REASON = "2.5.29.21";
const DELTA = "2.5.29.27";
/** Digests by signature algorithm: ECDSA, and RSA with PKCS #1 padding, both with SHA-2. */
const DIGESTS: ReadonlyMap<string, string> = new Map([
  ["1.2.840.10045.4.3.2", "sha256"],
  ["1.2.840.10045.4.3.3", "sha384"],
  ["1.2.840.10045.4.3.4", "sha512"],
  ["1.2.840.113549.1.1.11", "sha256"],
  ["1.2.840.113549.1.1.12", "sha384"],
  ["1.2.840.113549.1.1.13", "sha512"],
]);

/**
 * RFC 5280 5.1. A list that holds only part of what is revoked is refused: whoever is not on it would pass for good.
 * @throws MeshError `invalid` if it is no list, or not a whole one.
 */
export function readRevocationList(bytes: Uint8Array): UnverifiedList {
  const outer = new DerReader(bytes);
  const list = outer.enter(TAG.sequence);
  outer.end();
  const signed = list.next(TAG.sequence);
  const algorithm = list.next(TAG.sequence);
  const signature = bits(list.next(TAG.bitString).content);
  list.end();
  const fields = signed.read();
  fields.optional(TAG.integer);
  if (!same(fields.next(TAG.sequence).whole, algorithm.whole))
    throw new MeshError("invalid", "its signature algorithm differs inside and outside");
  const issuer = fields.next(TAG.sequence).whole;
  const thisUpdate = readTime(fields.next());
  const due = fields.optional(TAG.utcTime) ?? fields.optional(TAG.generalizedTime);
  const entries = fields.optional(TAG.sequence);
  const extensions = fields.optional(contextTag(0, true));
  fields.end();
  const named = extensions === undefined ? new Map<string, Extension>() : readExtensions(extensions.read());
  refuseParts(named);
  return {
    der: bytes,
    issuer,
    thisUpdate,
    nextUpdate: due && readTime(due),
    number: numberIn(named.get(CRL_NUMBER)),
    revoked: entries === undefined ? new Set() : readEntries(entries),
    algorithm: oidText(algorithm.read().next(TAG.oid).content),
    signed: signed.whole,
    signature,
  };
}

/** An extension that must be understood says that the list is of some certificates, some reasons or other issuers only. */
function refuseParts(extensions: ReadonlyMap<string, Extension>): void {
  const strange = [...extensions].find(([id, { critical }]) => critical && !LIST_EXTENSIONS.has(id))?.[0];
  const why = extensions.has(DELTA) ? "it holds only changes of another list" : strange && `its extension ${strange}`;
  if (why === undefined) return;
  throw new MeshError("invalid", `it is no complete list of its issuer (${why}); publish one that is`);
}

const LIST_EXTENSIONS: ReadonlySet<string> = new Set([CRL_NUMBER, EXTENSION.authorityKeyId]);

function readEntries(entries: DerValue): ReadonlySet<string> {
  const revoked = new Set<string>();
  const list = entries.read();
  while (!list.atEnd) {
    const entry = list.enter(TAG.sequence);
    revoked.add(serialText(entry.next(TAG.integer).content));
    readTime(entry.next());
    if (entry.atEnd) continue;
    for (const [id, { critical }] of readExtensions(entry))
      if (critical && id !== REASON)
        throw new MeshError("invalid", `an entry has the critical extension ${id}, as lists of several issuers have`);
  }
  return revoked;
}

function numberIn(extension: Extension | undefined): bigint | undefined {
  if (extension === undefined) return undefined;
  return BigInt(`0x${serialText(new DerReader(extension.value).next(TAG.integer).content)}`);
}

/** Of the content of an INTEGER: hexadecimal, without leading zero bytes. */
export const serialText = (content: Uint8Array): string =>
  Buffer.from(content)
    .toString("hex")
    .replace(/^(00)+(?=..)/, "");

/** Whether an authority signed it: by its name, a key that may sign lists (RFC 5280 6.3.3 f), and the signature. */
export function isSignedBy(list: UnverifiedList, authority: X509Certificate): boolean {
  const fields = readCertificate(authority.raw);
  const digest = DIGESTS.get(list.algorithm);
  const usage = fields.extensions.get(EXTENSION.keyUsage);
  const maySign = usage === undefined || (new DerReader(usage.value).next(TAG.bitString).content[1]! & 0x02) !== 0;
  return (
    same(fields.subject, list.issuer) && maySign && digest !== undefined && verifies(digest, list, authority.publicKey)
  );
}

/** A signature of another kind of key is none. */
function verifies(digest: string, { signed, signature }: UnverifiedList, key: KeyObject): boolean {
  try {
    return verify(digest, signed, key, signature);
  } catch {
    return false;
  }
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a.buffer, a.byteOffset, a.length).equals(b);
