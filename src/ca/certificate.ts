import { hash, type KeyObject, sign } from "node:crypto";
import { promisify } from "node:util";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { EXTENSION, NAME_TAG, PURPOSE } from "./certificate-fields.ts";
import { bits, bitString, contextTag, der, DerReader, integer, oid, sequence, TAG, time } from "./der.ts";

/** What signs: the key of an authority, and how its certificate names it. */
export interface IssuingKey {
  /** The subject of the authority's certificate, in DER. */
  readonly subject: Uint8Array;
  /** Its subject key identifier. */
  readonly keyId: Uint8Array;
  readonly privateKey: KeyObject;
}

/** What is not signed for somebody else's workload, but for a part of the mesh's own control. */
export type OwnPurpose = Exclude<CertificateTemplate["purpose"], "workload">;

export interface AlternativeNames {
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  /** 4 or 16 bytes each. */
  readonly ips?: readonly Uint8Array[];
}

/** A certificate in the making. */
export interface CertificateTemplate {
  /** Big-endian, at most 20 bytes, not all zero. */
  readonly serial: Uint8Array;
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
  /** In DER; empty for a leaf, whose names are alternative names alone. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  /** The subject key identifier; by default it follows from the key. */
  readonly keyId?: Uint8Array;
  /** A `control-plane` serves, and proves to its peers who it is; a `server` and a `client` do one of the two alone. */
  readonly purpose: "workload" | "control-plane" | "authority" | "server" | "client";
  /** Of an authority: how many authorities may follow it, at most 127; any number by default. */
  readonly pathLength?: number;
  readonly names: AlternativeNames;
}

declare const checked: unique symbol;
/** A template that `checkTemplate` has let pass: nothing else can be signed. */
export type CheckedTemplate = CertificateTemplate & { readonly [checked]: true };

declare const unlinted: unique symbol;
/** Signed, and not looked at again yet: a Signer can return it only once `lintSvid` has let it pass. */
export type UnlintedCertificate = Buffer & { readonly [unlinted]: true };

export const EMPTY_NAME: Uint8Array = sequence();

/** They are in every certificate. */
const OIDS: ReadonlyMap<string, Buffer> = new Map(Object.values(EXTENSION).map((id) => [id, oid(id)]));
const extension = (id: string, critical: boolean, value: Uint8Array): Buffer =>
  sequence(OIDS.get(id) ?? oid(id), ...(critical ? [TRUE] : []), der(TAG.octetString, value));
const TRUE = der(TAG.boolean, Buffer.of(0xff));
const VERSION_3 = der(contextTag(0, true), integer(Buffer.of(2)));

/** Bits of KeyUsage, first bit first, without the unused ones (RFC 5280 4.2.1.3). */
const keyUsage = (unused: number, bits: number): Buffer =>
  extension(EXTENSION.keyUsage, true, der(TAG.bitString, Buffer.of(unused, bits)));
const serverAuth = oid(PURPOSE.serverAuth);
const clientAuth = oid(PURPOSE.clientAuth);

/** What differs by purpose never differs by certificate. */
const FIXED: Readonly<Record<CertificateTemplate["purpose"], readonly Buffer[]>> = {
  workload: leafExtensions(serverAuth, clientAuth),
  "control-plane": leafExtensions(serverAuth, clientAuth),
  server: leafExtensions(serverAuth),
  client: leafExtensions(clientAuth),
  // keyCertSign and cRLSign.
  authority: [keyUsage(1, 0x06)],
};

/** digitalSignature and keyEncipherment, and no authority (contract ztunnel.md 4.5). */
function leafExtensions(...purposes: readonly Buffer[]): readonly Buffer[] {
  return [
    keyUsage(5, 0xa0),
    extension(EXTENSION.extendedKeyUsage, false, sequence(...purposes)),
    extension(EXTENSION.basicConstraints, true, sequence()),
  ];
}

/**
 * Signs a certificate on this thread. By hand, because libraries take some 3 ms where this takes 0.1 (`npm run bench --
 * csr`).
 */
export function signCertificate(template: CheckedTemplate, issuer: IssuingKey): UnlintedCertificate {
  const { digest, identifier } = signatureOf(issuer.privateKey);
  const signed = toBeSigned(template, issuer, identifier);
  return sealed(signed, identifier, sign(digest, signed, issuer.privateKey));
}

/** The same on a thread of libuv's pool, with a hop of some 0.1 ms: for keys that take longer than that. */
export async function signCertificateAside(
  template: CheckedTemplate,
  issuer: IssuingKey,
): Promise<UnlintedCertificate> {
  const { digest, identifier } = signatureOf(issuer.privateKey);
  const signed = toBeSigned(template, issuer, identifier);
  return sealed(signed, identifier, await signAside(digest, signed, issuer.privateKey));
}

const signAside = promisify<string, Uint8Array, KeyObject, Buffer>(sign);

