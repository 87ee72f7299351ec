import type { ClusterId, NetworkId, ObjectKey } from "../names.ts";
import { VERSION } from "../version.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { Index } from "./collection/index-by.ts";
import { Source } from "./collection/source.ts";
import { sortedDoors, type GatewayDoors } from "./export-doors.ts";
import type { ClusterFacts } from "./model/peer.ts";
import type { RegistryOptions } from "./options.ts";
import { NO_SEGMENT, type Segments } from "./segments.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

export type OwnRoots = ClusterFacts["roots"];

/** What this control plane can do beyond what every peer can; by these names peers may rely on it. */
const FEATURES: readonly string[] = ["delta-resume", "snapshot-end", "takeover", "waypoint-policy"];
/** How its east-west gateways take tunnels: both are one to the caller (contract peering.md 2.6 no. 10). */
const TERMINATES = "east-west-terminates";
const PASSES = "east-west-passes";

export interface ExportedFactsInputs {
  readonly networks: Collection<ClusterId, NetworkId>;
  readonly segments: Segments;
  readonly doors: Collection<ObjectKey, GatewayDoors>;
}

export interface ExportedFacts {
  readonly facts: Collection<ClusterId, ClusterFacts>;
  /** What we trust for our own trust domain, under the local cluster; written from outside, and empty until then. */
  readonly ownRoots: Source<ClusterId, OwnRoots>;
}

/** What the local cluster says of itself: always something, for a cluster without any object, too. */
export function exportedFacts(
  graph: Graph,
  { networks, segments, doors }: ExportedFactsInputs,
  { localCluster, mesh }: RegistryOptions,
): ExportedFacts {
  const ownRoots = new Source<ClusterId, OwnRoots>(graph, "own-roots");
  ownRoots.set(localCluster, []);
  const facts = derive(graph, {
    name: "exported-facts",
    distinct: true,
    from: ownRoots,
    reads: { networks, segments: segments.ofCluster, doors: new Index(graph, doors, "all", () => ["all"]) },
    to: (roots, reads, cluster) => {
      if (cluster !== localCluster) return [];
      const { segment, domain, aliasesDigest } = reads.segments.get(cluster) ?? NO_SEGMENT;
      const gateways = reads.doors.get("all");
      const own: ClusterFacts = {
        cluster,
        network: reads.networks.get(cluster) ?? DEFAULT_NETWORK,
        trustDomain: mesh.trustDomain,
        segment,
        domain,
        aliasesDigest,
        doors: sortedDoors(gateways),
        version: VERSION,
        features: featuresOf(gateways),
        roots: [...roots].sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1)),
      };
      return [[cluster, own] as const];
    },
  });
  return { facts, ownRoots };
}

function featuresOf(gateways: readonly GatewayDoors[]): readonly string[] {
  const kinds = new Set(gateways.map(({ terminates }) => (terminates ? TERMINATES : PASSES)));
  return [...FEATURES, ...kinds].sort();
}
