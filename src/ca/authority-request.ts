import { createPublicKey, type KeyObject, sign } from "node:crypto";
import { MeshError } from "../errors.ts";
import { toPem } from "../pem.ts";
import { printable } from "../printable.ts";
import { organizationName, signatureOf } from "./certificate.ts";
import { alternativeNames, EXTENSION, type Extension, NAME_TAG, pathLength } from "./certificate-fields.ts";
import { type Csr, EXTENSION_REQUEST, readCsr } from "./csr.ts";
import { extensionsAsked, nameText } from "./csr-names.ts";
import { bitString, contextTag, der, integer, oid, sequence, TAG } from "./der.ts";
import { type KeyType, keyTypeOf, makeKeyPair } from "./key-type.ts";
import { readWhole, same, USAGE } from "./lint-rules.ts";

/** RFC 5280, appendix A: the longest organization and common name. */
const NAME_CHARACTERS_MAX = 64;

/** What an authority is to be. */
export interface AuthorityShape {
  /** Empty for none. */
  readonly organization: string;
  readonly commonName: string;
  readonly trustDomain: string;
  /** How many authorities may follow it, 0 for one that signs for workloads alone. */
  readonly pathLength: number;
  readonly keyType: KeyType;
}

/** The subject of an authority, in DER. Names are for people: one that is too long is cut, and stays legal. */
export function authorityName(organization: string, commonName: string): Buffer {
  return organizationName(boundedName(organization), boundedName(commonName));
}

export const boundedName = (name: string): string => [...name].slice(0, NAME_CHARACTERS_MAX).join("");

/**
 * A new key, and a request for the certificate of an authority with it (RFC 2986). It asks for all that the certificate
 * is to have, as cert-manager obeys it (contract identity.md 4.2, R3 and R4).
 */
export async function newAuthorityRequest(
  shape: AuthorityShape,
): Promise<{ readonly csr: string; readonly privateKey: KeyObject }> {
  const { privateKey } = await makeKeyPair(shape.keyType);
  const asked = sequence(oid(EXTENSION_REQUEST), der(TAG.set, sequence(...extensionsOf(shape))));
  const subject = authorityName(shape.organization, shape.commonName);
  return { csr: signedRequest(privateKey, subject, asked), privateKey };
}

/** A request in PEM, signed with the key that it is for. @param attributes in DER, one after the other; empty for none. */
export function signedRequest(privateKey: KeyObject, subject: Uint8Array, attributes: Uint8Array): string {
  const publicKey = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  const info = sequence(integer(Buffer.of(0)), subject, publicKey, der(contextTag(0, true), attributes));
  const { digest, identifier } = signatureOf(privateKey);
  return toPem("CERTIFICATE REQUEST", sequence(info, identifier, bitString(sign(digest, info, privateKey))));
}

const TRUE = der(TAG.boolean, Buffer.of(0xff));
/** keyCertSign and cRLSign: the second of nine bits counts last (RFC 5280 4.2.1.3). */
const SIGNS = der(TAG.bitString, Buffer.of(1, USAGE.keyCertSign | USAGE.cRLSign));

function extensionsOf({ trustDomain, pathLength: max }: AuthorityShape): readonly Buffer[] {
  const extension = (id: string, critical: boolean, value: Uint8Array): Buffer =>
    sequence(oid(id), ...(critical ? [TRUE] : []), der(TAG.octetString, value));
  return [
    extension(EXTENSION.keyUsage, true, SIGNS),
    extension(EXTENSION.basicConstraints, true, sequence(TRUE, integer(Buffer.of(max)))),
    extension(EXTENSION.subjectAltName, false, sequence(der(NAME_TAG.uri, Buffer.from(authorityUri(trustDomain))))),
  ];
}

/** An authority is named after its trust domain, with no path (X509-SVID 3). */
export const authorityUri = (trustDomain: string): string => `spiffe://${trustDomain}`;

/**
 * Reads a request of a cluster. Nothing in it is believed but its key; what it asks for is held to the policy all the
 * same, as there are issuers who obey it (contract identity.md 4.2, R11).
 * @returns the request in PEM, as we write it, and its SubjectPublicKeyInfo in DER.
 * @throws MeshError `invalid`, naming what differs; with `stage: "request"` in its detail.
 */
export async function readAuthorityRequest(
  pem: string,
  expected: AuthorityShape,
): Promise<{ readonly csr: string; readonly publicKey: Uint8Array }> {
  const { whole, publicKey } = await readCsr(pem, (csr) => requireAsOrdered(csr, expected));
  return { csr: toPem("CERTIFICATE REQUEST", whole), publicKey };
}

function requireAsOrdered(csr: Csr, expected: AuthorityShape): void {
  const { keyType, organization, commonName } = expected;
  const type = keyTypeOf(createPublicKey({ key: Buffer.from(csr.publicKey), format: "der", type: "spki" }));
  if (type !== keyType) throw new MeshError("invalid", `its key is ${type}, where ${keyType} was ordered`);
  if (!same(csr.subject, authorityName(organization, commonName)))
    throw new MeshError(
      "invalid",
      `its subject is not O=${printable(organization, 80)}, CN=${printable(commonName, 80)}, as was ordered`,
    );
  requireExtensions(csr, expected);
}

function requireExtensions({ attributes }: Csr, { trustDomain, pathLength: max }: AuthorityShape): void {
  const refuse = (why: string): MeshError => new MeshError("invalid", `it ${printable(why, 200)}`);
  const extensions: ReadonlyMap<string, Extension> =
    attributes === undefined ? new Map<string, Extension>() : extensionsAsked(attributes, refuse);
  const odd = [...extensions.keys()].find((id) => !ASKED.has(id));
  if (odd !== undefined) throw refuse(`asks for the extension ${odd}, which no authority of a cluster has`);
  const usage = extensions.get(EXTENSION.keyUsage);
  if (usage === undefined || !same(readWhole(usage.value, TAG.bitString), readWhole(SIGNS, TAG.bitString)))
    throw refuse("does not ask for the key usage keyCertSign and cRLSign alone");
  const asked = pathLength({ extensions });
  if (!asked.ca) throw refuse("does not ask to be an authority");
  if (asked.max !== max) throw refuse(`asks for the path length ${asked.max ?? "of no end"}, where ${max} was ordered`);
  const names = alternativeNames({ extensions }).map(nameText);
  const uri = `URI:${authorityUri(trustDomain)}`;
  if (names.length !== 1 || names[0] !== uri)
    throw refuse(`asks for the names ${names.join(", ") || "(none)"}, where ${uri} alone was ordered`);
}

const ASKED: ReadonlySet<string> = new Set([EXTENSION.keyUsage, EXTENSION.basicConstraints, EXTENSION.subjectAltName]);
