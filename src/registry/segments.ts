import { createHash } from "node:crypto";
import type { ClusterId, ObjectKey } from "../names.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import { merge } from "./collection/merge.ts";
import { isWithin } from "./global-hosts.ts";
import type { Namespace } from "./kube/namespace.ts";
import type { Objects } from "./kube/objects.ts";
import { SEGMENT_LABEL, type Segment, type SegmentAlias } from "./kube/segment.ts";
import { DEFAULT_GLOBAL_DOMAIN } from "./model/peer.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";
import { union } from "./union.ts";

/** A segment that counts: clusters that share a domain of global names (contract peering.md 2.7). */
export interface ClusterSegment {
  /** Empty for clusters that are in none. */
  readonly segment: string;
  readonly domain: string;
  readonly aliases: readonly SegmentAlias[];
  /** SHA-256 of the patterns and their selectors, in hexadecimal; empty if there are none. */
  readonly aliasesDigest: string;
}

export const NO_SEGMENT: ClusterSegment = {
  segment: "",
  domain: DEFAULT_GLOBAL_DOMAIN,
  aliases: [],
  aliasesDigest: "",
};

export interface Segments {
  /** By name: those of the local cluster's system namespace whose domain can be had. */
  readonly byName: Collection<string, ClusterSegment>;
  /** Of each cluster that says that it is in one of these. */
  readonly ofCluster: Collection<ClusterId, ClusterSegment>;
  /** Of all that count. */
  readonly domains: Collection<"segments", readonly string[]>;
  readonly problems: Collection<string, Problem>;
}

export function segments(graph: Graph, objects: Objects, options: RegistryOptions): Segments {
  const verdicts = segmentVerdicts(graph, objects.segments, options);
  const byName = derive(graph, {
    name: "segments-by-name",
    from: verdicts,
    reads: {},
    to: (all) =>
      all.flatMap(({ segment: { id, domain, aliases }, refused }): readonly (readonly [string, ClusterSegment])[] =>
        refused === undefined
          ? [[id.name, { segment: id.name, domain, aliases, aliasesDigest: digestOf(aliases) }]]
          : [],
      ),
  });
  const domains = derive(graph, {
    name: "segment-domains",
    distinct: true,
    from: verdicts,
    reads: {},
    to: (all, _reads, key) => [
      [key, all.flatMap(({ segment, refused }) => (refused === undefined ? [segment.domain] : []))] as const,
    ],
  });
  const homes = filter(graph, "system-namespaces", objects.namespaces, ({ name }) => name === options.systemNamespace);
  const ofCluster = derive(graph, {
    name: "segments-of-clusters",
    distinct: true,
    from: homes,
    reads: { byName },
    to: (home, { byName }, key) => {
      const named = byName.get(segmentName(home));
      return named === undefined ? [] : [[clusterOf(key), named] as const];
    },
  });
  const problems = union<string, Problem>(graph, "segment-problems", [
    refusals(graph, verdicts),
    unknownSegments(graph, homes, byName, options),
  ]);
  return { byName, ofCluster, domains, problems };
}

const clusterOf = (key: ObjectKey): ClusterId => key.slice(0, key.indexOf("/")) as ClusterId;
const segmentName = ({ labels }: Namespace): string => labels.map.get(SEGMENT_LABEL) ?? "";

/** JSON, so that nothing in a pattern or a selector can look like the end of it. */
function digestOf(aliases: readonly SegmentAlias[]): string {
  if (aliases.length === 0) return "";
  const texts = aliases.map(({ pattern, selector }) => [pattern.text, selector ?? null]);
  return createHash("sha256").update(JSON.stringify(texts)).digest("hex");
}

interface Verdict {
  readonly segment: Segment;
  /** Why it does not count, as what follows its name; undefined if it does. */
  readonly refused: { readonly field: string; readonly message: string } | undefined;
}

