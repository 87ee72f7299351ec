import { hostname, peerNodeUid, serviceName, type ClusterId, type Hostname, type ObjectKey } from "../names.ts";
import { formatServiceAccountId, parseServiceAccountId } from "../spiffe.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { GatewayHost } from "./model/address.ts";
import type { ClusterFacts, Door, PeerGateway } from "./model/peer.ts";
import type { Problem } from "./model/problem.ts";
import type { Workload } from "./model/workload.ts";
import { HBONE_PORT, hostText, type NetworkGateway } from "./network-gateways.ts";
import type { PeerStanding } from "./peer-standings.ts";
import type { PeerSources } from "./peer-sources.ts";
import type { Offer } from "./service-offers.ts";
import { bareWorkload } from "./workload-shape.ts";

/** How the network of a peer is entered: by the addresses of its Gateway, or by its nodes (contract peering.md 2.11). */
export interface PeerDoors {
  readonly peer: PeerGateway;
  readonly ways: readonly Omit<NetworkGateway, "gateway" | "at">[];
  /** Those that stand behind the one name that is then its way. */
  readonly nodes: readonly (Door & { readonly ip: string })[];
  /** Why there is no way, as what follows the name of the Gateway; undefined if there is one. */
  readonly missing: string | undefined;
}

/** The name that stands for all nodes of a peer, which clients share load over (contract peering.md 2.5). */
const nodesHostname = (cluster: ClusterId): Hostname => hostname(`node.istio-eastwest.${cluster}.mesh.internal`);

/** None for a peer on our own network: nobody needs a gateway there. */
export function peerDoors(
  graph: Graph,
  standings: Collection<ClusterId, PeerStanding>,
  gateways: Collection<ObjectKey, PeerGateway>,
  { facts }: PeerSources,
): Collection<ObjectKey, PeerDoors> {
  return derive(graph, {
    name: "peer-doors",
    distinct: true,
    from: standings,
    reads: { gateways, facts },
    to: (standing, { gateways, facts }) => {
      const peer = gateways.get(standing.gateway);
      if (peer === undefined || standing.onLocalNetwork) return [];
      return [[standing.gateway, doorsOf(standing, peer, facts.get(standing.cluster))] as const];
    },
  });
}

function doorsOf(standing: PeerStanding, peer: PeerGateway, facts: ClusterFacts | undefined): PeerDoors {
  const { cluster, network, trustDomain } = standing;
  const doors = facts?.doors ?? [];
  const nodes = doors.flatMap((door) =>
    door.serviceType === "nodeport" && door.host.kind === "ip" ? [{ ...door, ip: door.host.ip }] : [],
  );
  const balancers = doors.filter(({ serviceType }) => serviceType === "loadbalancer");
  const wantsNodes = peer.preferred === "nodeport" || (peer.preferred === undefined && balancers.length === 0);
  const way = (host: GatewayHost, hbonePort: number, door: Door | undefined) => ({
    ...accountOf(door, trustDomain, peer),
    network,
    host,
    hbonePort,
    declared: true,
    cluster,
    toOneCluster: true,
    name: peer.name,
    trustDomain,
  });
  if (wantsNodes && nodes.length > 0) {
    const host = { kind: "hostname", hostname: nodesHostname(cluster) } as const;
    return { peer, ways: [way(host, HBONE_PORT, nodes[0])], nodes, missing: undefined };
  }
  if (peer.preferred === "nodeport" && balancers.length === 0)
    return { peer, ways: [], nodes: [], missing: `prefers node ports, but cluster ${cluster} names no node of it` };
  const ways = peer.hosts.map((host) => {
    const door = balancers.find((other) => hostText(other.host) === hostText(host)) ?? balancers[0];
    return way(host, peer.hbonePort ?? door?.hbonePort ?? HBONE_PORT, door);
  });
  return { peer, ways, nodes: [], missing: undefined };
}

/** Whom the far gateway proves to be: itself knows best, but only within its own trust domain. */
function accountOf(
  door: Door | undefined,
  trustDomain: string,
  { namespace, serviceAccount }: PeerGateway,
): Pick<NetworkGateway, "namespace" | "serviceAccount"> {
  if (door === undefined || !door.identity.startsWith(`spiffe://${trustDomain}/`)) return { namespace, serviceAccount };
  try {
    return parseServiceAccountId(door.identity);
  } catch {
    return { namespace, serviceAccount };
  }
}

