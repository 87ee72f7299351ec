import { objectKey, type ClusterId, type Hostname, type ObjectKey } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import { merge } from "./collection/merge.ts";
import { aliasHostname, globalHostname, isWithin } from "./global-hosts.ts";
import { localHostname, memberNames, sharedIdentities, sharedPorts, type GlobalMember } from "./global-members.ts";
import { labelSelectorSelects, type LabelSet } from "./kube/labels.ts";
import type { Objects } from "./kube/objects.ts";
import { distributionOf } from "./kube/traffic-labels.ts";
import type { FederatedService } from "./model/federated-service.ts";
import { DEFAULT_GLOBAL_DOMAIN } from "./model/peer.ts";
import type { RegistryOptions } from "./options.ts";
import type { PeerStanding } from "./peer-standings.ts";
import type { PeerSources } from "./peer-sources.ts";
import { NO_SEGMENT, type ClusterSegment, type Segments } from "./segments.ts";
import type { SharedService } from "./shared-services.ts";

/** Why something that a peer shares is no part of any service here. */
export type FederatedExclusion = "removed" | "never synced" | "segment differs" | "reserved domain";

export interface FederatedInputs {
  readonly peers: PeerSources;
  readonly standings: Collection<PeerStanding["cluster"], PeerStanding>;
  readonly segments: Segments;
  readonly shared: Collection<ObjectKey, SharedService>;
}

/** What peers share with us, by `cluster/namespace/name` of the exporter: the consumer needs no Service of its own (contract peering.md 2.12). */
export function federatedMembers(
  graph: Graph,
  objects: Objects,
  inputs: FederatedInputs,
  options: RegistryOptions,
): Collection<ObjectKey, GlobalMember> {
  const { peers, standings, segments, shared } = inputs;
  const { localCluster, mesh } = options;
  const { services, unreadable } = objects;
  const { byName, ofCluster, domains } = segments;
  const takeovers = takenOverByPeers(graph, inputs, options);
  return derive(graph, {
    name: "federated-members",
    distinct: true,
    from: peers.federated,
    reads: { standings, byName, ofCluster, domains, shared, services, unreadable, takeovers },
    to: (record, reads, key): readonly (readonly [ObjectKey, GlobalMember])[] => {
      const { cluster, namespace, name } = record;
      const standing = reads.standings.get(cluster);
      if (standing === undefined) return [];
      const known = segmentsFor(standing, reads, options);
      if (whyExcluded(record, standing, known, options) !== undefined) return [];
      const here = objectKey(localCluster, namespace, name);
      const takesOver = (): boolean => {
        if (reads.services.get(here) !== undefined) return reads.shared.get(here)?.takeover === true;
        // Nobody knows what one that cannot be read says.
        if (reads.unreadable.get(`${localCluster}/Service/${namespace}/${name}` as ObjectKey)) return false;
        return reads.takeovers.get(`${namespace}/${name}`) !== undefined;
      };
      const others = known.taken.filter((domain) => domain !== standing.domain);
      const reserved = [mesh.clusterDomain, "cluster.local", ...others];
      const aliases = aliasesOf(record, standing, known.segment, reserved);
      const first = globalHostname(name, namespace, standing.domain!);
      const hosts = [first, ...aliases.filter((host) => host !== first)];
      const names = memberNames(namespace, hosts, takesOver() ? localHostname(record, mesh.clusterDomain) : undefined);
      return [[key, memberOf(record, standing, names)]];
    },
  });
}

function memberOf(record: FederatedService, standing: PeerStanding, names: GlobalMember["names"]): GlobalMember {
  const { cluster, namespace, name, waypoint, waypointPolicy, distribution, createdMs } = record;
  const claimed = waypoint === undefined ? record.identities : [...record.identities, waypoint.identity];
  const prefix = `spiffe://${standing.trustDomain}/ns/`;
  const identities = claimed.filter((identity) => identity.startsWith(prefix));
  return {
    cluster,
    namespace,
    name,
    via: "peer",
    names,
    ports: sharedPorts(record.ports.filter(({ protocol }) => protocol !== "UDP")),
    // Whoever is called directly is known by its own identity, and by no other.
    identities: sharedIdentities(standing.onLocalNetwork ? [] : identities),
    refusedIdentities: claimed.length - identities.length,
    waypointPolicy,
    distribution: distribution === undefined ? undefined : distributionOf(distribution),
    createdMs,
  };
}

