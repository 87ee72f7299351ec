import { X509Certificate } from "node:crypto";
import { fingerprintOf } from "../ca/issued-list.ts";
import { readCertificate } from "../ca/certificate-fields.ts";
import type { Clock, EpochMs } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { ClusterReport, Fingerprint, Hello } from "../relay/messages.ts";

/** What a cluster said of itself, and when. */
export interface ClusterFacts {
  readonly link: "connected" | "away" | "never";
  readonly from: string;
  readonly heardAt: EpochMs | undefined;
  readonly report: ClusterReport | undefined;
  /** Its clock minus ours, when it last said it. */
  readonly skewMs: number | undefined;
}

const UNKNOWN: ClusterFacts = { link: "never", from: "", heardAt: undefined, report: undefined, skewMs: undefined };

/** What clusters said since this process began. */
export class ClusterLedger {
  readonly #clock: Clock;
  readonly #facts = new Map<ClusterId, ClusterFacts>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(cluster: ClusterId): ClusterFacts {
    return this.#facts.get(cluster) ?? UNKNOWN;
  }

  connected(cluster: ClusterId, { clock }: Hello, from: string): void {
    this.#note(cluster, { link: "connected", from, skewMs: clock - this.#clock.now() });
  }

  reported(cluster: ClusterId, report: ClusterReport): void {
    this.#note(cluster, { link: "connected", report, skewMs: report.clock - this.#clock.now() });
  }

  disconnected(cluster: ClusterId): void {
    this.#facts.set(cluster, { ...this.of(cluster), link: "away" });
  }

  /** It is registered no more: what it said means nothing. */
  forget(cluster: ClusterId): void {
    this.#facts.delete(cluster);
  }

  #note(cluster: ClusterId, facts: Partial<ClusterFacts>): void {
    this.#facts.set(cluster, { ...this.of(cluster), ...facts, heardAt: this.#clock.now() });
  }
}

/** The certificate that signs in a cluster, in words; empty and undefined where there is none. */
export function signerOf(report: ClusterReport | undefined): {
  readonly issuer: string;
  readonly notAfter: EpochMs | undefined;
  readonly roots: readonly Fingerprint[];
} {
  const [certificate] = report?.chain ?? [];
  const roots = (report?.roots ?? []).map(fingerprintOf);
  if (certificate === undefined) return { issuer: "", notAfter: undefined, roots };
  const issuer = new X509Certificate(certificate).issuer.replace(/\n/g, ", ");
  return { issuer, notAfter: readCertificate(certificate).notAfter, roots };
}
