import type { Authority } from "../src/ca/authority.ts";
import { keyIdOf, organizationName, signCertificate } from "../src/ca/certificate.ts";
import { type KeyType, makeKeyPair } from "../src/ca/key-type.ts";
import { checkTemplate } from "../src/ca/template-check.ts";

const DAY_MS = 86_400_000;

/** A root with a key of this kind. */
export async function authorityOf(type: KeyType): Promise<Authority> {
  const keys = await makeKeyPair(type);
  const publicKey = keys.publicKey.export({ type: "spki", format: "der" });
  const [subject, keyId, notAfter] = [organizationName("cluster.local"), keyIdOf(publicKey), Date.now() + 365 * DAY_MS];
  const template = checkTemplate({
    serial: Buffer.of(1),
    notBefore: Date.now() - DAY_MS,
    notAfter,
    subject,
    publicKey,
    purpose: "authority",
    names: {},
  });
  const issuer = { subject, keyId, privateKey: keys.privateKey };
  return { ...issuer, chain: [], revocations: [], roots: [signCertificate(template, issuer)], notAfter };
}
