import {
  hostname,
  objectKey,
  serviceName,
  type ClusterId,
  type Hostname,
  type NetworkId,
  type ObjectKey,
  type ServiceName,
} from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { ObjectId } from "./kube/metadata.ts";
import type { Objects } from "./kube/objects.ts";
import type { ServiceEntry } from "./kube/service-entry.ts";
import type { KubeService } from "./kube/service.ts";
import type { TrafficDistribution } from "./kube/traffic-labels.ts";
import type { NetworkAddress } from "./model/address.ts";
import type { LoadBalancing, LoadBalancingScope, Service } from "./model/service.ts";
import type { RegistryOptions } from "./options.ts";
import type { GlobalHost } from "./global-merge.ts";
import { servicePorts } from "./ports.ts";
import { union } from "./union.ts";
import { waypointFor, type OfferedWaypoint, type WaypointReads } from "./waypoints.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

/** One object's wish to be a service. Several may want one name; who gets it is settled after. */
export interface Offer {
  readonly service: Service;
  readonly kind: "Service" | "ServiceEntry";
  readonly id: ObjectId;
  /** `kind key`, so that owners can be told apart. */
  readonly owner: string;
  /** True if nobody chose its addresses but us: they yield to any other. */
  readonly allocated: boolean;
  /** True if somebody said how its traffic is to be spread. */
  readonly spread: boolean;
  /** Only for a global service of another cluster. */
  readonly elsewhere?: Elsewhere;
  /** Only for a name of a global service that clusters share with their peers. */
  readonly global?: GlobalHost;
  /** Only for the winner of a name that other clusters offer, too: what it was made of. */
  readonly merged?: { readonly base: Offer; readonly others: readonly Offer[] };
}

/** Where another cluster has a service that is global. */
export interface Elsewhere {
  readonly network: NetworkId;
  readonly onLocalNetwork: boolean;
  /** Of the waypoint that takes its traffic there; undefined if none does. */
  readonly waypointIdentity: string | undefined;
}

export interface OfferInputs {
  readonly networks: Collection<ClusterId, NetworkId>;
  readonly waypoints: Collection<ObjectKey, OfferedWaypoint>;
  readonly virtualIps: Collection<ServiceName, readonly string[]>;
}

export const kubeHostname = ({ id }: KubeService, clusterDomain: string): Hostname =>
  hostname(`${id.name}.${id.namespace}.svc.${clusterDomain}`);

/** Services and ServiceEntries of the local cluster as the services they want to be (contract ztunnel.md 5.5). */
export function serviceOffers(
  graph: Graph,
  objects: Objects,
  inputs: OfferInputs,
  options: RegistryOptions,
): Collection<string, Offer> {
  const reads = { namespaces: objects.namespaces, networks: inputs.networks, waypoints: inputs.waypoints };
  const fromServices = derive(graph, {
    name: "offers-of-services",
    from: objects.services,
    reads,
    to: (service, reads, key) => {
      if (service.external || service.id.cluster !== options.localCluster) return [];
      const network = reads.networks.get(service.id.cluster) ?? DEFAULT_NETWORK;
      return [[`Service ${key}`, offerOfService(service, network, reads, options)] as const];
    },
  });
  const fromEntries = derive(graph, {
    name: "offers-of-service-entries",
    from: objects.serviceEntries,
    reads: { ...reads, virtualIps: inputs.virtualIps },
    to: (entry, reads, key) => {
      if (entry.id.cluster !== options.localCluster) return [];
      const network = reads.networks.get(entry.id.cluster) ?? DEFAULT_NETWORK;
      return entry.hosts.map((host) => {
        const name = serviceName(entry.id.namespace, host);
        const allocated = isAllocated(entry) ? (reads.virtualIps.get(name) ?? []) : undefined;
        return [`ServiceEntry ${key}/${host}`, offerOfHost(entry, host, allocated, network, reads)] as const;
      });
    },
  });
  return union(graph, "service-offers", [fromServices, fromEntries]);
}