/** All segments of the local cluster, judged together: of two that want one domain the older has it. */
function segmentVerdicts(
  graph: Graph,
  all: Collection<ObjectKey, Segment>,
  { localCluster, systemNamespace, mesh }: RegistryOptions,
): Collection<"segments", readonly Verdict[]> {
  return merge(graph, {
    name: "segment-verdicts",
    from: filter(graph, "local-segments", all, ({ id }) => id.cluster === localCluster),
    by: () => "segments" as const,
    combine: (_group, members) => {
      const verdicts: Verdict[] = [];
      for (const segment of [...members].sort(compareAges)) {
        const accepted = verdicts.flatMap(({ segment, refused }) => (refused === undefined ? [segment] : []));
        verdicts.push({ segment, refused: whyRefused(segment, accepted, systemNamespace, mesh.clusterDomain) });
      }
      return verdicts;
    },
  });
}

const compareAges = ({ id: a }: Segment, { id: b }: Segment): number =>
  a.createdMs - b.createdMs || byCodeUnit(a.name, b.name) || byCodeUnit(a.namespace, b.namespace);

function whyRefused(
  { id, domain }: Segment,
  accepted: readonly Segment[],
  systemNamespace: string,
  clusterDomain: string,
): Verdict["refused"] {
  const because = (message: string): Verdict["refused"] => ({ field: "spec.domain", message });
  if (id.namespace !== systemNamespace) {
    const message = `is in namespace ${id.namespace}, and only those in ${systemNamespace} count; move it there`;
    return { field: "metadata.namespace", message };
  }
  // Names below these are the cluster's own: a domain svc.cluster.local would make every Service global.
  const reserved = ["cluster.local", clusterDomain].find((own) => isWithin(domain, own));
  if (reserved !== undefined)
    return because(`has the domain ${domain}, which is kept for names within a cluster; give another`);
  const rival = accepted.find((other) => isWithin(domain, other.domain) || isWithin(other.domain, domain));
  if (rival === undefined) return undefined;
  return because(
    `has the domain ${domain}, which overlaps ${rival.domain} of the older Segment ${rival.id.name}; give another`,
  );
}

function refusals(graph: Graph, verdicts: Collection<"segments", readonly Verdict[]>): Collection<string, Problem> {
  return derive(graph, {
    name: "refused-segments",
    from: verdicts,
    reads: {},
    to: (all) =>
      all.flatMap(({ segment: { id }, refused }): readonly (readonly [string, Problem])[] => {
        if (refused === undefined) return [];
        const object = `Segment ${id.namespace}/${id.name}`;
        const { field, message } = refused;
        return [[object, { object, origin: id.origin, field, message: `${object} ${message}.`, severity: "warning" }]];
      }),
  });
}

/** Clusters that say that they are in a segment which nobody here knows: their global names stay as they were. */
function unknownSegments(
  graph: Graph,
  homes: Collection<ObjectKey, Namespace>,
  byName: Collection<string, ClusterSegment>,
  { localCluster, systemNamespace }: RegistryOptions,
): Collection<string, Problem> {
  return derive(graph, {
    name: "unknown-segments",
    distinct: true,
    from: homes,
    reads: { byName },
    to: (home, { byName }, key): readonly (readonly [string, Problem])[] => {
      const [name, cluster] = [segmentName(home), clusterOf(key)];
      if (name === "" || byName.get(name) !== undefined) return [];
      const own = cluster === localCluster;
      const field = `metadata.labels[${SEGMENT_LABEL}]`;
      const message =
        `${field} of namespace ${home.name}${own ? "" : ` of cluster ${cluster}`} names Segment ${name}, of which there ` +
        `is none that counts in ${systemNamespace}, so its services stay under ${DEFAULT_GLOBAL_DOMAIN}; make one, or ` +
        "take the label off.";
      const object = `Namespace ${own ? "" : `${cluster}/`}${home.name}`;
      return [[`${key}#segment`, { object, origin: home.origin, field, message, severity: "warning" }]];
    },
  });
}
