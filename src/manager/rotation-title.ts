import { X509Certificate } from "node:crypto";
import { readCertificate } from "../ca/certificate-fields.ts";
import { fingerprintOf } from "../ca/issued-list.ts";
import { minuteOf } from "../ca/root-anchor.ts";
import type { Clock } from "../host.ts";
import { printable } from "../printable.ts";

const NAME_CHARACTERS_MAX = 80;
const DIGITS = 8;

/** As `"mesh root" (1a2b3c4d)`: two roots may have one name. */
export function titleOf(der: Uint8Array): string {
  const subject = new X509Certificate(der).subject as string | undefined;
  const lines = (subject ?? "").split("\n");
  const commonName = lines.find((line) => line.startsWith("CN="))?.slice(3);
  return `"${printable(commonName ?? lines.join(", "), NAME_CHARACTERS_MAX)}" (${fingerprintOf(der).slice(0, DIGITS)})`;
}

export const endOf = (der: Uint8Array): string => minuteOf(readCertificate(der).notAfter);
/** The minute that is `ms` away, rounded up. */
export const minuteIn = (clock: Clock, ms: number): string => minuteOf(clock.now() + ms);