export interface SegmentReads {
  /** The local cluster's. */
  readonly own: string;
  /** The peer's, as it is known here. */
  readonly segment: ClusterSegment | undefined;
  /** The domains of all segments. */
  readonly taken: readonly string[];
}

interface SegmentLookups {
  readonly byName: { get(name: string): ClusterSegment | undefined };
  readonly ofCluster: { get(cluster: ClusterId): ClusterSegment | undefined };
  readonly domains: { get(key: "segments"): readonly string[] | undefined };
}

export const segmentsFor = (
  { segment }: PeerStanding,
  { byName, ofCluster, domains }: SegmentLookups,
  { localCluster }: RegistryOptions,
): SegmentReads => ({
  own: (ofCluster.get(localCluster) ?? NO_SEGMENT).segment,
  segment: byName.get(segment),
  taken: domains.get("segments") ?? [],
});

/** Undefined if it counts. */
export function whyExcluded(
  { scope, segment }: FederatedService,
  { state, domain }: PeerStanding,
  segments: SegmentReads,
  options: RegistryOptions,
): FederatedExclusion | undefined {
  if (state === "gone") return "removed";
  if (domain === undefined) return "never synced";
  if (isReserved(domain, segments.segment, segments.taken, options)) return "reserved domain";
  // As the record itself says: a peer that changes its segment says so of itself first, and of what it shares after that.
  if (scope === "segment" && segment !== segments.own) return "segment differs";
  return undefined;
}

/**
 * A peer's names are in `mesh.internal`, or in the domain that a Segment of ours has under that name: by the word of a peer
 * alone no other name leads there, whether of this cluster, of another segment or of the internet (contract peering.md 2.18).
 */
export function isReserved(
  domain: string,
  segment: ClusterSegment | undefined,
  taken: readonly string[],
  { mesh }: RegistryOptions,
): boolean {
  if (domain === segment?.domain) return false;
  if (domain !== DEFAULT_GLOBAL_DOMAIN) return true;
  return [mesh.clusterDomain, "cluster.local", ...taken].some((kept) => isWithin(domain, kept));
}

/** The further names that the exporter's segment gives it; only if both clusters have the same patterns, for both must know the names. */
function aliasesOf(
  record: FederatedService,
  standing: PeerStanding,
  segment: ClusterSegment | undefined,
  reserved: readonly string[],
): readonly Hostname[] {
  if (segment === undefined || segment.aliases.length === 0 || segment.aliasesDigest !== standing.aliasesDigest)
    return [];
  const labels: LabelSet = { id: "", map: new Map(record.labels) };
  const { name, namespace } = record;
  const subject = { name, namespace, labels: labels.map, annotations: new Map(record.annotations) };
  const found = segment.aliases.flatMap(({ pattern, selector }): readonly Hostname[] => {
    if (selector !== undefined && !labelSelectorSelects(selector, labels)) return [];
    const answer = aliasHostname(pattern, subject);
    return "host" in answer && !reserved.some((domain) => isWithin(answer.host, domain)) ? [answer.host] : [];
  });
  return [...new Set(found)];
}

/** `namespace/name` of what a peer that counts wants to be reached by its cluster-local name: a default for clusters without their own. */
function takenOverByPeers(
  graph: Graph,
  { peers, standings, segments: { byName, ofCluster, domains } }: FederatedInputs,
  options: RegistryOptions,
): Collection<string, true> {
  const wishes = derive(graph, {
    name: "peer-takeovers",
    distinct: true,
    from: filter(graph, "federated-with-takeover", peers.federated, ({ takeover }) => takeover),
    reads: { standings, byName, ofCluster, domains },
    to: (record, reads, key) => {
      const standing = reads.standings.get(record.cluster);
      if (standing === undefined) return [];
      const why = whyExcluded(record, standing, segmentsFor(standing, reads, options), options);
      return why === undefined ? [[key, `${record.namespace}/${record.name}`] as const] : [];
    },
  });
  return merge(graph, { name: "names-taken-over", from: wishes, by: (name) => name, combine: () => true as const });
}
