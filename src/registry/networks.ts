import { hostname, networkGatewayUid, networkId, type ClusterId, type NetworkId } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { Source } from "./collection/source.ts";
import { merge } from "./collection/merge.ts";
import type { GatewayHost, KubeGateway } from "./kube/gateway.ts";
import type { Objects } from "./kube/objects.ts";
import type { GatewayAddress } from "./model/address.ts";
import type { Workload } from "./model/workload.ts";
import type { RegistryOptions } from "./options.ts";
import { union } from "./union.ts";
import { bareWorkload } from "./workload-shape.ts";

/** HBONE's own port. */
export const HBONE_PORT = 15_008;
const REMOTE_CLASS = "istio-remote";

/**
 * The network of each cluster that names one: a label of its system namespace (contract ztunnel.md 5.1). For the local
 * cluster a network that was given to us wins.
 */
export function clusterNetworks(
  graph: Graph,
  objects: Objects,
  { mesh, localCluster, network }: RegistryOptions,
): Collection<ClusterId, NetworkId> {
  const given = new Source<ClusterId, NetworkId>(graph, "networks-given");
  if (network !== "") given.set(localCluster, network);
  const labelled = derive(graph, {
    name: "networks-labelled",
    from: objects.namespaces,
    reads: {},
    to: (namespace, _reads, key) => {
      const cluster = key.slice(0, key.indexOf("/")) as ClusterId;
      if (namespace.name !== mesh.rootNamespace || namespace.network === "") return [];
      return network !== "" && cluster === localCluster ? [] : [[cluster, networkId(namespace.network)] as const];
    },
  });
  return union(graph, "networks", [given, labelled]);
}

/** One address at which another network can be entered. */
export interface NetworkGateway {
  readonly network: NetworkId;
  readonly host: GatewayHost;
  readonly hbonePort: number;
  readonly cluster: ClusterId;
  /** Its identity is that of its gateway. */
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Gateways of the local cluster that stand for another network (contract ztunnel.md 5.9). */
export function networkGateways(
  graph: Graph,
  objects: Objects,
  { localCluster }: RegistryOptions,
): Collection<string, NetworkGateway> {
  return derive(graph, {
    name: "network-gateways",
    from: objects.gateways,
    reads: {},
    to: (gateway, _reads, key) =>
      gateway.id.cluster === localCluster
        ? gatewayHosts(gateway).map((entry, at) => [`${key}#${at}`, entry] as const)
        : [],
  });
}

function gatewayHosts(gateway: KubeGateway): readonly NetworkGateway[] {
  if (gateway.className !== REMOTE_CLASS || gateway.network === undefined) return [];
  const network = networkId(gateway.network);
  // Nothing places a gateway that is elsewhere, so its spec says where it is until a status does.
  const hosts = gateway.addresses.length > 0 ? gateway.addresses : gateway.wantedAddresses;
  const { cluster, namespace, name } = gateway.id;
  const serviceAccount = gateway.serviceAccount || `${name}-istio-remote`;
  const hbonePort = hbonePortOf(gateway);
  return hosts.map((host) => ({ network, host, hbonePort, cluster, namespace, serviceAccount }));
}

/** The port of its HBONE listener, else 15008 if it listens there whatever it calls it, else 0: no way in. */
export function hbonePortOf({ listeners }: KubeGateway): number {
  const listener = listeners.find(({ protocol }) => protocol === "HBONE");
  return (listener ?? listeners.find(({ port }) => port === HBONE_PORT))?.port ?? 0;
}

/** The gateway by which endpoints of a network are reached: the first by name that speaks HBONE. */
export function gatewayByNetwork(
  graph: Graph,
  gateways: Collection<string, NetworkGateway>,
): Collection<NetworkId, GatewayAddress> {
  const usable = derive(graph, {
    name: "hbone-gateways",
    from: gateways,
    reads: {},
    to: (gateway, _reads, key) => (gateway.hbonePort === 0 ? [] : [[key, { key, gateway }] as const]),
  });
  return merge(graph, {
    name: "gateway-by-network",
    from: usable,
    by: ({ gateway }) => gateway.network,
    combine: (_network, members) => {
      const first = [...members].sort((a, b) => (a.key < b.key ? -1 : 1))[0];
      return first && addressOf(first.gateway);
    },
  });
}

function addressOf({ network, host, hbonePort, namespace }: NetworkGateway): GatewayAddress {
  return host.kind === "ip"
    ? { destination: { kind: "address", address: { network, ip: host.ip } }, hbonePort }
    : { destination: { kind: "hostname", namespace, hostname: hostname(host.hostname) }, hbonePort };
}

/** ztunnel only tunnels to a gateway it knows as a workload (contract ztunnel.md section 7, 27). */
export function gatewayWorkloads(
  graph: Graph,
  gateways: Collection<string, NetworkGateway>,
  { mesh }: RegistryOptions,
): Collection<Workload["uid"], Workload> {
  return derive(graph, {
    name: "gateway-workloads",
    from: gateways,
    reads: {},
    to: (gateway) => {
      const { network, host, hbonePort, cluster, namespace, serviceAccount } = gateway;
      const uid = networkGatewayUid(network, host.kind === "ip" ? host.ip : host.hostname, hbonePort);
      const workload: Workload = {
        ...bareWorkload(uid, uid, namespace, cluster, mesh.trustDomain),
        network,
        addresses: host.kind === "ip" ? [host.ip] : [],
        hostname: host.kind === "hostname" ? host.hostname : "",
        serviceAccount,
      };
      return [[uid, workload]];
    },
  });
}
