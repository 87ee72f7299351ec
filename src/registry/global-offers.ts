import { formatServiceAccountId } from "../spiffe.ts";
import type { NetworkId, ObjectKey, ServiceName } from "../names.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { GlobalService } from "./global-services.ts";
import type { Objects } from "./kube/objects.ts";
import type { NetworkAddress } from "./model/address.ts";
import type { LoadBalancing, Service } from "./model/service.ts";
import type { RegistryOptions } from "./options.ts";
import { offerOfService, type Offer } from "./service-offers.ts";
import { waypointFor, type OfferedWaypoint } from "./waypoints.ts";

export interface GlobalOfferInputs {
  readonly services: Collection<ObjectKey, GlobalService>;
  readonly waypoints: Collection<ObjectKey, OfferedWaypoint>;
  readonly virtualIps: Collection<ServiceName, readonly string[]>;
  /** Of the networks whose trust domain is not the mesh's. */
  readonly trustDomains: Collection<NetworkId, string>;
}

/** Global services of other clusters as what they add to the mesh. */
export function globalOffers(
  graph: Graph,
  { namespaces }: Objects,
  { services, waypoints, virtualIps, trustDomains }: GlobalOfferInputs,
  options: RegistryOptions,
): Collection<string, Offer> {
  return derive(graph, {
    name: "global-offers",
    distinct: true,
    from: services,
    reads: { namespaces, waypoints, virtualIps, trustDomains },
    to: (global, reads, key) => {
      const { kube, name, network, localNetwork, apart, alone } = global;
      if (apart !== undefined) return [];
      const { service, ...offer } = offerOfService(kube, network, reads, options);
      const onLocalNetwork = network === localNetwork;
      const { cluster, namespace } = kube.id;
      const user = { cluster, namespace, use: kube.useWaypoint, kind: "service" } as const;
      const waypoint = kube.ofGateway ? undefined : waypointFor(user, reads);
      const trustDomain = reads.trustDomains.get(network) ?? options.mesh.trustDomain;
      const own = alone ? (reads.virtualIps.get(name) ?? []) : [];
      const shared: Offer = {
        ...offer,
        service: {
          ...service,
          addresses: [...service.addresses, ...own.map((ip) => ({ network: localNetwork, ip }))],
          // Behind the gateway of another network its own waypoint takes it; from here nobody could reach that.
          waypoint: onLocalNetwork ? service.waypoint : undefined,
        },
        elsewhere: { network, onLocalNetwork, waypointIdentity: waypoint && identityOf(waypoint, trustDomain) },
      };
      return [[`Service ${key}`, shared]];
    },
  });
}

const identityOf = ({ namespace, serviceAccount }: OfferedWaypoint, trustDomain: string): string =>
  formatServiceAccountId({ trustDomain, namespace, serviceAccount });

/**
 * One service of what several clusters offer under one name, in the terms of `base`: all addresses and names of any,
 * sorted (contract ztunnel.md 5.9).
 */
export function mergedOffer(base: Offer, others: readonly Offer[]): Offer {
  const all = [base, ...others];
  const addresses = new Map(
    all.flatMap(({ service }) => service.addresses.map((address) => [addressText(address), address] as const)),
  );
  const service: Service = {
    ...base.service,
    addresses: [...addresses].sort(([a], [b]) => byCodeUnit(a, b)).map(([, address]) => address),
    subjectAltNames: sortedUnion(all.map(({ service }) => service.subjectAltNames)),
    loadBalancing:
      base.spread || all.every(({ elsewhere }) => elsewhere?.onLocalNetwork !== false)
        ? base.service.loadBalancing
        : ownNetworkFirst(base.service.loadBalancing),
  };
  return { ...base, service, merged: { base, others } };
}

const addressText = ({ network, ip, prefixLength }: NetworkAddress): string => `${network}/${ip}/${prefixLength ?? ""}`;

/** Across networks traffic stays in its own while it can, unless somebody wants otherwise (contract peering.md 3.2). */
export function ownNetworkFirst(said: LoadBalancing | undefined): LoadBalancing {
  return { mode: "failover", preference: ["network"], healthPolicy: said?.healthPolicy ?? "only-healthy" };
}

export const sortedUnion = (lists: readonly (readonly string[])[]): readonly string[] =>
  [...new Set(lists.flat())].sort(byCodeUnit);
