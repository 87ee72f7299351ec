import { X509Certificate } from "node:crypto";
import { readCertificate } from "../../ca/certificate-fields.ts";
import { fingerprintOf } from "../../ca/issued-list.ts";
import { minuteOf } from "../../ca/root-anchor.ts";
import type { Clock } from "../../host.ts";
import { printable } from "../../printable.ts";

const NAME_CHARACTERS_MAX = 80;
const DIGITS = 8;

/** OpenSSL takes its time to read a certificate, and notes are made at every look. */
const titles = new WeakMap<Uint8Array, string>();

/** As `"mesh root" (1a2b3c4d)`: two roots may have one name. */
export function titleOf(der: Uint8Array): string {
  const known = titles.get(der);
  if (known !== undefined) return known;
  const subject = new X509Certificate(der).subject as string | undefined;
  const lines = (subject ?? "").split("\n");
  const name = lines.find((line) => line.startsWith("CN="))?.slice(3) ?? lines.join(", ");
  const title = `"${printable(name, NAME_CHARACTERS_MAX)}" (${fingerprintOf(der).slice(0, DIGITS)})`;
  titles.set(der, title);
  return title;
}

export const endOf = (der: Uint8Array): string => minuteOf(readCertificate(der).notAfter);
/** The minute that is `ms` away, rounded up. */
export const minuteIn = (clock: Clock, ms: number): string => minuteOf(clock.now() + ms);
