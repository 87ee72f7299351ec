import type { ClusterId, ObjectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { CollectionNode, type Graph, rankAbove } from "../collection/graph.ts";
import { merge } from "../collection/merge.ts";
import type { FederatedService } from "../model/federated-service.ts";
import { exportsTo, takesIn } from "../model/granted.ts";
import type { PeerGrant } from "../model/peer-grant.ts";
import type { PeerStanding } from "../peer-standings.ts";
import type { PeeringViewInputs } from "./peering-view-inputs.ts";

/** How many services a peer shares with us, and how many of ours it may read. */
export interface PeerCounts {
  readonly imported: number;
  readonly exported: number;
}

/** By cluster, of peers that a Gateway which counts leads to. They change with services, not with endpoints. */
export function peerCounts(
  graph: Graph,
  { peers, paths, exports, peerGrants }: PeeringViewInputs,
): Collection<ClusterId, PeerCounts> {
  const imported = new ServicesByCluster(peers.federated);
  graph.add(imported);
  const names = derive(graph, {
    name: "exported-names",
    distinct: true,
    from: exports.services,
    reads: {},
    to: ({ namespace, name, scope, segment }, _reads, key) => [[key, { namespace, name, scope, segment }] as const],
  });
  const exported = merge(graph, { name: "all-exported-names", from: names, by: all, combine: listed });
  const grants = merge(graph, { name: "all-peer-grants", from: peerGrants, by: all, combine: listed });
  return derive(graph, {
    name: "peer-counts",
    distinct: true,
    from: paths.standings,
    reads: { imported, exported, grants },
    to: (standing, reads, cluster) => {
      const own = reads.exported.get("all") ?? [];
      const mayRead = readableBy(standing, reads.grants.get("all") ?? []);
      const counts = { imported: reads.imported.get(cluster) ?? 0, exported: own.filter(mayRead).length };
      return [[cluster, counts] as const];
    },
  });
}

const all = (): "all" => "all";
const listed = <V>(_group: string, members: readonly V[]): readonly V[] => members;

type ExportedName = Pick<FederatedService, "namespace" | "name" | "scope" | "segment">;

function readableBy(peer: PeerStanding, grants: readonly PeerGrant[]): (service: ExportedName) => boolean {
  const granted = exportsTo(peer, grants);
  return ({ namespace, name, scope, segment }) =>
    (scope === "global" || segment === peer.segment) && takesIn(granted, namespace, name);
}

/** Counted as they come and go: a change of one is no reason to look at the others. */
class ServicesByCluster extends CollectionNode<ClusterId, number> {
  constructor(readonly services: Collection<ObjectKey, FederatedService>) {
    super("services-by-peer", rankAbove([services]), (a, b) => a === b);
  }

  override settle(): void {
    for (const { before, after } of this.services.batch) {
      if ((before === undefined) === (after === undefined)) continue;
      const { cluster } = (after ?? before)!;
      this.write(cluster, (this.get(cluster) ?? 0) + (after === undefined ? -1 : 1) || undefined);
    }
  }
}
