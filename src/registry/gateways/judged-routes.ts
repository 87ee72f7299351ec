import type { ObjectKey, ServiceName } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import type { Unread } from "../kube/authorization-policy.ts";
import type { ObjectId } from "../kube/metadata.ts";
import type { Objects } from "../kube/objects.ts";
import type { RouteKind } from "../kube/route.ts";
import type { Service } from "../model/service.ts";
import type { ServedNames } from "../service-names.ts";
import { union } from "../union.ts";
import type { OfferedWaypoint } from "../waypoints.ts";
import { grantHome } from "./route-backends.ts";
import { parentOutcome, type ParentOutcome, type RouteOptions } from "./route-parents.ts";
import { compileRoute, type CompiledRules } from "./route-rules.ts";

export interface RouteInputs {
  /** By host name. */
  readonly hosts: Index<ServiceName, Service>;
  readonly names: ServedNames;
  readonly waypoints: Collection<ObjectKey, OfferedWaypoint>;
}

/** What one route of the local cluster says, and to whom. */
export interface JudgedRoute extends CompiledRules {
  readonly kind: RouteKind;
  readonly id: ObjectId;
  readonly parents: readonly ParentOutcome[];
  readonly errors: readonly Unread[];
  readonly ignored: readonly Unread[];
  readonly kept: boolean;
}

/** As `HTTPRoute east/shop/cart`; routes that are not ours to judge have no value. */
export function judgedRoutes(
  graph: Graph,
  objects: Objects,
  { hosts, names, waypoints }: RouteInputs,
  options: RouteOptions,
): Collection<string, JudgedRoute> {
  const { globals, shared, owners, standings } = names;
  const reads = {
    ...{ globals, shared, owners, standings, waypoints, hosts },
    namespaces: objects.namespaces,
    gateways: objects.gateways,
    kubeServices: objects.services,
    serviceEntries: objects.serviceEntries,
    grants: new Index(graph, objects.referenceGrants, "namespace", (grant) => [grantHome(grant)]),
  };
  const judged = (name: string, from: Objects["httpRoutes"]): Collection<string, JudgedRoute> =>
    derive(graph, {
      name,
      from,
      reads,
      distinct: true,
      to: (route, reads, key) => {
        const { kind, id, errors, ignored, kept } = route;
        if (id.cluster !== options.localCluster) return [];
        const parents = route.parents.flatMap((ref) => parentOutcome(route, ref, reads, options) ?? []);
        if (parents.length === 0) return [];
        const compiled = compileRoute(route, reads, options);
        return [[`${kind} ${key}`, { ...compiled, kind, id, parents, errors, ignored, kept }] as const];
      },
    });
  return union(graph, "judged-routes", [
    judged("judged-http-routes", objects.httpRoutes),
    judged("judged-grpc-routes", objects.grpcRoutes),
  ]);
}
