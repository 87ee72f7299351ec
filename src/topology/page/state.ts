import type {
  TopologyCertificate,
  TopologyCluster,
  TopologyDrained,
  TopologyLink,
  TopologyProblem,
} from "../topology.ts";

/** How good or bad something is; its colour. A glyph and a word always say it, too. */
export type Tone = "ok" | "busy" | "warn" | "bad" | "plain";

export interface Mark {
  readonly glyph: string;
  readonly word: string;
  readonly tone: Tone;
}

const LINK: Readonly<Record<TopologyLink["state"], Mark>> = {
  live: { glyph: "●", word: "live", tone: "ok" },
  syncing: { glyph: "◐", word: "syncing", tone: "busy" },
  connecting: { glyph: "○", word: "connecting", tone: "warn" },
  stale: { glyph: "▲", word: "stale", tone: "bad" },
  refused: { glyph: "✕", word: "refused", tone: "bad" },
};
const NONE: Mark = { glyph: "–", word: "no", tone: "plain" };
const OTHER: Mark = { glyph: "?", word: "unknown", tone: "plain" };

/** Of a link; undefined is one that is not there. */
export const linkMark = (link: TopologyLink | undefined): Mark =>
  link === undefined ? NONE : (LINK[link.state] ?? OTHER);

const CERTIFICATE: Readonly<Record<TopologyCertificate["level"], Mark>> = {
  ok: { glyph: "●", word: "valid", tone: "ok" },
  soon: { glyph: "▲", word: "ends soon", tone: "warn" },
  ended: { glyph: "✕", word: "ended", tone: "bad" },
};
export const certificateMark = ({ level }: TopologyCertificate): Mark => CERTIFICATE[level] ?? OTHER;

const PROBLEM: Readonly<Record<TopologyProblem["severity"], Mark>> = {
  error: { glyph: "✕", word: "error", tone: "bad" },
  warning: { glyph: "▲", word: "warning", tone: "warn" },
  info: { glyph: "○", word: "info", tone: "plain" },
};
export const problemMark = ({ severity }: TopologyProblem): Mark => PROBLEM[severity] ?? OTHER;

const DRAIN: Readonly<Record<TopologyDrained["state"], Mark>> = {
  leaving: { glyph: "◐", word: "leaving", tone: "busy" },
  drained: { glyph: "■", word: "drained", tone: "warn" },
  spared: { glyph: "○", word: "spared", tone: "plain" },
  far: { glyph: "▲", word: "far", tone: "warn" },
};
export const drainMark = ({ state }: TopologyDrained): Mark => DRAIN[state] ?? OTHER;

/** A cluster with the links to and from it. */
export interface LinkedCluster {
  readonly cluster: TopologyCluster;
  readonly own: boolean;
  /** By peering or by Secret; peering first. */
  readonly weRead: TopologyLink | undefined;
  readonly readsUs: TopologyLink | undefined;
  readonly links: readonly TopologyLink[];
  /** Whether somebody should look at it. */
  readonly attention: boolean;
}

export function linkedClusters(
  clusters: readonly TopologyCluster[],
  links: readonly TopologyLink[],
): readonly LinkedCluster[] {
  const byCluster = new Map<string, TopologyLink[]>();
  for (const link of links) {
    const known = byCluster.get(link.cluster);
    if (known === undefined) byCluster.set(link.cluster, [link]);
    else known.push(link);
  }
  return clusters.map((cluster) => linkedCluster(cluster, byCluster.get(cluster.name) ?? []));
}

function linkedCluster(cluster: TopologyCluster, links: readonly TopologyLink[]): LinkedCluster {
  const own = cluster.roles.includes("own");
  const read = links.filter(({ direction }) => direction === "we read");
  return {
    ...{ cluster, own, links },
    weRead: read.find(({ via }) => via === "peer") ?? read[0],
    readsUs: links.find(({ direction }) => direction === "reads us"),
    attention: !own && (cluster.oneWay !== "" || cluster.drain !== null || links.some(({ state }) => state !== "live")),
  };
}
