import type { ObjectKey } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import type { Objects } from "./kube/objects.ts";
import type { PeerGrant } from "./kube/peer-grant.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";

export interface PeerGrants {
  /** Those that count: the local cluster's, in its system namespace. */
  readonly all: Collection<ObjectKey, PeerGrant>;
  readonly problems: Collection<string, Problem>;
}

export function peerGrants(
  graph: Graph,
  { peerGrants }: Objects,
  { localCluster, systemNamespace }: RegistryOptions,
): PeerGrants {
  const own = filter(graph, "local-peer-grants", peerGrants, ({ id }) => id.cluster === localCluster);
  const isHere = ({ id }: PeerGrant): boolean => id.namespace === systemNamespace;
  const problems = derive(graph, {
    name: "peer-grant-problems",
    distinct: true,
    from: filter(graph, "misplaced-peer-grants", own, (grant) => !isHere(grant)),
    reads: {},
    to: ({ id }, _reads, key): readonly (readonly [string, Problem])[] => {
      const object = `PeerGrant ${id.namespace}/${id.name}`;
      const message = `${object} has no effect: only those in namespace ${systemNamespace} count; move it there.`;
      return [[`PeerGrant ${key}`, { object, origin: id.origin, field: "", message, severity: "warning" }]];
    },
  });
  return { all: filter(graph, "peer-grants-that-count", own, isHere), problems };
}
