import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(globalThis.crypto);

const ALGORITHMS = {
  "P-256": { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  "P-384": { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
  "P-384 with SHA-1": { name: "ECDSA", namedCurve: "P-384", hash: "SHA-1" },
} as const;
type Kind = keyof typeof ALGORITHMS;

/** Keys of whoever signs, and the name that it signs by. */
export interface Issuing {
  readonly keys: webcrypto.CryptoKeyPair;
  readonly kind: Kind;
  readonly name: string;
}

export async function issuing(name: string, kind: Kind = "P-256"): Promise<Issuing> {
  const keys = (await webcrypto.subtle.generateKey(ALGORITHMS[kind], true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
  return { keys, kind, name };
}

/** A certificate as somebody may make it, right or wrong. */
export interface Made {
  readonly issuer: Issuing;
  /** In DER, of another's key; of the issuer's own by default, which makes a root. */
  readonly publicKey?: Uint8Array;
  readonly subject: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly ca: boolean;
  readonly pathLength?: number | undefined;
  /** None is no key usage at all. */
  readonly usages?: x509.KeyUsageFlags | undefined;
  readonly names?: x509.JsonGeneralNames;
  readonly purposes?: readonly string[];
  readonly more?: readonly x509.Extension[];
  readonly serial?: string;
}

/** By a library that is not ours. */
export async function madeCertificate(made: Made): Promise<Uint8Array> {
  const { issuer, publicKey, usages, names = [], purposes = [], more = [] } = made;
  const spki = publicKey ?? new Uint8Array(await webcrypto.subtle.exportKey("spki", issuer.keys.publicKey));
  const key = new x509.PublicKey(Uint8Array.from(spki));
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: made.serial ?? "0abc",
    subject: made.subject,
    issuer: issuer.name,
    notBefore: new Date(made.notBefore),
    notAfter: new Date(made.notAfter),
    publicKey: key,
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: ALGORITHMS[issuer.kind],
    extensions: [
      new x509.BasicConstraintsExtension(made.ca, made.pathLength, true),
      ...(usages === undefined ? [] : [new x509.KeyUsagesExtension(usages, true)]),
      ...(purposes.length > 0 ? [new x509.ExtendedKeyUsageExtension([...purposes])] : []),
      await x509.SubjectKeyIdentifierExtension.create(key),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.keys.publicKey),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      ...more,
    ],
  });
  return new Uint8Array(certificate.rawData);
}

export const SIGNS = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
