import { pathLength } from "../ca/certificate-fields.ts";
import { openedCertificate } from "../ca/path.ts";
import { messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";

/** Of one trust domain: SPIRE has two or three, and a few more where it is below another authority. */
const AUTHORITIES_MAX = 64;

/**
 * Why these cannot be the authorities of a trust domain, saying which is wrong and how. One that cannot be read costs
 * all of them: passing it over would end the trust in what it signed.
 */
export function whyNoAuthorities(authorities: readonly Uint8Array[]): string | undefined {
  const count = authorities.length;
  if (count > AUTHORITIES_MAX) return `it has ${count} authorities; ${AUTHORITIES_MAX} is the most`;
  for (const [at, der] of authorities.entries()) {
    const why = whyNoAuthority(der);
    if (why !== undefined) return `authority ${at + 1} of ${count} ${why}`;
  }
  return undefined;
}

function whyNoAuthority(der: Uint8Array): string | undefined {
  try {
    return pathLength(openedCertificate(der).fields).ca ? undefined : "may not sign certificates";
  } catch (thrown) {
    return `cannot be read: ${messageOf(thrown)}`;
  }
}

export const endOf = (authority: Uint8Array): EpochMs => openedCertificate(authority).fields.notAfter;

/** As `"O=shop, CN=root"`; for an authority without a subject, its serial number. */
export function nameOf(authority: Uint8Array): string {
  const { subject, serialNumber } = openedCertificate(authority).x509;
  return subject ? `"${subject.replace(/\n/g, ", ")}"` : `with serial number ${serialNumber}`;
}
