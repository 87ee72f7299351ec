import { clusterId } from "../names.ts";
import type { PeerGateway } from "../registry/model/peer.ts";
import type { ExplainFacts, Place } from "./explanation.ts";
import { annotated, labelled, pasteable } from "./mending.ts";
import { type Remedy, remedyOfLink } from "./link-causes.ts";

export const gatewayTo = (cluster: string, { registry }: ExplainFacts): PeerGateway | undefined => {
  const all = Array.from(registry.peerGateways.entries(), ([, gateway]) => gateway);
  const leading = all.filter((gateway) => gateway.cluster === cluster);
  return leading.find(({ refused }) => refused === undefined) ?? leading[0];
};

/** Something about the Gateway that leads to the peer. */
export function atGateway(
  cluster: string,
  facts: ExplainFacts,
  remedy: (gateway: PeerGateway, local: string) => Remedy,
): Place {
  const { localCluster } = facts.registry.globalCandidates.inputs.options;
  const gateway = gatewayTo(cluster, facts);
  if (gateway === undefined) return withoutGateway(cluster, localCluster);
  return {
    object: `Gateway ${gateway.namespace}/${gateway.name}`,
    cluster: localCluster,
    ...remedy(gateway, localCluster),
  };
}

/** We hear of no cluster without a Gateway that leads there (contract peering.md 2.1). */
export const withoutGateway = (peer: string, cluster: string): Place => ({
  object: "Gateway of class istio-remote",
  cluster,
  field: "",
  fix: `create one in cluster ${cluster} that leads to ${peer}: its labels topology.istio.io/cluster: ${peer} and topology.istio.io/network, the address of ${peer}'s east-west gateway, a listener of protocol TLS`,
});

/** The annotation that says whose identities a peer may name. */
export function trustDomainPlace(cluster: string, found: string | undefined, facts: ExplainFacts): Place {
  return atGateway(cluster, facts, ({ namespace, name }, local) => ({
    field: "metadata.annotations[gateway.istio.io/trust-domain]",
    fix: annotated(
      { cluster: local, kind: "Gateway", namespace, name },
      "gateway.istio.io/trust-domain",
      pasteable(found, "<trust domain of the peer>"),
      facts,
    ),
  }));
}

/** The label that says which network a peer is on; `said` is what the peer says itself. */
export const networkPlace = (cluster: string, said: string | undefined, facts: ExplainFacts): Place =>
  atGateway(cluster, facts, ({ namespace, name }, local) => ({
    field: "metadata.labels[topology.istio.io/network]",
    fix: labelled(
      { cluster: local, kind: "Gateway", namespace, name },
      "topology.istio.io/network",
      pasteable(said, "<network of the peer>"),
      facts,
    ),
  }));

/** What keeps a link from being up. */
export function linkPlace(cluster: string, facts: ExplainFacts): Place {
  const status = facts.registry.peers.statuses.get(clusterId(cluster));
  return atGateway(cluster, facts, (gateway, local) => remedyOfLink(status?.reason, gateway, local, facts));
}
