import type { ObjectKey } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import type { Graph } from "./collection/graph.ts";
import type { Objects } from "./kube/objects.ts";
import type { PeerGrant } from "./kube/peer-grant.ts";
import type { PeerGateway } from "./model/peer.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";
import { peerGateways } from "./peer-gateways.ts";
import { peerGrants } from "./peer-grants.ts";
import { sharedServiceProblems } from "./shared-service-problems.ts";
import type { SharedServices } from "./shared-services.ts";
import { union } from "./union.ts";

/** What the local cluster tells its peers, and who these are. */
export interface Peering {
  readonly peerGateways: Collection<ObjectKey, PeerGateway>;
  readonly peerGrants: Collection<ObjectKey, PeerGrant>;
  readonly problems: Collection<string, Problem>;
}

export function peering(graph: Graph, objects: Objects, shared: SharedServices, options: RegistryOptions): Peering {
  const gateways = peerGateways(graph, objects, options);
  const grants = peerGrants(graph, objects, options);
  const problems = union<string, Problem>(graph, "peering-problems", [
    shared.segments.problems,
    sharedServiceProblems(graph, objects, shared, options),
    gateways.problems,
    grants.problems,
  ]);
  return { peerGateways: gateways.all, peerGrants: grants.all, problems };
}
