import type { EpochMs } from "../host.ts";
import type { Shown, TopologyCertificate } from "./topology.ts";

/** A certificate, or what another said of one. */
export interface Seen extends Pick<TopologyCertificate, "use" | "of" | "subject" | "sha256"> {
  /** Undefined if it is not known. */
  readonly notBefore: EpochMs | undefined;
  readonly notAfter: EpochMs;
}

const DAY_MS = 86_400_000;
/** Weeks are what it takes to change a root in several clusters. */
const SOON_MS = 30 * DAY_MS;
const DIGITS = 16;
const SHOWN_MAX = 200;
const PEERS_NAMED_MAX = 20;

type Merged = Seen & { readonly peers: string[] };

/** Each once, with the peers that say that they trust it; the one that ends first comes first. */
export function certificatesShown(seen: readonly Seen[], now: EpochMs): Shown<TopologyCertificate> {
  const merged = new Map<string, Merged>();
  for (const certificate of seen) {
    const { use, of, sha256, subject } = certificate;
    const key = sha256 || `${use} ${subject}`;
    const known = merged.get(key) ?? { ...certificate, peers: [] };
    merged.set(key, known);
    if (use === "peer root" && !known.peers.includes(of)) known.peers.push(of);
  }
  const sorted = [...merged.values()].sort((a, b) => a.notAfter - b.notAfter || (a.sha256 < b.sha256 ? -1 : 1));
  const shown = sorted.slice(0, SHOWN_MAX).map((certificate) => shownOf(certificate, now));
  return { shown, total: sorted.length, more: false };
}

function shownOf({ use, of, subject, sha256, notBefore, notAfter, peers }: Merged, now: EpochMs): TopologyCertificate {
  return {
    ...{ use, of: use === "peer root" ? "" : of, subject, sha256: sha256.slice(0, DIGITS) },
    peers: peers.slice(0, PEERS_NAMED_MAX),
    peersTotal: peers.length,
    notAfter: new Date(notAfter).toISOString(),
    level: levelOf(notBefore, notAfter, now),
  };
}

/** Of what lives shorter than three months the last third counts: it is renewed before. */
function levelOf(notBefore: EpochMs | undefined, notAfter: EpochMs, now: EpochMs): TopologyCertificate["level"] {
  if (notAfter <= now) return "ended";
  const lifeMs = notBefore === undefined ? Infinity : notAfter - notBefore;
  return notAfter - now < Math.min(SOON_MS, lifeMs / 3) ? "soon" : "ok";
}
