import type { ObjectKey } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import type { ObjectId } from "./kube/metadata.ts";
import type { Objects } from "./kube/objects.ts";
import type { UseWaypoint } from "./kube/traffic-labels.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";
import { union } from "./union.ts";
import { chosenWaypoint, type OfferedWaypoint, type WaypointReads } from "./waypoints.ts";

const FIELD = "metadata.labels[istio.io/use-waypoint]";

/**
 * Services of the local cluster that name a waypoint themselves and do not get it: their traffic would pass it by in
 * silence.
 */
export function waypointProblems(
  graph: Graph,
  objects: Objects,
  waypoints: Collection<ObjectKey, OfferedWaypoint>,
  { localCluster }: RegistryOptions,
): Collection<string, Problem> {
  const asks = ({ id, useWaypoint }: User): boolean => useWaypoint !== undefined && id.cluster === localCluster;
  const reads = { namespaces: objects.namespaces, waypoints };
  const ofServices =
    (kind: string) =>
    (from: User, reads: WaypointReads, key: string): [string, Problem][] => {
      const { id, useWaypoint } = from;
      const user = { cluster: id.cluster, namespace: id.namespace, use: useWaypoint, kind: "service" } as const;
      const chosen = chosenWaypoint(user, reads);
      if (chosen?.refused === undefined) return [];
      const object = `${kind} ${id.namespace}/${id.name}`;
      const message = `${object} asks for waypoint ${chosen.name}, which ${chosen.refused}; its traffic goes without.`;
      return [[`${kind} ${key}#waypoint`, { object, origin: id.origin, field: FIELD, message, severity: "warning" }]];
    };
  const services = derive(graph, {
    name: "service-waypoint-problems",
    from: filter(graph, "services-that-ask-for-waypoints", objects.services, asks),
    reads,
    to: ofServices("Service"),
  });
  const entries = derive(graph, {
    name: "service-entry-waypoint-problems",
    from: filter(graph, "entries-that-ask-for-waypoints", objects.serviceEntries, asks),
    reads,
    to: ofServices("ServiceEntry"),
  });
  return union(graph, "waypoint-problems", [services, entries]);
}

interface User {
  readonly id: ObjectId;
  readonly useWaypoint: UseWaypoint | undefined;
}
