import { whyUnknown } from "../inspect/cluster-facts.ts";
import type { Finding } from "../inspect/finding.ts";
import * as types from "../kube/resource-types.ts";
import { parseIp } from "../registry/ip.ts";
import { hostText } from "../registry/network-gateways.ts";
import { EAST_WEST, NETWORK_LABEL } from "./gateways.ts";
import { ImaginedMesh } from "./imagined-mesh.ts";
import type { Offer } from "./offer.ts";
import { type FoundGateway, nameOf, type Side } from "./side.ts";

/** Of an offer that is accepted where it was made. */
export const ownFinding = (reader: Side, { cluster }: Offer): Finding => ({
  ...{ code: "CWY3042", level: "error", cluster, object: nameOf(reader), field: "CLUSTER_ID" },
  evidence: `The offer is of cluster ${cluster}, and so is ${nameOf(reader)}`,
  fix: "accept it in the other cluster, with --context; or, if both clusters have one ID, set another CLUSTER_ID on the control plane of one of them",
});

/** Another cluster on that network: calls to one could end at the gateway of the other. */
export function networkClashes({ remotes, cluster }: Side, offer: Offer, flat: boolean): readonly Finding[] {
  if (flat) return [];
  return remotes.flatMap(({ gateway: { id, leadsTo, network } }): readonly Finding[] => {
    const other = leadsTo ?? network;
    if (network !== offer.network || other === offer.cluster) return [];
    const object = `Gateway ${id.namespace}/${id.name}`;
    return [
      {
        ...{ code: "CWY3043", level: "error", cluster, object, field: `metadata.labels[${NETWORK_LABEL}]` },
        evidence: `The offer says that cluster ${offer.cluster} is on network ${offer.network}, and by ${object} cluster ${other} is, too: calls to one could enter by the gateway of the other`,
        fix: `have the team of ${offer.cluster} name its network otherwise, and offer again; or, if pods of both do reach each other, accept it with --flat`,
      },
    ];
  });
}

export interface Relink {
  /** The Gateway that leads there today is the one that `link` would write. */
  readonly ours: boolean;
  /** It may be led elsewhere. */
  readonly replace: boolean;
}

/** Whether the cluster is linked already, and as the offer says. */
export function relinkFindings(reader: Side, offer: Offer, { ours, replace }: Relink): readonly Finding[] {
  const there = reader.remotes.find(({ gateway: { leadsTo, network } }) => (leadsTo ?? network) === offer.cluster);
  if (there === undefined) return [];
  const { id } = there.gateway;
  const object = `Gateway ${id.namespace}/${id.name}`;
  const finding = (code: string, level: Finding["level"], evidence: string, fix: string): Finding => ({
    ...{ code, level, cluster: reader.cluster, object, field: "spec", evidence, fix },
  });
  const linked = `${nameOf(reader)} is linked to ${offer.cluster} already, by ${object}`;
  const differing = contradictions(there, reader, offer);
  if (differing.length === 0) return [finding("CWY3045", "ok", `${linked}, as the offer says`, "")];
  const evidence = `${linked}, and the offer says otherwise: ${differing.join("; ")}`;
  if (replace && ours) return [finding("CWY3044", "info", evidence, "")];
  const confirmed = `if the team of ${offer.cluster} confirms that by another way`;
  const fix = ours
    ? `${confirmed}, accept it with --replace`
    : `${confirmed}, change ${object}, which link did not make, or delete it and accept again`;
  return [finding("CWY3044", "error", evidence, fix)];
}

/** What a Gateway and an offer say of the same thing, and not the same; where one of them says nothing they agree. */
function contradictions({ gateway }: FoundGateway, reader: Side, offer: Offer): readonly string[] {
  const portOf = (protocol: string): number | undefined =>
    gateway.listeners.find((listener) => listener.protocol === protocol)?.port;
  const said: readonly (readonly [what: string, today: unknown, offered: unknown])[] = [
    ["addresses", listed(gateway.wantedAddresses.map(hostText)), listed(offer.addresses.map(written))],
    ["port", portOf("TLS"), offer.xdsPort],
    ["port for tunnels", portOf("HBONE"), offer.hbonePort],
    ["network", gateway.network, offer.network],
    ["trust domain", gateway.trustDomain ?? reader.trustDomain, offer.trustDomain],
    ["service account", gateway.serviceAccount || EAST_WEST, offer.serviceAccount],
  ];
  return said.flatMap(([what, today, offered]) =>
    today === undefined || offered === undefined || today === offered
      ? []
      : [`${what} ${String(today)} today, ${String(offered)} in the offer`],
  );
}

const listed = (hosts: readonly string[]): string => [...hosts].sort().join(", ") || "none";

/** As a Gateway is read. */
function written(address: string): string {
  const ip = parseIp(address);
  return ip === undefined ? address.toLowerCase() : hostText({ kind: "ip", ip });
}

/** Names in a domain that no Segment of that name has here are not believed (contract peering.md 2.18). */
export function segmentFindings(reader: Side, { cluster, segment, domain }: Offer): readonly Finding[] {
  if (segment === "" || whyUnknown(reader.facts, types.SEGMENTS) !== undefined) return [];
  const counting = new ImaginedMesh([reader]).site(reader)?.registry.globalCandidates.inputs.shared.segments.byName;
  const own = counting?.get(segment);
  if (own?.domain === domain) return [];
  const has = own === undefined ? "no such Segment counts" : `its domain is ${own.domain}`;
  return [
    {
      ...{ code: "CWY3046", level: "warning", cluster: reader.cluster, field: "spec.domain" },
      object: `Segment ${reader.system}/${segment}`,
      evidence: `Cluster ${cluster} is in segment ${segment} with domain ${domain}, and in ${nameOf(reader)} ${has}: none of its services will be known here`,
      fix: `have the same Segment in both clusters: ask the team of ${cluster} for its manifest`,
    },
  ];
}
