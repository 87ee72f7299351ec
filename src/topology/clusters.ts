import type { TopologyDrains } from "./drains.ts";
import type { TopologyInputs } from "./inputs.ts";
import type { TopologyCluster, TopologyLink, TopologyRole } from "./topology.ts";

type Known = Pick<TopologyCluster, "network" | "trustDomain" | "segment" | "domain" | "version" | "services">;

const UNKNOWN: Known = { network: "", trustDomain: "", segment: "", domain: "", version: "", services: 0 };

/** Every cluster that a link leads to or comes from, and our own. */
export function clustersOf(
  inputs: TopologyInputs,
  links: readonly TopologyLink[],
  drains: TopologyDrains,
  exported: number,
): readonly TopologyCluster[] {
  const { localCluster, ownFacts, version } = inputs;
  const own: TopologyCluster = {
    ...UNKNOWN,
    ...(ownFacts !== undefined && placeOf(ownFacts)),
    ...{ name: localCluster, roles: ["own"], version, services: exported, oneWay: "", drain: null },
  };
  const known = new Map(inputs.peers.map((peer) => [peer.cluster as string, knownOf(peer)]));
  const byName = new Map<string, TopologyLink[]>();
  for (const link of links) {
    const others = byName.get(link.cluster);
    if (others === undefined) byName.set(link.cluster, [link]);
    else others.push(link);
  }
  const names = [...byName.keys()].filter((name) => name !== "" && name !== localCluster).sort();
  const others = names.map((name) => ({
    ...otherCluster(name, byName.get(name)!, known.get(name) ?? UNKNOWN),
    drain: drains.ofPeer(name),
  }));
  return [own, ...others];
}

function knownOf({ target, facts, services }: TopologyInputs["peers"][number]): Known {
  const { network, trustDomain } = target;
  if (facts === undefined) return { ...UNKNOWN, network, trustDomain, services };
  return { ...placeOf(facts), version: facts.version, services, network, trustDomain };
}

const placeOf = ({ network, trustDomain, segment, domain }: NonNullable<TopologyInputs["ownFacts"]>) => ({
  ...{ network, trustDomain, segment, domain },
});

function otherCluster(name: string, links: readonly TopologyLink[], known: Known): Omit<TopologyCluster, "drain"> {
  return { ...known, name, roles: rolesOf(links), oneWay: oneWayOf(name, links) };
}

function rolesOf(links: readonly TopologyLink[]): readonly TopologyRole[] {
  const read = links.filter(({ direction }) => direction === "we read").map(({ via }) => via);
  return read.length === 0 ? ["caller"] : [...new Set(read)].sort();
}

/** Whether both read each other; a cluster that is only read by a Secret has no control plane that would. */
function oneWayOf(name: string, links: readonly TopologyLink[]): string {
  const peers = links.filter(({ via, state }) => via === "peer" && state !== "refused");
  const weRead = peers.some(({ direction }) => direction === "we read");
  const readsUs = peers.some(({ direction }) => direction === "reads us");
  if (weRead === readsUs) return "";
  return weRead
    ? `We read ${name}, and it does not read this control plane: it sees nothing of what we share.`
    : `${name} reads us, and nothing here leads to it: we see nothing of what it shares.`;
}
