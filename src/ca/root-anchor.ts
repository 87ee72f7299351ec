import { createPublicKey, X509Certificate } from "node:crypto";
import type { EpochMs } from "../host.ts";
import type { Authority } from "./authority.ts";
import { readCertificate } from "./certificate-fields.ts";

/** The certificates of one root in DER, the one that ends last first. */
export type Ders = readonly [Uint8Array, ...Uint8Array[]];

/** What makes two root certificates one to those who trust them: a name and a key. */
export function anchorOf(der: Uint8Array): string {
  const { subject, publicKey } = readCertificate(der);
  return `${Buffer.from(subject).toString("base64")} ${Buffer.from(publicKey).toString("base64")}`;
}

export function byAnchor(roots: readonly Uint8Array[]): readonly (readonly [string, Ders])[] {
  const found = new Map<string, Ders>();
  const end = (der: Uint8Array): EpochMs => readCertificate(der).notAfter;
  for (const der of roots) {
    const [first, ...more] = found.get(anchorOf(der)) ?? [];
    const ders: Ders =
      first === undefined ? [der] : end(der) > end(first) ? [der, first, ...more] : [first, ...more, der];
    found.set(anchorOf(der), ders);
  }
  return [...found];
}

export function holds(outer: readonly Uint8Array[], inner: readonly Uint8Array[]): boolean {
  const anchors = new Set(outer.map(anchorOf));
  return inner.every((root) => anchors.has(anchorOf(root)));
}

/**
 * Whether what an authority signs is verified by a root, by any of its certificates: what was issued under one may name
 * its key identifier, or its serial number, and then is not under the others to OpenSSL.
 */
export function isUnder({ chain, privateKey }: Pick<Authority, "chain" | "privateKey">, ders: Ders): boolean {
  const roots = ders.map((der) => new X509Certificate(der));
  const last = chain.at(-1);
  if (last === undefined) return roots.some(({ publicKey }) => createPublicKey(privateKey).equals(publicKey));
  const certificate = new X509Certificate(last);
  return roots.some(
    (root) => certificate.raw.equals(root.raw) || (certificate.checkIssued(root) && certificate.verify(root.publicKey)),
  );
}

export const rootName = (der: Uint8Array): string => `root "${new X509Certificate(der).subject.replace(/\n/g, ", ")}"`;
export const minuteOf = (time: EpochMs): string => `${new Date(time + 59_999).toISOString().slice(0, 16)}Z`;
