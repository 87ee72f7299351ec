import type { ClusterId, NetworkId, ObjectKey } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import type { Graph } from "./collection/graph.ts";
import type { Drain, DrainKey } from "./drains.ts";
import type { Objects } from "./kube/objects.ts";
import type { GatewayAddress } from "./model/address.ts";
import type { PeerGateway } from "./model/peer.ts";
import {
  gatewayByNetwork,
  gatewaysOfNetworks,
  networkGateways,
  trustDomainsOfNetworks,
  type NetworkGateway,
} from "./network-gateways.ts";
import { clusterNetworks } from "./networks.ts";
import type { RegistryOptions } from "./options.ts";
import { peerDoors, peerNetworkGateways, type PeerDoors } from "./peer-doors.ts";
import type { PeerSources } from "./peer-sources.ts";
import { peerStandings, type PeerStanding } from "./peer-standings.ts";
import { union } from "./union.ts";

/** Which networks there are, and how they are entered. */
export interface NetworkPaths {
  /** The network of each cluster that names one. */
  readonly networks: Collection<ClusterId, NetworkId>;
  /** Peers as they stand. */
  readonly standings: Collection<ClusterId, PeerStanding>;
  readonly doors: Collection<ObjectKey, PeerDoors>;
  /** All ways into networks, whether they count or not. */
  readonly addresses: Collection<string, NetworkGateway>;
  /** All ways into each network, the best first. */
  readonly gateways: Collection<NetworkId, readonly NetworkGateway[]>;
  /** The one that workloads of a network name. */
  readonly gatewayOf: Collection<NetworkId, GatewayAddress>;
  /** Of the networks whose trust domain is not the mesh's. */
  readonly trustDomains: Collection<NetworkId, string>;
}

export function networkPaths(
  graph: Graph,
  objects: Objects,
  peering: {
    readonly sources: PeerSources;
    readonly gateways: Collection<ObjectKey, PeerGateway>;
    readonly drains: Collection<DrainKey, Drain>;
  },
  options: RegistryOptions,
): NetworkPaths {
  const networks = clusterNetworks(graph, objects, options);
  const standings = peerStandings(
    graph,
    peering.gateways,
    peering.sources,
    { networks, drains: peering.drains },
    options,
  );
  const doors = peerDoors(graph, standings, peering.gateways, peering.sources);
  const addresses = union(graph, "all-network-gateways", [
    networkGateways(graph, objects, networks, peering.gateways, options),
    peerNetworkGateways(graph, doors),
  ]);
  const gateways = gatewaysOfNetworks(graph, addresses);
  return {
    networks,
    standings,
    doors,
    addresses,
    gateways,
    gatewayOf: gatewayByNetwork(graph, gateways, networks, options),
    trustDomains: trustDomainsOfNetworks(graph, gateways),
  };
}