/** True for keys whose signature takes a millisecond and more, where P-256 takes 0.03 (contract identity.md 5). */
export const signsSlowly = ({ privateKey }: IssuingKey): boolean =>
  privateKey.asymmetricKeyDetails?.namedCurve !== "prime256v1";

const sealed = (signed: Uint8Array, identifier: Uint8Array, signature: Uint8Array): UnlintedCertificate =>
  sequence(signed, identifier, bitString(signature)) as UnlintedCertificate;

function toBeSigned(template: CheckedTemplate, issuer: IssuingKey, identifier: Uint8Array): Buffer {
  return sequence(
    VERSION_3,
    integer(template.serial),
    identifier,
    issuer.subject,
    sequence(time(template.notBefore), time(template.notAfter)),
    template.subject,
    template.publicKey,
    der(contextTag(3, true), sequence(...extensionsOf(template, issuer))),
  );
}

function extensionsOf(template: CertificateTemplate, { keyId }: IssuingKey): readonly Buffer[] {
  const { purpose, publicKey, keyId: ownKeyId = keyIdOf(publicKey) } = template;
  const authorityKey = sequence(der(contextTag(0, false), keyId));
  return [
    ...FIXED[purpose],
    ...(purpose === "authority" ? [authorityConstraints(template.pathLength)] : []),
    extension(EXTENSION.subjectKeyId, false, der(TAG.octetString, ownKeyId)),
    extension(EXTENSION.authorityKeyId, false, authorityKey),
    ...alternativeNames(template),
  ];
}

function authorityConstraints(pathLength: number | undefined): Buffer {
  const max = pathLength === undefined ? [] : [integer(Buffer.of(pathLength))];
  return extension(EXTENSION.basicConstraints, true, sequence(TRUE, ...max));
}

/** Critical where the subject is empty, as a leaf's (RFC 5280 4.2.1.6); an authority need not have any. */
function alternativeNames({
  names: { uris = [], dns = [], ips = [] },
  subject,
}: CertificateTemplate): readonly Buffer[] {
  const names = [
    ...uris.map((uri) => der(NAME_TAG.uri, Buffer.from(uri, "latin1"))),
    ...dns.map((name) => der(NAME_TAG.dns, Buffer.from(name, "latin1"))),
    ...ips.map((ip) => der(NAME_TAG.ip, ip)),
  ];
  const nameless = subject.length === EMPTY_NAME.length;
  return names.length > 0 || nameless ? [extension(EXTENSION.subjectAltName, nameless, sequence(...names))] : [];
}

/** RFC 5280 4.2.1.2, method 1: of the bits of the key. @param publicKey SubjectPublicKeyInfo in DER. */
export const keyIdOf = (publicKey: Uint8Array): Buffer => hash("sha1", keyBitsOf(publicKey), "buffer");

/** @throws MeshError `invalid` for what is no SubjectPublicKeyInfo. */
export function keyBitsOf(publicKey: Uint8Array): Uint8Array {
  const info = new DerReader(publicKey).enter(TAG.sequence);
  info.next(TAG.sequence);
  return bits(info.next(TAG.bitString).content);
}

/** A name with an organization, unless that is empty, and perhaps a common name. */
export function organizationName(organization: string, commonName = ""): Buffer {
  const part = (id: string, text: string): readonly Buffer[] =>
    text === "" ? [] : [der(TAG.set, sequence(oid(id), der(TAG.utf8String, Buffer.from(text))))];
  return sequence(...part("2.5.4.10", organization), ...part("2.5.4.3", commonName));
}

export interface Signature {
  readonly digest: "sha256" | "sha384";
  /** The AlgorithmIdentifier in DER. */
  readonly identifier: Buffer;
}

const ECDSA_SHA256: Signature = { digest: "sha256", identifier: sequence(oid("1.2.840.10045.4.3.2")) };
const ECDSA_SHA384: Signature = { digest: "sha384", identifier: sequence(oid("1.2.840.10045.4.3.3")) };
const RSA_SHA256: Signature = {
  digest: "sha256",
  identifier: sequence(oid("1.2.840.113549.1.1.11"), Buffer.of(0x05, 0x00)),
};

/** How a key of an authority, or its public half, signs. @throws MeshError `invalid` for one that none may have. */
export function signatureOf(key: KeyObject): Signature {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (curve === "prime256v1") return ECDSA_SHA256;
  if (curve === "secp384r1") return ECDSA_SHA384;
  const modulusLength = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key.asymmetricKeyType === "rsa" && modulusLength >= 2048 && modulusLength <= 4096) return RSA_SHA256;
  const shown = curve ?? `${key.asymmetricKeyType ?? "unknown"} ${modulusLength}`;
  throw new MeshError("invalid", `the authority's key is ${shown}; use P-256, P-384, or RSA of 2048 to 4096 bits`);
}

/** A positive serial number of 16 bytes, 126 bits of them random (contract ztunnel.md 4.5). */
export function serialFrom(random: Uint8Array): Uint8Array {
  const serial = Uint8Array.from(random.subarray(0, 16));
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial;
}
