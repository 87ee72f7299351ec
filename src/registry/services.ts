import type { ServiceName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { merge } from "./collection/merge.ts";
import type { NetworkAddress } from "./model/address.ts";
import type { Problem } from "./model/problem.ts";
import type { Service } from "./model/service.ts";
import { takenOver } from "./global-host-offers.ts";
import { mergedOffer, sortedUnion } from "./global-offers.ts";
import type { Offer } from "./service-offers.ts";

type Rival = Pick<Offer, "kind" | "id" | "owner" | "service" | "elsewhere" | "global">;

/**
 * The local cluster's before others', and theirs by cluster. Then who was there first: a Kubernetes Service before an
 * entry, then the older, then the first by name.
 */
function compareOffers(a: Rival, b: Rival): number {
  // Of a name that we made and one that somebody wrote the older stands (contract peering.md 2.5).
  if (isMade(a) !== isMade(b)) return a.id.createdMs - b.id.createdMs || (isMade(a) ? -1 : 1);
  if (a.elsewhere || b.elsewhere)
    return (
      Number(a.elsewhere !== undefined) - Number(b.elsewhere !== undefined) ||
      order(a.id.cluster, b.id.cluster) ||
      order(a.service.key, b.service.key)
    );
  if (a.kind !== b.kind) return a.kind === "Service" ? -1 : 1;
  if (a.id.createdMs !== b.id.createdMs) return a.id.createdMs - b.id.createdMs;
  return a.owner === b.owner ? order(a.service.key, b.service.key) : order(a.owner, b.owner);
}

const isMade = ({ global }: Pick<Offer, "global">): boolean => global !== undefined && global.kind !== "local";
const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const first = <V>(values: readonly V[], compare: (a: V, b: V) => number): V | undefined => [...values].sort(compare)[0];

/** The offer that each service name goes to, with all that other clusters add to it. */
export function nameWinners(graph: Graph, offers: Collection<string, Offer>): Collection<ServiceName, Offer> {
  return merge(graph, {
    name: "name-winners",
    from: offers,
    by: ({ service }) => service.key,
    combine: (_name, members) => {
      const taken = members.find(({ global }) => global?.kind === "local");
      const [base, ...others] = members.filter((offer) => offer !== taken).sort(compareOffers);
      if (base === undefined || base.elsewhere !== undefined) return ofOthers(taken, base ? [base, ...others] : []);
      const shared = others.filter(({ elsewhere }) => elsewhere !== undefined);
      const offer = shared.length > 0 ? mergedOffer(base, shared) : base;
      return taken?.global?.local && base.kind === "Service" ? takenOver(offer, taken) : offer;
    },
  });
}

/** A name that nothing of the local cluster has. What only one other cluster has is merged, too: with nothing. */
function ofOthers(taken: Offer | undefined, others: readonly Offer[]): Offer | undefined {
  const [base, ...rest] = taken ? [taken, ...others] : others;
  return base?.elsewhere || rest.length > 0 ? mergedOffer(base!, rest) : base;
}

/** Which object a service name belongs to, as `ServiceEntry east/shop/api`. */
export function nameOwners(graph: Graph, winners: Collection<ServiceName, Offer>): Collection<ServiceName, string> {
  return derive(graph, {
    name: "name-owners",
    from: winners,
    reads: {},
    to: (offer, _reads, name) => [[name, offer.owner]],
  });
}

interface Claim {
  readonly address: string;
  readonly offer: Rival & Pick<Offer, "allocated">;
}

const addressId = ({ network, ip, prefixLength }: NetworkAddress): string => `${network}/${ip}/${prefixLength ?? ""}`;

/** An address that somebody chose beats one that we chose; then as for names. */
function compareClaims({ offer: a }: Claim, { offer: b }: Claim): number {
  return Number(a.allocated) - Number(b.allocated) || compareOffers(a, b);
}

/** The object that each virtual address goes to. All hosts of one object may share its addresses. */
export function addressOwners(graph: Graph, winners: Collection<ServiceName, Offer>): Collection<string, string> {
  const claims = derive(graph, {
    name: "address-claims",
    from: winners,
    reads: {},
    to: (offer, _reads, name) =>
      offer.service.addresses.map((address) => {
        const id = addressId(address);
        return [`${id} ${name}`, { address: id, offer }] as const;
      }),
  });
  return merge(graph, {
    name: "address-owners",
    from: claims,
    by: ({ address }) => address,
    combine: (_address, members) => first(members, compareClaims)?.offer.owner,
  });
}

/** The services of the mesh: each name once, each address once, and one canonical for each hostname. */
export function services(
  graph: Graph,
  winners: Collection<ServiceName, Offer>,
  owners: Collection<string, string>,
  /** Whom clients must expect behind the gateways of other networks. */
  identities: Collection<ServiceName, readonly string[]>,
): Collection<ServiceName, Service> {
  const canonical = merge(graph, {
    name: "canonical-services",
    from: winners,
    by: ({ service }) => service.hostname,
    combine: (_host, members) => first(members, compareOffers)?.service.key,
  });
  return derive(graph, {
    name: "services",
    from: winners,
    reads: { owners, canonical, identities },
    to: (offer, { owners, canonical, identities }, name) => {
      const addresses = offer.service.addresses.filter((address) => owners.get(addressId(address)) === offer.owner);
      const isCanonical = canonical.get(offer.service.hostname) === name;
      const counted = [name, ...(offer.global?.firsts ?? []).filter((first) => first !== name)];
      const lists = [offer.service.subjectAltNames, ...counted.map((each) => identities.get(each) ?? [])];
      const names = unionOf([...lists, waypointIdentities(offer)]);
      return [[name, { ...offer.service, subjectAltNames: names, addresses, canonical: isCanonical }]];
    },
  });
}

/** All of the lists but one are empty for nearly all services: then that one will do, which may be long. */
function unionOf(lists: readonly (readonly string[])[]): readonly string[] {
  const [first = [], ...others] = lists.filter((list) => list.length > 0);
  return others.length === 0 ? first : sortedUnion([first, ...others]);
}

/** On another network a waypoint may answer for the service (contract operations.md 3.2). */
const waypointIdentities = ({ merged, elsewhere }: Offer): readonly string[] =>
  [elsewhere, ...(merged?.others ?? []).map(({ elsewhere }) => elsewhere)].flatMap((where) =>
    where === undefined || where.onLocalNetwork || where.waypointIdentity === undefined ? [] : [where.waypointIdentity],
  );

/** What a service lost to another: its name, or an address. */
export function serviceProblems(
  graph: Graph,
  offers: Collection<string, Offer>,
  winners: Collection<ServiceName, Offer>,
  owners: Collection<string, string>,
): Collection<string, Problem> {
  return derive(graph, {
    name: "service-problems",
    from: offers,
    reads: { winners, owners },
    to: (offer, { winners, owners }, key) => {
      const { service, kind, id, owner } = offer;
      // It takes no name from what has it, but adds to that.
      if (offer.global?.kind === "local") return [];
      const object = `${kind} ${offer.elsewhere ? `${id.cluster}/` : ""}${id.namespace}/${id.name}`;
      const winner = winners.get(service.key);
      // What other clusters offer under one name is merged, and has its addresses together.
      const holder = offer.elsewhere && winner ? winner.owner : owner;
      const problem = (field: string, message: string): readonly [string, Problem] => [
        `${key}#${field}`,
        { object, origin: id.origin, field, message, severity: "warning" },
      ];
      if (winner && winner.owner !== holder)
        return [
          problem(
            "spec.hosts",
            `host ${service.hostname} belongs to ${winner.kind} ${winner.id.name} in the same namespace, so ` +
              `${object} does not offer it; name it in one object only.`,
          ),
        ];
      return service.addresses.flatMap((address) => {
        const other = owners.get(addressId(address));
        if (other === undefined || other === holder) return [];
        const text = address.prefixLength === undefined ? address.ip : `${address.ip}/${address.prefixLength}`;
        const field = kind === "Service" ? "spec.clusterIPs" : "spec.addresses";
        return [
          problem(
            `${field}[${text}]`,
            `address ${text} belongs to ${other}, so ${object} cannot be reached by it; give each its own.`,
          ),
        ];
      });
    },
  });
}
