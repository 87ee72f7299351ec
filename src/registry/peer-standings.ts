import type { ClusterId, NetworkId, ObjectKey } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { Drain, DrainKey } from "./drains.ts";
import type { Locality } from "./model/address.ts";
import type { PeerGateway, PeerStatus } from "./model/peer.ts";
import type { RegistryOptions } from "./options.ts";
import type { PeerSources } from "./peer-sources.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

/** What counts of a peer, once its Gateway, what it says of itself and the state of its link are put together. */
export interface PeerStanding {
  readonly cluster: ClusterId;
  /** The Gateway that leads to it. */
  readonly gateway: ObjectKey;
  readonly network: NetworkId;
  /** True if its network is ours, so that it is no way out of it (contract peering.md 2.12). */
  readonly onLocalNetwork: boolean;
  /** True if the peer itself does not say another. */
  readonly networkAgreed: boolean;
  /** Identities of any other are refused. */
  readonly trustDomain: string;
  readonly segment: string;
  /** Of its global names; undefined until it has said so. */
  readonly domain: string | undefined;
  readonly aliasesDigest: string;
  readonly locality: Locality | undefined;
  /** `away`: what it said is kept, and not used; `gone`: nothing of it counts (contract peering.md 2.13). */
  readonly state: "present" | "away" | "gone";
  /** It gets no new calls until then, where others could take them; undefined if it is not drained. */
  readonly drainedUntilMs: number | undefined;
  /** True once a whole snapshot of it was there. */
  readonly everSynced: boolean;
}

export interface StandingInputs {
  readonly networks: Collection<ClusterId, NetworkId>;
  readonly drains: Collection<DrainKey, Drain>;
}

/** Peers that a Gateway which counts leads to, by cluster. */
export function peerStandings(
  graph: Graph,
  gateways: Collection<ObjectKey, PeerGateway>,
  peers: PeerSources,
  { networks, drains }: StandingInputs,
  { localCluster, peeringDiscovery }: RegistryOptions,
): Collection<ClusterId, PeerStanding> {
  return derive(graph, {
    name: "peer-standings",
    from: gateways,
    reads: { facts: peers.facts, statuses: peers.statuses, networks, drains },
    to: ({ cluster, refused, gateway, network, trustDomain, locality }, reads) => {
      if (!peeringDiscovery || cluster === undefined || refused !== undefined) return [];
      const facts = reads.facts.get(cluster);
      const status = reads.statuses.get(cluster);
      const drain = reads.drains.get(`Gateway ${gateway}`);
      const standing: PeerStanding = {
        cluster,
        gateway,
        network,
        onLocalNetwork: network === (reads.networks.get(localCluster) ?? DEFAULT_NETWORK),
        networkAgreed: facts === undefined || facts.network === network,
        trustDomain,
        segment: facts?.segment ?? "",
        domain: facts?.domain,
        aliasesDigest: facts?.aliasesDigest ?? "",
        locality,
        state: stateOf(status),
        drainedUntilMs: drain?.state === "drained" ? drain.untilMs : undefined,
        everSynced: status?.everSynced ?? false,
      };
      return [[cluster, standing] as const];
    },
  });
}

/** Within its grace, and for as long as it is to be retained, what a peer said last holds. */
function stateOf(status: PeerStatus | undefined): PeerStanding["state"] {
  if (status === undefined) return "present";
  const { state, staleness, dataPlane } = status;
  if (staleness === "remove") return "gone";
  // Neither side of it answers: its endpoints may be as gone as its control plane.
  return staleness === "unhealthy" || (state === "stale" && dataPlane === "closed") ? "away" : "present";
}

/** True for a peer whose pods reach ours directly, as its Gateway here and itself say. */
export const isFlat = (
  { onLocalNetwork, networkAgreed }: PeerStanding,
  { flatPeering }: Pick<RegistryOptions, "flatPeering">,
): boolean => onLocalNetwork && networkAgreed && flatPeering !== "off";
