import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import type { EpochMs, Host } from "../host.ts";
import { keyIdOf, organizationName, serialFrom } from "./certificate.ts";
import { EXTENSION, readCertificate } from "./certificate-fields.ts";
import { DerReader, TAG } from "./der.ts";
import { ownCertificate } from "./own-certificate.ts";
import { pemBlocks, toPem } from "../pem.ts";

/** As istiod's own (contract ztunnel.md 4.7). */
const ROOT_LIFE_MS = 10 * 365 * 86_400_000;
/** A root is renewed when less than this part of its life is left, as istiod's. */
const RENEWAL_PART = 0.2;

/** A root and its key, in PEM. */
export interface OwnRoot {
  readonly certificate: string;
  readonly key: string;
}

export function newRoot(host: Host, trustDomain: string): OwnRoot {
  const { privateKey: key } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const publicKey = createPublicKey(key).export({ type: "spki", format: "der" });
  return { certificate: selfSigned(host, key, organizationName(trustDomain), keyIdOf(publicKey)), key };
}

/** The same root for another ten years: with its name and its key, whoever trusts the old one trusts the new one. */
export function renewedRoot(host: Host, { certificate, key }: OwnRoot): OwnRoot {
  const { subject, extensions, publicKey } = readCertificate(pemBlocks(certificate, "CERTIFICATE")[0]!);
  const named = extensions.get(EXTENSION.subjectKeyId);
  const keyId = named === undefined ? keyIdOf(publicKey) : new DerReader(named.value).next(TAG.octetString).content;
  return { certificate: selfSigned(host, key, subject, keyId), key };
}

/** True in the last fifth of its life. */
export function renewalIsDue(certificate: string, now: EpochMs): boolean {
  const { notBefore, notAfter } = readCertificate(pemBlocks(certificate, "CERTIFICATE")[0]!);
  return notAfter - now < RENEWAL_PART * (notAfter - notBefore);
}

function selfSigned(host: Host, key: string, subject: Uint8Array, keyId: Uint8Array): string {
  const privateKey = createPrivateKey(key);
  const publicKey = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  const now = host.clock.now();
  const template = {
    serial: serialFrom(host.random.bytes(16)),
    notBefore: now - 120_000,
    notAfter: now + ROOT_LIFE_MS,
    subject,
    publicKey,
    keyId,
    purpose: "authority" as const,
    names: {},
  };
  return toPem("CERTIFICATE", ownCertificate(template, { subject, keyId, privateKey }));
}
