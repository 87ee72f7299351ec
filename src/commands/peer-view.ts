import type { BundleAgreement } from "../plane/bundle-drift.ts";
import type { PeerClients } from "../plane/peer-serving.ts";
import type { PeerView } from "../peering/opened-peer.ts";
import type { ClusterView } from "./cluster-view.ts";
import { timeText } from "./sync-view.ts";

/** A page with more is of use to nobody; the count is always whole. */
const DENIALS_SHOWN_MAX = 100;

/** What peerz says of a peer (contract operations.md 1.2). */
export function peerView(peer: PeerView, roots?: BundleAgreement, drainedUntilMs?: number): unknown {
  const { target, heardAt, ageMs, epoch, skewMs, facts, denials } = peer;
  return {
    cluster: peer.cluster,
    gateway: target.gateway,
    network: target.network,
    trustDomain: target.trustDomain,
    hosts: target.hosts.map((host) => (host.kind === "ip" ? host.ip : host.hostname)),
    xdsPort: target.xdsPort,
    addresses: peer.addresses,
    state: peer.state,
    since: timeText(peer.sinceMs),
    reason: peer.reason ?? "",
    message: peer.message,
    everSynced: peer.everSynced,
    heardAt: heardAt === undefined ? "" : timeText(heardAt),
    ageSeconds: ageMs / 1000,
    staleness: peer.staleness,
    dataPlane: peer.dataPlane,
    drainedUntil: drainedUntilMs === undefined ? "" : timeText(drainedUntilMs),
    epoch: epoch ?? "",
    // With the time that its word was under way.
    clockSkewSeconds: skewMs === undefined ? undefined : skewMs / 1000,
    version: facts?.version ?? "",
    segment: facts?.segment ?? "",
    domain: facts?.domain ?? "",
    roots,
    services: peer.services,
    records: peer.records,
    bytes: peer.bytes,
    contents: peer.contents,
    denied: denials.length,
    denials: denials.slice(0, DENIALS_SHOWN_MAX),
  };
}

/** What clusterz says of a peer: in the place of a secret's, the name of what leads to it. */
export function peerClusterView(peer: PeerView, controlPlane: string): ClusterView {
  const { cluster, target, state, sinceMs, message, ageMs } = peer;
  return {
    id: cluster,
    secretName: `Gateway ${target.gateway}`,
    syncStatus: state === "live" ? "synced" : state,
    since: timeText(sinceMs),
    reason: message,
    ...(ageMs > 0 && { staleMs: ageMs }),
    control_plane: controlPlane,
  };
}

/** The other direction: who reads what we share, how much of it, and who may not. */
export function peerClientsView({ served, refused }: PeerClients): unknown {
  return {
    served: served.map(({ granted, since, ...peer }) => ({
      ...peer,
      since: timeText(since),
      exports: granted.length === 0 ? "everything" : granted,
    })),
    refused: refused.map(({ at, ...refusal }) => ({ ...refusal, at: timeText(at) })),
  };
}
