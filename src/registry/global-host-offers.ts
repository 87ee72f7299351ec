import { objectKey, type ClusterId, type NetworkId, type ObjectKey, type ServiceName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { globalOwner } from "./global-members.ts";
import type { GlobalHost } from "./global-merge.ts";
import { ownNetworkFirst } from "./global-offers.ts";
import type { Objects } from "./kube/objects.ts";
import type { KubeService } from "./kube/service.ts";
import type { LoadBalancing, Service } from "./model/service.ts";
import type { RegistryOptions } from "./options.ts";
import { failover, isSaid, type Offer } from "./service-offers.ts";
import { waypointFor, type OfferedWaypoint } from "./waypoints.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

export interface GlobalHostInputs {
  readonly hosts: Collection<ServiceName, GlobalHost>;
  readonly networks: Collection<ClusterId, NetworkId>;
  readonly waypoints: Collection<ObjectKey, OfferedWaypoint>;
  readonly virtualIps: Collection<ServiceName, readonly string[]>;
}

/** Names that need an address of ours: all but those that a Service of the local cluster has one for. */
export function globalNames(graph: Graph, hosts: Collection<ServiceName, GlobalHost>): Collection<ServiceName, true> {
  return derive(graph, {
    name: "global-names",
    distinct: true,
    from: hosts,
    reads: {},
    to: ({ kind, local }, _reads, name) => (kind === "local" && local ? [] : [[name, true] as const]),
  });
}

/** Every name of a global service as the service that local clients know (contract peering.md 2.6). */
export function globalHostOffers(
  graph: Graph,
  { services, namespaces }: Objects,
  inputs: GlobalHostInputs,
  { localCluster }: RegistryOptions,
): Collection<string, Offer> {
  const { hosts, networks, waypoints, virtualIps } = inputs;
  return derive(graph, {
    name: "global-host-offers",
    distinct: true,
    from: hosts,
    reads: { services, namespaces, networks, waypoints, virtualIps },
    to: (global, reads, key) => {
      const { host, namespace, name, ports, createdMs, base } = global;
      const kube = reads.services.get(objectKey(localCluster, namespace, name));
      const network = reads.networks.get(localCluster) ?? DEFAULT_NETWORK;
      const waypoint = namesWaypoint(global, kube)
        ? waypointFor({ cluster: localCluster, namespace, use: kube?.useWaypoint, kind: "service" }, reads)
        : undefined;
      const service: Service = {
        key,
        name,
        namespace,
        hostname: host,
        // ztunnel finds a service by an address on the caller's network, and by no other (contract peering.md 2.6).
        addresses: (reads.virtualIps.get(key) ?? []).map((ip) => ({ network, ip })),
        ports,
        subjectAltNames: [],
        waypoint: waypoint?.address,
        loadBalancing: loadBalancingOf(global, kube),
        ipFamilies: "automatic",
        canonical: false,
      };
      const offer: Offer = {
        service,
        kind: "Service",
        id: { cluster: base, namespace, name, createdMs, origin: "" },
        owner: globalOwner(namespace, name),
        allocated: true,
        spread: isSaid(global.distribution),
        global,
      };
      return [[`Global ${key}`, offer] as const];
    },
  });
}

/**
 * Whether the local waypoint takes its traffic, so that exactly one does (contract peering.md 2.9). What is to be
 * enforced at the destination is left to that, unless some of it is here: then this is the destination, too.
 */
function namesWaypoint({ waypointPolicy, local }: GlobalHost, kube: KubeService | undefined): boolean {
  return kube?.ofGateway !== true && (waypointPolicy !== "destination" || local);
}

/** Unless somebody wants otherwise traffic stays in its own network while it can (contract peering.md 2.10). */
function loadBalancingOf(
  { distribution, local }: GlobalHost,
  kube: KubeService | undefined,
): LoadBalancing | undefined {
  const said = distribution !== undefined && isSaid(distribution) ? failover(distribution) : failover("same-network");
  if (!local || kube?.publishNotReady !== true) return said;
  return { ...(said ?? { mode: "unspecified", preference: [] }), healthPolicy: "allow-all" };
}

/** The service of a cluster-local name that was taken over, as the local cluster has it (contract peering.md 2.8). */
export function takenOver(own: Offer, { service, global }: Offer): Offer {
  const { loadBalancing } = own.service;
  const spread = own.spread ? loadBalancing : ownNetworkFirst(loadBalancing);
  return { ...own, service: { ...own.service, ports: service.ports, loadBalancing: spread }, global: global! };
}
