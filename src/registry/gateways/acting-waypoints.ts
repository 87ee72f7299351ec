import type { ObjectKey } from "../../names.ts";
import { formatServiceAccountId } from "../../spiffe.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { union } from "../union.ts";
import { waypointFor } from "../waypoints.ts";
import { DEFAULT_NETWORK } from "../workload-shape.ts";
import type { GatewayInputs } from "./gateway-inputs.ts";

/** A waypoint of another cluster that enforces L7 for its own callers of a service, as that cluster itself says. */
export interface ActingWaypoint {
  /** `namespace/name`: services of one name and namespace are one. */
  readonly service: string;
  /** As `spiffe://…`. */
  readonly identity: string;
}

export type ActingWaypointInputs = Pick<
  GatewayInputs,
  "objects" | "peers" | "paths" | "shared" | "offered" | "options"
>;

/** What `once` counts as having acted (contract peering.md 2.9), by `cluster/namespace/name` of the service there. */
export function actingWaypoints(graph: Graph, inputs: ActingWaypointInputs): Collection<ObjectKey, ActingWaypoint> {
  return union(graph, "acting-waypoints", [waypointsOfPeers(graph, inputs), waypointsBehindSecrets(graph, inputs)]);
}

/** A peer vouches for identities of its own trust domain, and for no others. */
function waypointsOfPeers(graph: Graph, { peers, paths }: ActingWaypointInputs): Collection<ObjectKey, ActingWaypoint> {
  return derive(graph, {
    name: "acting-waypoints-of-peers",
    distinct: true,
    from: filter(graph, "federated-with-waypoints", peers.federated, ({ waypoint }) => waypoint !== undefined),
    reads: { standings: paths.standings },
    to: ({ cluster, namespace, name, waypoint }, { standings }, key) => {
      const standing = standings.get(cluster);
      if (waypoint === undefined || standing === undefined || standing.state === "gone") return [];
      if (!waypoint.identity.startsWith(`spiffe://${standing.trustDomain}/ns/`)) return [];
      return [[key, { service: `${namespace}/${name}`, identity: waypoint.identity }] as const];
    },
  });
}

/** Of a cluster whose objects we read nobody need tell us; one that is a peer, too, is heard only as that. */
function waypointsBehindSecrets(
  graph: Graph,
  { objects, shared, offered, paths, options }: ActingWaypointInputs,
): Collection<ObjectKey, ActingWaypoint> {
  const { localCluster, mesh } = options;
  const { networks, trustDomains, standings } = paths;
  return derive(graph, {
    name: "acting-waypoints-behind-secrets",
    distinct: true,
    from: filter(graph, "shared-behind-secrets", shared.all, ({ kube }) => kube.id.cluster !== localCluster),
    reads: { namespaces: objects.namespaces, waypoints: offered, networks, trustDomains, standings },
    to: ({ kube }, reads, key): readonly (readonly [ObjectKey, ActingWaypoint])[] => {
      const { cluster, namespace, name } = kube.id;
      if (kube.ofGateway || reads.standings.get(cluster) !== undefined) return [];
      const waypoint = waypointFor({ cluster, namespace, use: kube.useWaypoint, kind: "service" }, reads);
      if (waypoint === undefined) return [];
      const trustDomain = reads.trustDomains.get(reads.networks.get(cluster) ?? DEFAULT_NETWORK) ?? mesh.trustDomain;
      const identity = formatServiceAccountId({
        trustDomain,
        namespace: waypoint.namespace,
        serviceAccount: waypoint.serviceAccount,
      });
      return [[key, { service: `${namespace}/${name}`, identity }]];
    },
  });
}
