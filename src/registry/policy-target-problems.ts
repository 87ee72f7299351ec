import type { ObjectKey } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import type { Objects } from "./kube/objects.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";
import { waypointVerdict } from "./wanted/waypoint-policies.ts";
import type { OfferedWaypoint } from "./waypoints.ts";

/** Policies of the local cluster that are for waypoints, and that none, or not all that they name, enforce. */
export function policyTargetProblems(
  graph: Graph,
  objects: Objects,
  waypoints: Collection<ObjectKey, OfferedWaypoint>,
  { localCluster, mesh }: RegistryOptions,
): Collection<string, Problem> {
  const { namespaces, gateways, gatewayClasses, services, serviceEntries } = objects;
  return derive(graph, {
    name: "policy-target-problems",
    from: filter(
      graph,
      "policies-with-targets",
      objects.authorizationPolicies,
      ({ id, targets }) => targets.length > 0 && id.cluster === localCluster,
    ),
    reads: { waypoints, namespaces, gateways, gatewayClasses, services, serviceEntries },
    to: (policy, reads, key) => {
      const { id } = policy;
      const { reason, holds, message } = waypointVerdict(policy, mesh.rootNamespace, reads);
      if (reason === "Accepted") return [];
      const effect = holds ? "Elsewhere it is enforced." : "Nobody enforces it.";
      const problem: Problem = {
        object: `AuthorizationPolicy ${id.namespace}/${id.name}`,
        origin: id.origin,
        field: "spec.targetRefs",
        message: `${message} ${effect}`,
        severity: "warning",
      };
      return [[`policy-targets ${key}`, problem]];
    },
  });
}
