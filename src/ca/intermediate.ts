import type { KeyObject } from "node:crypto";
import { MeshError } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import { authorityName, authorityUri } from "./authority-request.ts";
import { type IssuingKey, keyIdOf, serialFrom } from "./certificate.ts";
import { pathLength, readCertificate } from "./certificate-fields.ts";
import { type KeyType, makeKeyPair } from "./key-type.ts";
import { ownCertificate } from "./own-certificate.ts";

/** Clocks of nodes differ: what was made just now must not be from the future anywhere (contract identity.md 2.1). */
export const BACKDATED_MS = 120_000;

/** What making a certificate takes of its machine. */
export type Maker = Pick<Host, "clock" | "random">;

/** An authority whose key we hold. */
export interface IntermediateIssuer {
  /** As `the root in /etc/root`, for messages. */
  readonly title: string;
  readonly key: IssuingKey;
  /** In DER: its certificate first, its root last; that one alone if it is a root itself. */
  readonly path: readonly Uint8Array[];
}

export interface IntermediateShape {
  readonly trustDomain: string;
  readonly lifetimeMs: number;
  /** In DER. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  /** How many authorities may follow it, 0 for one that signs for workloads alone; undefined for any number. */
  readonly pathLength: number | undefined;
}

/**
 * An authority below another (contract identity.md 4.2, R4). It ends with the first of those above it at the latest.
 * @returns DER. @throws MeshError `invalid` if one of those may have none such below it.
 */
export function signIntermediate(maker: Maker, issuer: IntermediateIssuer, shape: IntermediateShape): Uint8Array {
  requireRoom(issuer.title, issuer.path, shape.pathLength);
  const ends = Math.min(...issuer.path.map((certificate) => readCertificate(certificate).notAfter));
  const now = maker.clock.now();
  const template = {
    subject: shape.subject,
    publicKey: shape.publicKey,
    pathLength: shape.pathLength,
    notBefore: now - BACKDATED_MS,
    notAfter: Math.min(now + shape.lifetimeMs, ends),
    uris: [authorityUri(shape.trustDomain)],
  };
  return certify(maker, template, issuer.key, ends);
}

/** @param path as of an issuer. @throws MeshError `invalid` if it has no room for an authority with so many below it. */
export function requireRoom(title: string, path: readonly Uint8Array[], following = 0): void {
  for (const [at, certificate] of path.entries()) {
    const { max } = pathLength(readCertificate(certificate));
    const below = at + 1 + following;
    if (max === undefined || max >= below) continue;
    const who = at === 0 ? title : `an authority above ${title}`;
    throw new MeshError(
      "invalid",
      `${who} allows ${max} authorities below it, and with this one there may be ${below}; use a lower path length, or another root`,
    );
  }
}

export interface RootShape {
  readonly organization: string;
  /** Undefined for one that tells roots apart. */
  readonly commonName: string | undefined;
  /** Undefined for one of several trust domains. */
  readonly trustDomain: string | undefined;
  readonly keyType: KeyType;
  readonly lifetimeMs: number;
}

/** A new root, in DER, with its key. */
export async function makeRoot(
  maker: Maker,
  { organization, commonName, trustDomain, keyType, lifetimeMs }: RootShape,
): Promise<{ readonly certificate: Uint8Array; readonly privateKey: KeyObject }> {
  const keys = await makeKeyPair(keyType);
  const publicKey = keys.publicKey.export({ type: "spki", format: "der" });
  const keyId = keyIdOf(publicKey);
  const subject = authorityName(organization, commonName ?? `Root CA ${keyId.toString("hex", 0, 4)}`);
  const now = maker.clock.now();
  const template = {
    subject,
    publicKey,
    pathLength: undefined,
    notBefore: now - BACKDATED_MS,
    notAfter: now + lifetimeMs,
    uris: trustDomain === undefined ? [] : [authorityUri(trustDomain)],
  };
  const { privateKey } = keys;
  return { certificate: certify(maker, template, { subject, keyId, privateKey }), privateKey };
}

interface Certified {
  readonly subject: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly pathLength: number | undefined;
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
  readonly uris: readonly string[];
}

function certify(
  { random }: Maker,
  { pathLength, uris, ...rest }: Certified,
  issuer: IssuingKey,
  issuerNotAfter?: EpochMs,
): Uint8Array {
  const length = pathLength === undefined ? {} : { pathLength };
  const serial = serialFrom(random.bytes(16));
  return ownCertificate({ serial, ...rest, ...length, purpose: "authority", names: { uris } }, issuer, issuerNotAfter);
}
