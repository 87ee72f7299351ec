import type { EpochMs } from "../host.ts";
import type { FoundCertificate } from "./authority-folder.ts";
import { DAY_MS } from "./new-authority.ts";

/** Worse comes later. */
export type Life = "good" | "due" | "urgent" | "future" | "expired";

type Lifetime = Pick<FoundCertificate, "role" | "notBefore" | "notAfter">;

/**
 * How soon a certificate of an authority must be renewed: an intermediate within 30 days of its end, urgently within 7
 * (contract identity.md 6, number 28); a root, which takes weeks to change, 90 and 30. One that lives shorter is due in
 * its last third, and urgent in its last tenth.
 */
export function lifeOf({ role, notBefore, notAfter }: Lifetime, now: EpochMs): Life {
  if (notBefore > now) return "future";
  if (notAfter <= now) return "expired";
  const whole = notAfter - notBefore;
  const [dueDays, urgentDays] = role === "root" ? [90, 30] : [30, 7];
  if (notAfter - now < Math.min(urgentDays * DAY_MS, whole / 10)) return "urgent";
  return notAfter - now < Math.min(dueDays * DAY_MS, whole / 3) ? "due" : "good";
}

/** What to do about it; undefined if nothing. */
export function adviceOn(life: Life, role: FoundCertificate["role"]): string | undefined {
  const renew = role === "root" ? "change the root in steps" : "renew it";
  const advice: Readonly<Record<Life, string | undefined>> = {
    good: undefined,
    due: `${renew} soon`,
    urgent: `${renew} now`,
    future: "not valid yet: check the clock",
    expired: "expired",
  };
  return advice[life];
}
