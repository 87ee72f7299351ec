import { GRPC_ROUTES, HTTP_ROUTES } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import type { ClusterId } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import type { RouteVerdicts } from "../gateways/route-verdicts.ts";
import type { Objects } from "../kube/objects.ts";
import { MESH_CONTROLLER, parentKey, type RouteStatus } from "../kube/route-status.ts";
import type { Route } from "../kube/route.ts";
import { union } from "../union.ts";
import { conditionOf, sameConditions } from "./wanted-status.ts";

/** What becomes of each HTTPRoute and GRPCRoute at each service that it names; what others say there stays. */
export function routeStatuses(
  graph: Graph,
  { httpRoutes, grpcRoutes }: Objects,
  verdicts: Collection<string, RouteVerdicts>,
  localCluster: ClusterId,
): Collection<string, WantedObject> {
  const statuses = (name: string, from: Objects["httpRoutes"]): Collection<string, WantedObject> =>
    derive(graph, {
      name,
      from,
      reads: { verdicts },
      distinct: true,
      to: (route, { verdicts }, key) => {
        const { kind, id, status } = route;
        if (status === undefined || id.cluster !== localCluster) return [];
        const wanted = wantedOf(route, status, verdicts.get(`${kind} ${key}`) ?? []);
        return wanted ? [[`${kind} ${id.namespace}/${id.name}`, wanted] as const] : [];
      },
    });
  return union(graph, "route-statuses", [
    statuses("http-route-statuses", httpRoutes),
    statuses("grpc-route-statuses", grpcRoutes),
  ]);
}

/** Undefined if there is nothing to say, and nothing that we said before. */
function wantedOf({ kind, id }: Route, status: RouteStatus, verdicts: RouteVerdicts): WantedObject | undefined {
  const { ours, others, resourceVersion, generation } = status;
  if (verdicts.length === 0 && ours.length === 0) return undefined;
  const before = new Map(ours.map(({ key, conditions }) => [key, conditions]));
  const items = verdicts.map(({ ref, verdicts }) => {
    const found = { conditions: before.get(parentKey(ref.written)) ?? [], generation };
    const conditions = verdicts.map((verdict) => conditionOf(verdict, found));
    const same = sameConditions(conditions, found.conditions);
    return { same, part: { fields: { parentRef: ref.written, controllerName: MESH_CONTROLLER }, conditions } };
  });
  const same = items.length === ours.length && items.every(({ same }) => same);
  return {
    type: kind === "HTTPRoute" ? HTTP_ROUTES : GRPC_ROUTES,
    namespace: id.namespace,
    name: id.name,
    subresource: "status",
    parts: { field: "parents", items: items.map(({ part }) => part), ...(others.length > 0 && { others }) },
    found: same ? "same" : "different",
    ...(resourceVersion !== undefined && { resourceVersion }),
  };
}
