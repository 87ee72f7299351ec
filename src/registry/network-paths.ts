import type { ClusterId, NetworkId } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import type { Graph } from "./collection/graph.ts";
import type { Objects } from "./kube/objects.ts";
import type { GatewayAddress } from "./model/address.ts";
import {
  gatewayByNetwork,
  gatewaysOfNetworks,
  networkGateways,
  trustDomainsOfNetworks,
  type NetworkGateway,
} from "./network-gateways.ts";
import { clusterNetworks } from "./networks.ts";
import type { RegistryOptions } from "./options.ts";

/** Which networks there are, and how they are entered. */
export interface NetworkPaths {
  /** The network of each cluster that names one. */
  readonly networks: Collection<ClusterId, NetworkId>;
  /** All ways into networks, whether they count or not. */
  readonly addresses: Collection<string, NetworkGateway>;
  /** All ways into each network, the best first. */
  readonly gateways: Collection<NetworkId, readonly NetworkGateway[]>;
  /** The one that workloads of a network name. */
  readonly gatewayOf: Collection<NetworkId, GatewayAddress>;
  /** Of the networks whose trust domain is not the mesh's. */
  readonly trustDomains: Collection<NetworkId, string>;
}

export function networkPaths(graph: Graph, objects: Objects, options: RegistryOptions): NetworkPaths {
  const networks = clusterNetworks(graph, objects, options);
  const addresses = networkGateways(graph, objects, networks, options);
  const gateways = gatewaysOfNetworks(graph, addresses);
  return {
    networks,
    addresses,
    gateways,
    gatewayOf: gatewayByNetwork(graph, gateways, networks, options),
    trustDomains: trustDomainsOfNetworks(graph, gateways),
  };
}
