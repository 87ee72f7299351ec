import { objectKey, serviceName, type ClusterId, type NetworkId, type ObjectKey, type ServiceName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import { Index } from "./collection/index-by.ts";
import { isShadowed } from "./global-members.ts";
import type { Objects } from "./kube/objects.ts";
import type { ServiceEntry } from "./kube/service-entry.ts";
import { serviceScopeOf } from "./kube/scope-labels.ts";
import type { KubeService } from "./kube/service.ts";
import type { MeshConfig } from "./model/mesh.ts";
import type { RegistryOptions } from "./options.ts";
import type { PeerStanding } from "./peer-standings.ts";
import { kubeHostname } from "./service-offers.ts";
import { effectiveScope, type Scoped } from "./service-scope.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

/** A Service of another cluster that its own cluster shares with all. */
export interface GlobalService {
  readonly kube: KubeService;
  readonly name: ServiceName;
  readonly network: NetworkId;
  readonly localNetwork: NetworkId;
  /** Why nobody here hears of it; undefined if they do. */
  readonly apart: Apart | undefined;
  /** True if nothing of the local cluster has its name: then no local address leads to it, but one of ours. */
  readonly alone: boolean;
}

/** Its cluster is a peer, too; or it renames a host; or its name is, in the local cluster, a renamed host, not global, or what nobody can read. */
export type Apart = "shadowed" | "external" | "external here" | "not global here" | "unreadable here";

/**
 * The Services of other clusters that are global there (contract ztunnel.md 5.9). The local cluster needs none of its
 * own; if it has one, that must be global too: traffic leaves a cluster only by the word of those who own the name there.
 */
export function globalServices(
  graph: Graph,
  objects: Objects,
  networks: Collection<ClusterId, NetworkId>,
  meshConfig: Collection<"mesh", MeshConfig>,
  standings: Collection<ClusterId, PeerStanding>,
  { mesh, localCluster, multiNetwork }: RegistryOptions,
): Collection<ObjectKey, GlobalService> {
  const suffix = `.svc.${mesh.clusterDomain}`;
  const remote = filter(
    graph,
    "remote-services",
    objects.services,
    ({ id }) => multiNetwork && id.cluster !== localCluster,
  );
  const entries = new Index(graph, objects.serviceEntries, "cluster-host", ({ id, hosts }) =>
    id.cluster === localCluster
      ? hosts.filter((host) => host.endsWith(suffix)).map((host) => serviceName(id.namespace, host))
      : [],
  );
  return derive(graph, {
    name: "global-services",
    distinct: true,
    from: remote,
    reads: {
      services: objects.services,
      unreadable: objects.unreadable,
      namespaces: objects.namespaces,
      networks,
      meshConfig,
      entries,
      standings,
    },
    to: (kube, reads, key) => {
      const { cluster, namespace, name: ownName } = kube.id;
      const rules = () => reads.meshConfig.get("mesh")?.serviceScopeConfigs ?? [];
      const isGlobalIn = (where: ClusterId, scoped: Scoped): boolean =>
        effectiveScope(scoped, reads.namespaces.get(objectKey(where, "", namespace)), rules) === "global";
      if (!isGlobalIn(cluster, kube)) return [];
      const name = serviceName(namespace, kubeHostname(kube, mesh.clusterDomain));
      const local = reads.services.get(objectKey(localCluster, namespace, ownName));
      const [entry] = reads.entries.get(name);
      const isKept = (here: Scoped): boolean => !isGlobalIn(localCluster, here);
      const unread = reads.unreadable.get(`${localCluster}/Service/${namespace}/${ownName}` as ObjectKey) !== undefined;
      const service: GlobalService = {
        kube,
        name,
        network: reads.networks.get(cluster) ?? DEFAULT_NETWORK,
        localNetwork: reads.networks.get(localCluster) ?? DEFAULT_NETWORK,
        // Nobody knows whether one that cannot be read is global: its callers must not be sent elsewhere.
        apart: isShadowed(reads.standings.get(cluster))
          ? "shadowed"
          : unread
            ? "unreadable here"
            : apartFrom(kube, local, entry, isKept),
        alone: local === undefined && entry === undefined,
      };
      return [[key, service]];
    },
  });
}

/** True if a Service of another cluster is one that we hear of. */
export function isShared({ id }: KubeService, globals: { get(key: ObjectKey): GlobalService | undefined }): boolean {
  const global = globals.get(objectKey(id.cluster, id.namespace, id.name));
  return global !== undefined && global.apart === undefined;
}

function apartFrom(
  { external }: KubeService,
  local: KubeService | undefined,
  entry: ServiceEntry | undefined,
  isKept: (here: Scoped) => boolean,
): Apart | undefined {
  if (external) return "external";
  if (local?.external) return "external here";
  const here = local ?? (entry && { labels: entry.labels, scope: serviceScopeOf(entry.labels) });
  return here !== undefined && isKept(here) ? "not global here" : undefined;
}

/** The names that only other clusters have, and that need a local address. */
export function namesOfOthers(
  graph: Graph,
  services: Collection<ObjectKey, GlobalService>,
): Collection<ServiceName, true> {
  return derive(graph, {
    name: "names-of-others",
    from: services,
    reads: {},
    to: ({ name, kube, alone, apart }) =>
      alone && apart === undefined && kube.clusterIps.length > 0 ? [[name, true] as const] : [],
  });
}
