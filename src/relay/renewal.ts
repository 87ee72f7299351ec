import { readCertificate } from "../ca/certificate-fields.ts";
import type { EpochMs, Random } from "../host.ts";
import { fingerprintOf } from "./wish.ts";

/** While no order has said it (contract identity.md 4.2, R6). */
const USUAL_GRACE_RATIO = 0.1;
/** Those who were signed in one minute do not all ask in one minute: up to this part of the time that is left for it. */
const JITTER_PART = 0.25;
/** What workloads get unless they ask for less: nothing that is signed outlives its authority (contract identity.md 3.2). */
const LEAF_LIFE_MS = 86_400_000;

/** When the certificate that signs is to be replaced, and from when on it is late. */
export class Renewal {
  readonly #random: Random;
  #of = "";
  #chance = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The same for the same certificate, as long as we run. @param der the certificate that signs. */
  dueAt(der: Uint8Array, graceRatio = USUAL_GRACE_RATIO): EpochMs {
    const { notBefore, notAfter } = readCertificate(der);
    const name = fingerprintOf(der);
    if (name !== this.#of) this.#chance = this.#random.next();
    this.#of = name;
    const graceMs = graceRatio * (notAfter - notBefore);
    return notAfter - graceMs * (1 - JITTER_PART * this.#chance);
  }
}

/** Whether less than the life of one leaf is left, or of what there is for a renewal, most has passed. */
export function isLate(der: Uint8Array, now: EpochMs, graceRatio = USUAL_GRACE_RATIO): boolean {
  const { notBefore, notAfter } = readCertificate(der);
  return notAfter - now < Math.min(LEAF_LIFE_MS, (graceRatio * (notAfter - notBefore)) / 2);
}
