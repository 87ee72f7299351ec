import { objectKey, type ClusterId, type Hostname, type ObjectKey } from "../names.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { merge } from "./collection/merge.ts";
import { aliasHostname, globalHostname, isWithin } from "./global-hosts.ts";
import { labelSelectorSelects } from "./kube/labels.ts";
import type { Objects } from "./kube/objects.ts";
import { takeoverOf } from "./kube/scope-labels.ts";
import type { KubeService } from "./kube/service.ts";
import type { WaypointPolicy } from "./model/federated-service.ts";
import type { MeshConfig } from "./model/mesh.ts";
import type { RegistryOptions } from "./options.ts";
import { NO_SEGMENT, segments, type ClusterSegment, type Segments } from "./segments.ts";
import { effectiveScope } from "./service-scope.ts";

/** A Service of the local cluster, or of one behind a remote secret, that its own cluster shares (contract peering.md 2.7). */
export interface SharedService {
  readonly kube: KubeService;
  readonly scope: "global" | "segment";
  /** Its cluster's; empty if that is in none. */
  readonly segment: string;
  /** The global name first, then aliases in the order of their patterns; each host is one service's only. */
  readonly hosts: readonly SharedHost[];
  /** Its cluster-local name is to reach all of it, too (contract peering.md 2.8). */
  readonly takeover: boolean;
  readonly waypointPolicy: WaypointPolicy;
}

export interface SharedHost {
  readonly host: Hostname;
  readonly alias: boolean;
}

/** A Service that is meant to be shared, and what became of that. */
export interface SharingWish extends SharedService {
  /** It renames a host, or has no address that could stand for it in other networks; undefined if it is shared. */
  readonly refused: "ExternalName" | "HeadlessNotExported" | undefined;
  /** Aliases that it does not have, as what follows "the pattern". */
  readonly skipped: readonly { readonly pattern: string; readonly why: string }[];
}

export interface SharedServices {
  readonly all: Collection<ObjectKey, SharedService>;
  /** What `all` was made of, for problems. */
  readonly wishes: Collection<ObjectKey, SharingWish>;
  /** Which `namespace/name` has each host. */
  readonly owners: Collection<Hostname, string>;
  readonly segments: Segments;
}

export function sharedServices(
  graph: Graph,
  objects: Objects,
  meshConfig: Collection<"mesh", MeshConfig>,
  options: RegistryOptions,
): SharedServices {
  const ofClusters = segments(graph, objects, options);
  const wishes = sharingWishes(graph, objects, { segments: ofClusters, meshConfig }, options);
  const owners = hostOwners(graph, wishes);
  const all = derive(graph, {
    name: "shared-services",
    distinct: true,
    from: wishes,
    reads: { owners },
    to: ({ kube, scope, segment, hosts, takeover, waypointPolicy, refused }, { owners }, key) => {
      if (refused !== undefined) return [];
      const own = hosts.filter(({ host }) => owners.get(host) === identityOf(kube));
      return [[key, { kube, scope, segment, hosts: own, takeover, waypointPolicy } satisfies SharedService] as const];
    },
  });
  return { all, wishes, owners, segments: ofClusters };
}

/** Services of one name and namespace are one, in all clusters. */
export const identityOf = ({ id }: KubeService): string => `${id.namespace}/${id.name}`;

interface SharingInputs {
  readonly segments: Segments;
  readonly meshConfig: Collection<"mesh", MeshConfig>;
}

