import {
  clusterId,
  hostname,
  networkGatewayUid,
  networkId,
  type ClusterId,
  type NetworkId,
  type ObjectKey,
} from "../names.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { merge } from "./collection/merge.ts";
import { REMOTE_CLASS, type KubeGateway } from "./kube/gateway.ts";
import type { Objects } from "./kube/objects.ts";
import type { GatewayAddress, GatewayHost } from "./model/address.ts";
import type { MeshSettings } from "./model/mesh.ts";
import type { PeerGateway } from "./model/peer.ts";
import type { Workload } from "./model/workload.ts";
import type { RegistryOptions } from "./options.ts";
import { bareWorkload, DEFAULT_NETWORK } from "./workload-shape.ts";

/** HBONE's own port. */
export const HBONE_PORT = 15_008;
/** Istio's, whose tunnels end at the gateway; and the product's, which may pass them on whole (peering.md 2.6). */
const EAST_WEST_CLASS = "istio-east-west";
const PRODUCT_EAST_WEST_CLASS = "istio-eastwest";

/** One address at which a network can be entered. */
export interface NetworkGateway {
  readonly network: NetworkId;
  readonly host: GatewayHost;
  /** Where it takes tunnels; 0 if it takes none. */
  readonly hbonePort: number;
  /** True for a Gateway of the local cluster that stands for another; false for another cluster's own. */
  readonly declared: boolean;
  /** The cluster that it leads to, or else the one that has it. */
  readonly cluster: ClusterId;
  /** False if it leads to whatever is on its network. */
  readonly toOneCluster: boolean;
  /** The Gateway, and which of its addresses this is. */
  readonly gateway: ObjectKey;
  readonly at: number;
  readonly namespace: string;
  readonly name: string;
  /** Its identity is that of its Gateway. */
  readonly serviceAccount: string;
  /** Of what is behind it, itself included; undefined if it is the mesh's. */
  readonly trustDomain: string | undefined;
}

/** Gateways that the local cluster has for other networks, and those that other clusters have for their own (contract ztunnel.md 5.9). */
export function networkGateways(
  graph: Graph,
  objects: Objects,
  networks: Collection<ClusterId, NetworkId>,
  /** Of the local cluster; what leads to a peer is entered as the peer says. */
  peers: Collection<ObjectKey, PeerGateway>,
  { localCluster, multiNetwork, peeringDiscovery, mesh }: RegistryOptions,
): Collection<string, NetworkGateway> {
  return derive(graph, {
    name: "network-gateways",
    from: objects.gateways,
    reads: { networks, peers },
    to: (gateway, { networks, peers }, key) => {
      const own = gateway.id.cluster === localCluster;
      const peer = own && peeringDiscovery ? peers.get(key) : undefined;
      if (peer !== undefined && peer.refused === undefined) return [];
      const found = own
        ? declaredAddresses(gateway, key)
        : multiNetwork && whyNotGateway(gateway, networks.get(gateway.id.cluster), mesh) === undefined
          ? addressesOf(gateway, key, outerHosts(gateway, mesh), gateway.id.name)
          : [];
      return found.map((address) => [`${key}#${address.at}`, address] as const);
    },
  });
}

/** True if it says that it is a way into its own cluster's network. */
export function isEastWest({ className, network }: KubeGateway): boolean {
  return network !== undefined && isEastWestClass(className);
}

/** Both spellings, the product's and upstream's (contract peering.md 2.2). */
export const isEastWestClass = (className: string): boolean =>
  className === EAST_WEST_CLASS || className === PRODUCT_EAST_WEST_CLASS;

/** Why another cluster's Gateway is no way into its network, undefined if it is one; `own` is what the cluster calls it. */
export function whyNotGateway(
  gateway: KubeGateway,
  own: NetworkId | undefined,
  mesh: MeshSettings,
): string | undefined {
  if (!isEastWest(gateway)) return "is no east-west gateway";
  if (own !== undefined && own !== gateway.network)
    return `says network "${gateway.network}", but its cluster is on "${own}"`;
  if (hbonePortOf(gateway) === 0) return "has no HBONE listener that terminates TLS";
  if (gateway.addresses.length === 0) return "has no address in its status yet";
  return outerHosts(gateway, mesh).length === 0 ? "has only a name that its own cluster knows" : undefined;
}

/** Names of a cluster's own Services mean something else, or nothing, in any other. */
export function outerHosts({ addresses }: KubeGateway, { clusterDomain }: MeshSettings): readonly GatewayHost[] {
  return addresses.filter((host) => host.kind === "ip" || !host.hostname.endsWith(`.svc.${clusterDomain}`));
}

function declaredAddresses(gateway: KubeGateway, key: ObjectKey): readonly NetworkGateway[] {
  if (gateway.className !== REMOTE_CLASS) return [];
  // Nothing places a gateway that is elsewhere, so its spec says where it is until a status does.
  const hosts = gateway.addresses.length > 0 ? gateway.addresses : gateway.wantedAddresses;
  return addressesOf(gateway, key, hosts, `${gateway.id.name}-istio-remote`);
}

