import type { EpochMs } from "../host.ts";
import type { PeerView } from "../peering/opened-peer.ts";
import type { Refused } from "../peering/refusal-book.ts";
import type { RemoteClusterStatus } from "../registry/kube/remote-cluster.ts";
import type { Granted } from "../registry/model/granted.ts";
import type { PeerGateway } from "../registry/model/peer.ts";
import type { Reader, TopologyInputs } from "./inputs.ts";
import type { TopologyLink, TopologyState } from "./topology.ts";

/** A client answers in milliseconds; what takes this long is worth showing. */
const BEHIND_MS = 2_000;

const QUIET = {
  ...{ reason: "", message: "", since: "", heardAt: "", backlog: 0, behindSince: "", skewSeconds: 0, denied: 0 },
  ...{ staleness: "", dataPlane: "", source: "", granted: "" },
} as const;

/** Every link, each direction for itself: one end knows nothing of the other's. */
export function linksOf(inputs: TopologyInputs): readonly TopologyLink[] {
  const { localCluster, clusters, peers, readers, refused, now } = inputs;
  const linked = new Set<string>(peers.map(({ cluster }) => cluster));
  const served = new Set<string>(readers.map(({ cluster }) => cluster));
  const links = [
    ...clusters.filter(({ cluster }) => cluster !== localCluster).map((status) => secretLink(status, now)),
    ...peers.map(peerLink),
    ...[...inputs.peerGateways]
      .filter(({ cluster }) => cluster === undefined || !linked.has(cluster))
      .flatMap(badGateway),
    ...byCluster(readers).map((streams) => readerLink(streams, now)),
    ...refused.filter(({ cluster }) => !served.has(cluster)).map(refusedLink),
  ];
  return links.sort((a, b) => compare(a.cluster, b.cluster) || compare(b.direction, a.direction));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function secretLink(
  { cluster, source, state, since, reason, staleMs }: RemoteClusterStatus,
  now: EpochMs,
): TopologyLink {
  return {
    ...QUIET,
    ...{ cluster, direction: "we read", via: "secret", source },
    state: secretState(state, staleMs),
    reason: state === "synced" && reason === "" ? "" : state,
    message: reason,
    since: timeOf(since),
    heardAt: staleMs === undefined ? "" : timeOf(now - staleMs),
  };
}

function secretState(state: RemoteClusterStatus["state"], staleMs: number | undefined): TopologyState {
  if (staleMs !== undefined) return "stale";
  if (state === "synced") return "live";
  return state === "syncing" ? "syncing" : "connecting";
}

function peerLink(peer: PeerView): TopologyLink {
  const { cluster, state, reason, message, sinceMs, heardAt, skewMs, denials, staleness, dataPlane, target } = peer;
  return {
    ...QUIET,
    ...{ cluster, direction: "we read", via: "peer", staleness, dataPlane, message, source: target.gateway },
    // Who was refused before it had anything is not on its way.
    state: state === "connecting" && reason === "PermissionDenied" ? "refused" : state,
    reason: reason ?? "",
    since: timeOf(sinceMs),
    heardAt: state === "live" || heardAt === undefined ? "" : timeOf(heardAt),
    skewSeconds: Math.round((skewMs ?? 0) / 100) / 10,
    denied: denials.length,
  };
}

/** A Gateway that leads nowhere, as it is refused. */
function badGateway({ namespace, name, cluster, refused }: PeerGateway): readonly TopologyLink[] {
  if (refused === undefined) return [];
  const source = `${namespace}/${name}`;
  return [
    {
      ...QUIET,
      ...{ cluster: cluster ?? "", direction: "we read", via: "peer", state: "refused", source },
      reason: refused.reason,
      message: `Gateway ${source} ${refused.message}`,
    },
  ];
}

function byCluster(readers: readonly Reader[]): readonly (readonly [Reader, ...(readonly Reader[])])[] {
  const streams = new Map<string, [Reader, ...Reader[]]>();
  for (const reader of readers) {
    const known = streams.get(reader.cluster);
    if (known === undefined) streams.set(reader.cluster, [reader]);
    else known.push(reader);
  }
  return [...streams.values()];
}

/** Of a peer's replicas the one that is behind counts. */
function readerLink(streams: readonly [Reader, ...(readonly Reader[])], now: EpochMs): TopologyLink {
  const [{ cluster, identity, granted }] = streams;
  const unacked = streams.flatMap(({ unackedSince }) => unackedSince ?? []);
  const oldest = unacked.length === 0 ? undefined : Math.min(...unacked);
  const behind = oldest !== undefined && now - oldest > BEHIND_MS;
  return {
    ...QUIET,
    ...{ cluster, direction: "reads us", via: "peer", state: behind ? "syncing" : "live", source: identity },
    reason: behind ? "Unacknowledged" : "",
    message: behind ? `Cluster ${cluster} has not acknowledged what it was sent.` : "",
    since: timeOf(Math.min(...streams.map(({ since }) => since))),
    backlog: Math.max(...streams.map(({ backlog }) => backlog)),
    behindSince: behind ? timeOf(oldest) : "",
    granted: grantText(granted),
  };
}

const refusedLink = ({ cluster, identity, reason, message, at }: Refused): TopologyLink => ({
  ...QUIET,
  ...{ cluster, direction: "reads us", via: "peer", state: "refused", reason, message, source: identity },
  since: timeOf(at),
});

const PATTERNS_MAX = 6;

/** In a few words, limit by limit; empty for everything. */
function grantText(granted: Granted): string {
  return granted
    .map(({ by, scopes }) => {
      const names = scopes.flatMap(({ namespaces, services }) =>
        namespaces.map((namespace) => (services === undefined ? namespace : `${namespace}: ${inFew(services)}`)),
      );
      return `${by} ${inFew(names)}`;
    })
    .join("; ");
}

function inFew(names: readonly string[]): string {
  if (names.length === 0) return "nothing";
  const more = names.length - PATTERNS_MAX;
  return `${names.slice(0, PATTERNS_MAX).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** Empty for 0, which stands for never. */
export const timeOf = (ms: EpochMs): string => (ms === 0 ? "" : new Date(ms).toISOString());
