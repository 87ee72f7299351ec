import type { ObjectKey, ServiceName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import type { Graph } from "./collection/graph.ts";
import { federatedMembers } from "./federated-members.ts";
import { globalHostOffers, globalNames } from "./global-host-offers.ts";
import { kubeMembers, type GlobalMember } from "./global-members.ts";
import { globalHosts, type GlobalHost } from "./global-merge.ts";
import { globalOffers } from "./global-offers.ts";
import { globalServices, namesOfOthers, type GlobalService } from "./global-services.ts";
import type { Objects } from "./kube/objects.ts";
import type { MeshConfig } from "./model/mesh.ts";
import type { NetworkPaths } from "./network-paths.ts";
import type { RegistryOptions } from "./options.ts";
import { nodeOffers } from "./peer-doors.ts";
import type { PeerSources } from "./peer-sources.ts";
import type { Segments } from "./segments.ts";
import { serviceOffers, type Offer } from "./service-offers.ts";
import type { SharedService } from "./shared-services.ts";
import { union } from "./union.ts";
import { virtualIps } from "./virtual-ips.ts";
import type { OfferedWaypoint } from "./waypoints.ts";

export interface AllOffersInputs {
  readonly paths: NetworkPaths;
  readonly waypoints: Collection<ObjectKey, OfferedWaypoint>;
  readonly meshConfig: Collection<"mesh", MeshConfig>;
  readonly shared: Collection<ObjectKey, SharedService>;
  readonly segments: Segments;
  readonly peers: PeerSources;
}

/** What objects of any cluster want to be services of the mesh. */
export interface AllOffers {
  readonly all: Collection<string, Offer>;
  /** Those of other clusters. */
  readonly global: Collection<string, Offer>;
  readonly globals: Collection<ObjectKey, GlobalService>;
  /** What clusters add to global services, by `cluster/namespace/name`. */
  readonly members: Collection<ObjectKey, GlobalMember>;
  /** Those of them that peers told us of. */
  readonly federated: Collection<ObjectKey, GlobalMember>;
  readonly hosts: Collection<ServiceName, GlobalHost>;
  /** What these want to be. */
  readonly named: Collection<string, Offer>;
  readonly virtualIps: Collection<ServiceName, readonly string[]>;
}

export function allOffers(
  graph: Graph,
  objects: Objects,
  { paths, waypoints, meshConfig, shared, segments, peers }: AllOffersInputs,
  options: RegistryOptions,
): AllOffers {
  const { networks, trustDomains, standings } = paths;
  const globals = globalServices(graph, objects, networks, meshConfig, standings, options);
  const federated = federatedMembers(graph, objects, { peers, standings, segments, shared }, options);
  const members = union(graph, "global-members", [
    kubeMembers(graph, objects, { shared, standings }, options),
    federated,
  ]);
  const hosts = globalHosts(graph, members);
  const names = [namesOfOthers(graph, globals), globalNames(graph, hosts)];
  const vips = virtualIps(graph, objects, names, options);
  const local = serviceOffers(graph, objects, { networks, waypoints, virtualIps: vips }, options);
  const global = globalOffers(
    graph,
    objects,
    { services: globals, waypoints, virtualIps: vips, trustDomains },
    options,
  );
  const named = globalHostOffers(graph, objects, { hosts, networks, waypoints, virtualIps: vips }, options);
  const all = union(graph, "offers", [local, global, named, nodeOffers(graph, paths.doors)]);
  return { all, global, globals, members, federated, hosts, named, virtualIps: vips };
}
