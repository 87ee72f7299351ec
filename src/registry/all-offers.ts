import type { ObjectKey, ServiceName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import type { Graph } from "./collection/graph.ts";
import { globalOffers } from "./global-offers.ts";
import { globalServices, namesOfOthers, type GlobalService } from "./global-services.ts";
import type { Objects } from "./kube/objects.ts";
import type { MeshConfig } from "./model/mesh.ts";
import type { NetworkPaths } from "./network-paths.ts";
import type { RegistryOptions } from "./options.ts";
import { serviceOffers, type Offer } from "./service-offers.ts";
import { union } from "./union.ts";
import { virtualIps } from "./virtual-ips.ts";
import type { OfferedWaypoint } from "./waypoints.ts";

export interface AllOffersInputs {
  readonly paths: NetworkPaths;
  readonly waypoints: Collection<ObjectKey, OfferedWaypoint>;
  readonly meshConfig: Collection<"mesh", MeshConfig>;
}

/** What objects of any cluster want to be services of the mesh. */
export interface AllOffers {
  readonly all: Collection<string, Offer>;
  /** Those of other clusters. */
  readonly global: Collection<string, Offer>;
  readonly globals: Collection<ObjectKey, GlobalService>;
  readonly virtualIps: Collection<ServiceName, readonly string[]>;
}

export function allOffers(
  graph: Graph,
  objects: Objects,
  { paths: { networks, trustDomains }, waypoints, meshConfig }: AllOffersInputs,
  options: RegistryOptions,
): AllOffers {
  const globals = globalServices(graph, objects, networks, meshConfig, options);
  const vips = virtualIps(graph, objects, namesOfOthers(graph, globals), options);
  const local = serviceOffers(graph, objects, { networks, waypoints, virtualIps: vips }, options);
  const global = globalOffers(
    graph,
    objects,
    { services: globals, waypoints, virtualIps: vips, trustDomains },
    options,
  );
  return { all: union(graph, "offers", [local, global]), global, globals, virtualIps: vips };
}