export function peerNetworkGateways(
  graph: Graph,
  doors: Collection<ObjectKey, PeerDoors>,
): Collection<string, NetworkGateway> {
  return derive(graph, {
    name: "peer-network-gateways",
    distinct: true,
    from: doors,
    reads: {},
    to: ({ ways }, _reads, gateway) => ways.map((way, at) => [`${gateway}#${at}`, { ...way, gateway, at }] as const),
  });
}

/** The service that stands for the nodes of a peer: a gateway's name must be one (contract ztunnel.md 6.4). */
export function nodeOffers(graph: Graph, doors: Collection<ObjectKey, PeerDoors>): Collection<string, Offer> {
  return derive(graph, {
    name: "peer-node-offers",
    distinct: true,
    from: doors,
    reads: {},
    to: ({ peer, ways: [way], nodes }, _reads, key): readonly (readonly [string, Offer])[] => {
      if (way === undefined || nodes.length === 0) return [];
      const host = nodesHostname(way.cluster);
      const { namespace, serviceAccount } = way;
      const offer: Offer = {
        service: {
          key: serviceName(namespace, host),
          name: host,
          namespace,
          hostname: host,
          addresses: [],
          ports: [{ servicePort: HBONE_PORT, targetPort: 0 }],
          subjectAltNames: [
            formatServiceAccountId({ trustDomain: way.trustDomain ?? peer.trustDomain, namespace, serviceAccount }),
          ],
          waypoint: undefined,
          loadBalancing: undefined,
          ipFamilies: "automatic",
          canonical: false,
        },
        kind: "Service",
        id: { cluster: way.cluster, namespace, name: peer.name, createdMs: 0, origin: "" },
        owner: `Peer ${way.cluster}`,
        allocated: true,
        spread: true,
      };
      return [[`Peer ${key}`, offer]];
    },
  });
}

/** Each node of a peer that takes tunnels. */
export function nodeWorkloads(
  graph: Graph,
  doors: Collection<ObjectKey, PeerDoors>,
): Collection<Workload["uid"], Workload> {
  return derive(graph, {
    name: "peer-node-workloads",
    from: doors,
    reads: {},
    to: ({ peer, ways: [way], nodes }) =>
      nodes.flatMap(({ ip, hbonePort }): readonly (readonly [Workload["uid"], Workload])[] => {
        if (way === undefined) return [];
        const uid = peerNodeUid(way.cluster, way.network, ip, hbonePort);
        const name = `autogen.node.${way.cluster}.${ip}`;
        const service = serviceName(way.namespace, nodesHostname(way.cluster));
        const workload: Workload = {
          ...bareWorkload(uid, name, way.namespace, way.cluster, way.trustDomain ?? peer.trustDomain),
          network: way.network,
          addresses: [ip],
          serviceAccount: way.serviceAccount,
          services: [{ service, ports: [{ servicePort: HBONE_PORT, targetPort: hbonePort }] }],
        };
        return [[uid, workload]];
      }),
  });
}

/** Peers whose network nobody here can enter. */
export function doorProblems(graph: Graph, doors: Collection<ObjectKey, PeerDoors>): Collection<string, Problem> {
  return derive(graph, {
    name: "peer-door-problems",
    distinct: true,
    from: doors,
    reads: {},
    to: ({ peer, missing }, _reads, key): readonly (readonly [string, Problem])[] => {
      if (missing === undefined) return [];
      const message =
        `Gateway ${peer.namespace}/${peer.name} ${missing}, so nothing behind it can be reached; have its east-west ` +
        "gateway offer nodeport (annotation peering.solo.io/data-plane-service-type), or prefer loadbalancer here.";
      const field = "metadata.annotations[peering.solo.io/preferred-data-plane-service-type]";
      const object = `Gateway ${peer.namespace}/${peer.name}`;
      return [[`Gateway ${key}#door`, { object, origin: "", field, message, severity: "warning" }]];
    },
  });
}
