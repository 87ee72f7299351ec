import type { X509Certificate } from "node:crypto";
import { fingerprintOf } from "../ca/issued-list.ts";
import { keyTypeOf } from "../ca/key-type.ts";
import { readCertificate, uriNames } from "../ca/certificate-fields.ts";
import { printable } from "../printable.ts";

/** What was just made, in a few lines. */
export function describeAuthority(folder: string, files: readonly string[], certificate: X509Certificate): string {
  const lines = [
    ["folder", folder],
    ["files", files.join(", ")],
    ["subject", subjectOf(certificate)],
    ["spiffe id", spiffeIdsOf(certificate)],
    ["key", keyTypeOf(certificate.publicKey)],
    ["valid until", new Date(readCertificate(certificate.raw).notAfter).toISOString()],
    ["sha256", fingerprintOf(certificate.raw)],
  ];
  return lines.map(([what, value]) => `${what!.padEnd(13)}${printable(value!, 512)}\n`).join("");
}

export const subjectOf = ({ subject }: X509Certificate): string => subject.replace(/\n/g, ", ");

/** As text: those of a certificate whose names cannot be read are unknown, and `ca verify` says so. */
export function spiffeIdsOf({ raw }: X509Certificate): string {
  try {
    return uriNames(readCertificate(raw))
      .filter((uri) => uri.startsWith("spiffe://"))
      .join(" ");
  } catch {
    return "";
  }
}
