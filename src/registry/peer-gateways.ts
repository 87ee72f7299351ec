import { clusterId, isClusterId, networkId, type ClusterId, type ObjectKey } from "../names.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import { merge } from "./collection/merge.ts";
import { REMOTE_CLASS, type KubeGateway, type Listener } from "./kube/gateway.ts";
import type { Objects } from "./kube/objects.ts";
import type { DataPlaneServiceType, PeerGateway, PeerGatewayReason } from "./model/peer.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";

/** What a chart calls the account of a peer's east-west gateway (contract peering.md 2.2). */
const EAST_WEST_ACCOUNT = "istio-eastwest";

export interface PeerGateways {
  /** Every one that is meant to be a link, refused ones with the reason. */
  readonly all: Collection<ObjectKey, PeerGateway>;
  readonly problems: Collection<string, Problem>;
}

/**
 * The peers that the local cluster names (contract peering.md 2.2). A Gateway of class `istio-remote` without a listener
 * for TLS is no link: it only says where another network is entered.
 */
export function peerGateways(graph: Graph, { gateways }: Objects, options: RegistryOptions): PeerGateways {
  const { localCluster } = options;
  const links = filter(
    graph,
    "links-wanted",
    gateways,
    ({ id, className, listeners }) =>
      id.cluster === localCluster && className === REMOTE_CLASS && listeners.some(isForXds),
  );
  const read = derive(graph, {
    name: "peer-gateways-read",
    distinct: true,
    from: links,
    reads: {},
    to: (gateway, _reads, key) => [[key, { peer: peerGatewayOf(gateway, key, options), gateway }] as const],
  });
  const first = merge(graph, {
    name: "first-peer-gateways",
    from: filter(graph, "valid-peer-gateways", read, ({ peer }) => peer.refused === undefined),
    by: ({ peer }) => peer.cluster!,
    combine: (_cluster, members) => [...members].sort(compareAges)[0]?.peer.gateway,
  });
  const all = derive(graph, {
    name: "peer-gateways",
    distinct: true,
    from: read,
    reads: { first },
    to: ({ peer }, { first }, key) => {
      const winner = peer.cluster === undefined || peer.refused !== undefined ? key : (first.get(peer.cluster) ?? key);
      return [[key, winner === key ? peer : conflicted(peer, winner)] as const];
    },
  });
  return { all, problems: refusals(graph, all, gateways) };
}

const isForXds = ({ protocol }: Listener): boolean => protocol === "TLS";

interface Read {
  readonly peer: PeerGateway;
  readonly gateway: KubeGateway;
}

const compareAges = (
  { gateway: { id: a }, peer: { gateway: aKey } }: Read,
  { gateway: { id: b }, peer }: Read,
): number => a.createdMs - b.createdMs || byCodeUnit(aKey, peer.gateway);

const conflicted = (peer: PeerGateway, winner: ObjectKey): PeerGateway => ({
  ...peer,
  refused: {
    reason: "Conflicted",
    message:
      `leads to cluster ${peer.cluster}, as the older Gateway ${winner.slice(winner.indexOf("/") + 1)} does, which is ` +
      "used; delete one of the two",
  },
});

function peerGatewayOf(gateway: KubeGateway, key: ObjectKey, { localCluster, mesh }: RegistryOptions): PeerGateway {
  const { id, listeners, network = "" } = gateway;
  const named = gateway.leadsTo ?? network;
  const cluster = isClusterId(named) ? clusterId(named) : undefined;
  const refused = whyRefused(gateway, cluster, localCluster);
  return {
    gateway: key,
    namespace: id.namespace,
    name: id.name,
    generation: gateway.generation,
    cluster,
    network: networkId(network),
    trustDomain: gateway.trustDomain ?? mesh.trustDomain,
    hosts: gateway.wantedAddresses,
    xdsPort: listeners.find(isForXds)?.port ?? 0,
    hbonePort: listeners.find(({ protocol }) => protocol === "HBONE")?.port,
    serviceAccount: gateway.serviceAccount || EAST_WEST_ACCOUNT,
    locality: gateway.locality,
    preferred: serviceTypeOf(gateway.preferredServiceType),
    refused: refused && { reason: refused[0], message: refused[1] },
  };
}

/** The first thing that is wrong, with what follows the name of the Gateway in a sentence. */
function whyRefused(
  gateway: KubeGateway,
  cluster: ClusterId | undefined,
  localCluster: ClusterId,
): readonly [PeerGatewayReason, string] | undefined {
  const { listeners, network = "", leadsTo, wantedAddresses } = gateway;
  const forXds = listeners.filter(isForXds);
  if (forXds.length > 1)
    return [
      "InvalidListener",
      `has ${forXds.length} listeners of protocol TLS; keep the one that leads to the peer's 15012`,
    ];
  if (!forXds.every(({ passes }) => passes))
    return ["InvalidListener", "has a listener of protocol TLS that is not passed on; set its tls.mode to Passthrough"];
  if (network === "")
    return ["MissingNetwork", "has no label topology.istio.io/network; give it the one of the peer's system namespace"];
  if (leadsTo === undefined && serviceTypeOf(gateway.preferredServiceType) === "nodeport")
    return [
      "MissingCluster",
      "prefers node ports, for which the peer must be named; add the label topology.istio.io/cluster",
    ];
  if (cluster === undefined)
    return [
      "MissingCluster",
      "names no cluster; give the label topology.istio.io/cluster the peer's cluster ID: letters, digits, '.', '-' and '_'",
    ];
  if (cluster === localCluster)
    return ["SelfPeer", `leads to cluster ${cluster}, which is this one; name another, or delete it`];
  if (wantedAddresses.length === 0)
    return ["MissingAddress", "has no address; put that of the peer's east-west gateway into spec.addresses"];
  return undefined;
}

export function serviceTypeOf(text: string | undefined): DataPlaneServiceType | undefined {
  const type = text?.trim().toLowerCase();
  return type === "loadbalancer" || type === "nodeport" ? type : undefined;
}

function refusals(
  graph: Graph,
  all: Collection<ObjectKey, PeerGateway>,
  gateways: Collection<ObjectKey, KubeGateway>,
): Collection<string, Problem> {
  return derive(graph, {
    name: "peer-gateway-refusals",
    distinct: true,
    from: all,
    reads: { gateways },
    to: ({ namespace, name, refused, preferred }, { gateways }, key): readonly (readonly [string, Problem])[] => {
      const gateway = gateways.get(key);
      const written = gateway?.preferredServiceType ?? "";
      const problem = (field: string, message: string): Problem => ({
        object: `Gateway ${namespace}/${name}`,
        origin: gateway?.id.origin ?? "",
        field,
        message,
        severity: "warning",
      });
      const found: (readonly [string, Problem])[] = [];
      if (refused !== undefined)
        found.push([
          `Gateway ${key}#peer`,
          problem(
            "",
            `Gateway ${namespace}/${name} ${refused.message}. Until then there is no link (${refused.reason}).`,
          ),
        ]);
      if (written !== "" && preferred === undefined)
        found.push([`Gateway ${key}#preferred`, problem(PREFERRED, `${PREFERRED} is ${unknownType(written)}.`)]);
      return found;
    },
  });
}

const PREFERRED = "metadata.annotations[peering.solo.io/preferred-data-plane-service-type]";

/** What follows the name of the field. */
export const unknownType = (text: string): string =>
  `${JSON.stringify(text.slice(0, 80))}, which nobody knows, so it has no effect; use loadbalancer or nodeport`;