function sharingWishes(
  graph: Graph,
  { services, namespaces }: Objects,
  { segments: { ofCluster, domains }, meshConfig }: SharingInputs,
  { localCluster, multiNetwork, namespaceTakeover, mesh }: RegistryOptions,
): Collection<ObjectKey, SharingWish> {
  return derive(graph, {
    name: "sharing-wishes",
    distinct: true,
    from: services,
    reads: { namespaces, meshConfig, segments: ofCluster, domains },
    to: (kube, reads, key): readonly (readonly [ObjectKey, SharingWish])[] => {
      const { cluster, namespace, name } = kube.id;
      if (cluster !== localCluster && !multiNetwork) return [];
      const home = reads.namespaces.get(objectKey(cluster, "", namespace));
      const scope = effectiveScope(kube, home, () => reads.meshConfig.get("mesh")?.serviceScopeConfigs ?? []);
      if (scope === "cluster") return [];
      const segmentOf = (where: ClusterId): ClusterSegment => reads.segments.get(where) ?? NO_SEGMENT;
      const own = segmentOf(cluster);
      // Clusters in no segment share what is for their segment with each other.
      if (scope === "segment" && segmentOf(localCluster).segment !== own.segment) return [];
      const foreign = own.aliases.length === 0 ? [] : (reads.domains.get("segments") ?? []);
      const reserved = ["cluster.local", mesh.clusterDomain, ...foreign.filter((domain) => domain !== own.domain)];
      const { aliases, skipped } = aliasesOf(kube, own, reserved);
      const ofNamespace = namespaceTakeover && home !== undefined ? takeoverOf(home.labels) : undefined;
      const first = globalHostname(name, namespace, own.domain);
      const wish: SharingWish = {
        kube,
        scope,
        segment: own.segment,
        hosts: [{ host: first, alias: false }, ...aliases.map((host) => ({ host, alias: true }))],
        takeover: takeoverOf(kube.labels) ?? ofNamespace ?? false,
        waypointPolicy: kube.waypointPolicy ?? "once",
        refused: kube.external ? "ExternalName" : kube.clusterIps.length === 0 ? "HeadlessNotExported" : undefined,
        skipped,
      };
      return [[key, wish]];
    },
  });
}

/** The further names that its segment gives a service, without its first one. */
function aliasesOf(
  kube: KubeService,
  { aliases, domain }: ClusterSegment,
  reserved: readonly string[],
): { readonly aliases: readonly Hostname[]; readonly skipped: SharingWish["skipped"] } {
  const { name, namespace } = kube.id;
  const found = new Set<Hostname>();
  const skipped: { readonly pattern: string; readonly why: string }[] = [];
  for (const { pattern, selector } of aliases) {
    if (selector !== undefined && !labelSelectorSelects(selector, kube.labels)) continue;
    const answer = aliasHostname(pattern, { name, namespace, labels: kube.labels.map, annotations: kube.annotations });
    const kept = "host" in answer ? reserved.find((domain) => isWithin(answer.host, domain)) : undefined;
    if ("skipped" in answer) skipped.push({ pattern: pattern.text, why: answer.skipped });
    else if (kept !== undefined)
      skipped.push({ pattern: pattern.text, why: `makes ${answer.host} of it, but ${kept} is reserved` });
    else found.add(answer.host);
  }
  found.delete(globalHostname(name, namespace, domain));
  return { aliases: [...found], skipped };
}

interface HostClaim extends SharedHost {
  readonly service: string;
  readonly createdMs: number;
}

/** A global name beats an alias, the older service the younger. */
function hostOwners(graph: Graph, wishes: Collection<ObjectKey, SharingWish>): Collection<Hostname, string> {
  const claims = derive(graph, {
    name: "host-claims",
    distinct: true,
    from: wishes,
    reads: {},
    to: ({ kube, hosts, refused }, _reads, key): readonly (readonly [string, HostClaim])[] =>
      refused !== undefined
        ? []
        : hosts.map(({ host, alias }) => [
            `${host} ${key}`,
            { host, alias, service: identityOf(kube), createdMs: kube.id.createdMs },
          ]),
  });
  return merge(graph, {
    name: "host-owners",
    from: claims,
    by: ({ host }) => host,
    combine: (_host, members) => [...members].sort(compareClaims)[0]?.service,
  });
}

const compareClaims = (a: HostClaim, b: HostClaim): number =>
  Number(a.alias) - Number(b.alias) || a.createdMs - b.createdMs || byCodeUnit(a.service, b.service);