/** What a Service wants to be, with its addresses on `network`. */
export function offerOfService(
  kube: KubeService,
  network: NetworkId,
  reads: WaypointReads,
  { mesh }: RegistryOptions,
): Offer {
  const { cluster, namespace, name } = kube.id;
  const host = kubeHostname(kube, mesh.clusterDomain);
  // A gateway's own service must not go through a waypoint, least of all through itself.
  const user = { cluster, namespace, use: kube.useWaypoint, kind: "service" } as const;
  const distribution = distributionFor(kube.id, kube.distribution, reads);
  const service: Service = {
    key: serviceName(namespace, host),
    name,
    namespace,
    hostname: host,
    addresses: kube.clusterIps.map((ip) => ({ network, ip })),
    ports: servicePorts(kube.ports),
    subjectAltNames: [],
    waypoint: kube.ofGateway ? undefined : waypointFor(user, reads)?.address,
    loadBalancing: loadBalancingOfService(kube, distribution ?? "any"),
    ipFamilies: ipFamiliesOf(kube.ipFamilies),
    canonical: false,
  };
  return {
    service,
    kind: "Service",
    id: kube.id,
    owner: `Service ${objectKey(cluster, namespace, name)}`,
    allocated: false,
    spread: isSaid(distribution) || kube.nodeLocal,
  };
}

/** True if its hosts get their addresses from us (contract ztunnel.md 5.5). */
export function isAllocated(entry: ServiceEntry): boolean {
  return entry.addresses.length === 0 && entry.resolution !== "NONE";
}

function offerOfHost(
  entry: ServiceEntry,
  host: string,
  allocated: readonly string[] | undefined,
  network: NetworkId,
  reads: WaypointReads,
): Offer {
  const { cluster, namespace, name } = entry.id;
  const user = { cluster, namespace, use: entry.useWaypoint, kind: "service" } as const;
  const given = entry.addresses.map(({ ip, prefixLength }): NetworkAddress => {
    const isWhole = prefixLength === (ip.includes(":") ? 128 : 32);
    return isWhole ? { network, ip } : { network, ip, prefixLength };
  });
  const distribution = distributionFor(entry.id, entry.distribution, reads);
  const service: Service = {
    key: serviceName(namespace, host),
    name,
    namespace,
    hostname: hostname(host),
    addresses: allocated?.map((ip) => ({ network, ip })) ?? given,
    ports: servicePorts(entry.ports),
    subjectAltNames: entry.subjectAltNames,
    waypoint: waypointFor(user, reads)?.address,
    loadBalancing:
      entry.resolution === "NONE"
        ? { mode: "passthrough", preference: [], healthPolicy: "allow-all" }
        : failover(distribution ?? "any"),
    ipFamilies: "automatic",
    canonical: false,
  };
  const owner = `ServiceEntry ${objectKey(cluster, namespace, name)}`;
  const spread = isSaid(distribution) || entry.resolution === "NONE";
  return { service, kind: "ServiceEntry", id: entry.id, owner, allocated: allocated !== undefined, spread };
}

function ipFamiliesOf(families: readonly string[]): Service["ipFamilies"] {
  if (families.length > 1) return "dual";
  if (families[0] === undefined) return "automatic";
  return families[0] === "IPv6" ? "ipv6" : "ipv4";
}

export function distributionFor(
  { cluster, namespace }: ObjectId,
  own: TrafficDistribution | undefined,
  { namespaces }: WaypointReads,
): TrafficDistribution | undefined {
  return own ?? namespaces.get(objectKey(cluster, "", namespace))?.distribution;
}

const PREFERENCES: Readonly<Record<TrafficDistribution, readonly LoadBalancingScope[]>> = {
  any: [],
  unknown: [],
  "same-network": ["network"],
  // A near network of another cluster is better than a far place on our own (contract peering.md 2.10).
  "same-region": ["region"],
  "same-zone": ["network", "region", "zone"],
  "same-node": ["network", "region", "zone", "subzone", "node"],
};

/** True if somebody said how traffic is to be spread, in words that we know. */
export const isSaid = (distribution: TrafficDistribution | undefined): boolean =>
  distribution !== undefined && distribution !== "unknown";

export function failover(distribution: TrafficDistribution): LoadBalancing | undefined {
  const preference = PREFERENCES[distribution];
  return preference.length === 0 ? undefined : { mode: "failover", preference, healthPolicy: "only-healthy" };
}

function loadBalancingOfService(kube: KubeService, distribution: TrafficDistribution): LoadBalancing | undefined {
  const balancing: LoadBalancing | undefined = kube.nodeLocal
    ? { mode: "strict", preference: ["node"], healthPolicy: "only-healthy" }
    : failover(distribution);
  if (!kube.publishNotReady) return balancing;
  return { ...(balancing ?? { mode: "unspecified", preference: [] }), healthPolicy: "allow-all" };
}