function addressesOf(
  gateway: KubeGateway,
  key: ObjectKey,
  hosts: readonly GatewayHost[],
  ownAccount: string,
): readonly NetworkGateway[] {
  if (gateway.network === undefined) return [];
  const { cluster, namespace, name } = gateway.id;
  const declared = gateway.className === REMOTE_CLASS;
  const shared = {
    network: networkId(gateway.network),
    hbonePort: hbonePortOf(gateway),
    declared,
    cluster: declared && gateway.leadsTo !== undefined ? clusterId(gateway.leadsTo) : cluster,
    toOneCluster: !declared || gateway.leadsTo !== undefined,
    gateway: key,
    namespace,
    name,
    serviceAccount: gateway.serviceAccount || ownAccount,
    trustDomain: gateway.trustDomain,
  };
  return hosts.map((host, at) => ({ ...shared, host, at }));
}

/** The port of its HBONE listener; for one that is declared also 15008 by any name. 0 if there is no way in. */
export function hbonePortOf({ className, listeners }: KubeGateway): number {
  const listener = listeners.find(
    ({ protocol, terminates }) => protocol === "HBONE" && (terminates || className !== EAST_WEST_CLASS),
  );
  if (className !== REMOTE_CLASS) return listener?.port ?? 0;
  return (listener ?? listeners.find(({ port }) => port === HBONE_PORT))?.port ?? 0;
}

export const hostText = (host: GatewayHost): string => (host.kind === "ip" ? host.ip : host.hostname);

/** The best first: what takes tunnels, then what the local cluster says, then by name. */
function compareGateways(a: NetworkGateway, b: NetworkGateway): number {
  return (
    Number(a.hbonePort === 0) - Number(b.hbonePort === 0) ||
    Number(b.declared) - Number(a.declared) ||
    byCodeUnit(a.gateway, b.gateway) ||
    a.at - b.at
  );
}

/**
 * All ways into each network, the best first. Clients find a gateway by its address and check its identity, so of two
 * with one address only the better counts.
 */
export function gatewaysOfNetworks(
  graph: Graph,
  gateways: Collection<string, NetworkGateway>,
): Collection<NetworkId, readonly NetworkGateway[]> {
  return merge(graph, {
    name: "gateways-of-networks",
    from: gateways,
    by: ({ network }) => network,
    combine: (_network, members) => {
      const best = new Map<string, NetworkGateway>();
      for (const gateway of [...members].sort(compareGateways)) {
        const host = hostText(gateway.host);
        if (!best.has(host)) best.set(host, gateway);
      }
      return [...best.values()];
    },
  });
}

/** The trust domain of the networks whose gateways say that it is not the mesh's. */
export function trustDomainsOfNetworks(
  graph: Graph,
  gateways: Collection<NetworkId, readonly NetworkGateway[]>,
): Collection<NetworkId, string> {
  return derive(graph, {
    name: "trust-domains-of-networks",
    from: gateways,
    reads: {},
    to: (all, _reads, network) => {
      const trustDomain = all.find((gateway) => gateway.trustDomain !== undefined)?.trustDomain;
      return trustDomain === undefined ? [] : [[network, trustDomain] as const];
    },
  });
}

/**
 * The gateway that workloads of a network name: the first that takes tunnels. On the local network, where nobody needs
 * one, only if the local cluster has it (contract ztunnel.md 5.2).
 */
export function gatewayByNetwork(
  graph: Graph,
  gateways: Collection<NetworkId, readonly NetworkGateway[]>,
  networks: Collection<ClusterId, NetworkId>,
  { localCluster }: RegistryOptions,
): Collection<NetworkId, GatewayAddress> {
  return derive(graph, {
    name: "gateway-by-network",
    from: gateways,
    reads: { networks },
    to: (all, { networks }, network) => {
      const local = network === (networks.get(localCluster) ?? DEFAULT_NETWORK);
      const first = all.find(({ hbonePort, declared }) => hbonePort !== 0 && (declared || !local));
      return first ? [[network, gatewayAddress(first)] as const] : [];
    },
  });
}

export function gatewayAddress({ network, host, hbonePort, namespace }: NetworkGateway): GatewayAddress {
  return host.kind === "ip"
    ? { destination: { kind: "address", address: { network, ip: host.ip } }, hbonePort }
    : { destination: { kind: "hostname", namespace, hostname: hostname(host.hostname) }, hbonePort };
}

/** ztunnel only tunnels to a gateway it knows as a workload (contract ztunnel.md section 7, 27). */
export function gatewayWorkloads(
  graph: Graph,
  gateways: Collection<NetworkId, readonly NetworkGateway[]>,
  { mesh }: RegistryOptions,
): Collection<Workload["uid"], Workload> {
  return derive(graph, {
    name: "gateway-workloads",
    from: gateways,
    reads: {},
    to: (all) =>
      all.map((gateway) => {
        const { network, host, hbonePort, declared, cluster, namespace, serviceAccount } = gateway;
        // Clients of istiod know those of other clusters by port 0 (contract ztunnel.md 2.9).
        const uid = networkGatewayUid(network, hostText(host), declared ? hbonePort : 0);
        const workload: Workload = {
          ...bareWorkload(uid, uid, namespace, cluster, gateway.trustDomain ?? mesh.trustDomain),
          network,
          addresses: host.kind === "ip" ? [host.ip] : [],
          hostname: host.kind === "hostname" ? host.hostname : "",
          serviceAccount,
        };
        return [uid, workload] as const;
      }),
  });
}
