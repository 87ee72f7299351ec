import type { X509Certificate } from "node:crypto";
import { readCertificate } from "./certificate-fields.ts";
import { type RevocationList, serialText } from "./crl.ts";

/** Which certificates are revoked, by all the lists that are in force. */
export class Revocations {
  readonly #serials = new Map<string, Set<string>>();

  constructor(lists: readonly Pick<RevocationList, "issuer" | "revoked">[] = []) {
    for (const { issuer, revoked } of lists) {
      const before = this.#serials.get(keyOf(issuer)) ?? [];
      this.#serials.set(keyOf(issuer), new Set([...before, ...revoked]));
    }
  }

  /** Undefined for a certificate that is on no list. */
  whyRevoked(certificate: X509Certificate): string | undefined {
    if (this.#serials.size === 0) return undefined;
    const { issuer, serial } = readCertificate(certificate.raw);
    const text = serialText(serial);
    if (this.#serials.get(keyOf(issuer))?.has(text) !== true) return undefined;
    return `${certificateName(certificate)} with serial number ${text} is revoked`;
  }
}

const keyOf = (name: Uint8Array): string => Buffer.from(name).toString("base64");
/** Leaves of the mesh have no subject. */
export const certificateName = ({ subject, subjectAltName }: X509Certificate): string =>
  JSON.stringify((subject || subjectAltName || "").replace(/\n/g, ", "));
