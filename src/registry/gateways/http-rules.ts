import type { ServiceName } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import type { Objects } from "../kube/objects.ts";
import type { HttpRule } from "../model/http-rule.ts";
import type { BackendName } from "../model/proxy-backend.ts";
import type { Problem } from "../model/problem.ts";
import type { Service } from "../model/service.ts";
import { union } from "../union.ts";
import { backendSettings, settingsProblems, type HostSettings } from "./backend-settings.ts";
import { judgedRoutes, type RouteInputs } from "./judged-routes.ts";
import { mergedRoutes, sameRules } from "./route-merge.ts";
import type { RouteOptions } from "./route-parents.ts";
import { routeProblems, routeVerdicts, type RouteVerdicts } from "./route-verdicts.ts";

/** What HTTPRoutes, GRPCRoutes and DestinationRules of the local cluster make of its services. */
export interface HttpRoutes {
  /**
   * What is done with requests to a port, in order, by the port's `backendName`. Only of ports with a route of which any
   * rule could be read.
   */
  readonly rules: Collection<BackendName, readonly HttpRule[]>;
  /** Only of services that a DestinationRule is for; see `settingsFor`. */
  readonly settings: Collection<ServiceName, HostSettings>;
  /** What the status of each route shall say of each parent, as `HTTPRoute east/shop/cart`. */
  readonly verdicts: Collection<string, RouteVerdicts>;
  readonly problems: Collection<string, Problem>;
}

export interface HttpRouteInputs extends Omit<RouteInputs, "hosts"> {
  readonly services: Collection<ServiceName, Service>;
}

export function httpRules(graph: Graph, objects: Objects, inputs: HttpRouteInputs, options: RouteOptions): HttpRoutes {
  const { services } = inputs;
  const hosts = new Index(graph, services, "hostname", ({ hostname }) => [hostname]);
  const judged = judgedRoutes(graph, objects, { ...inputs, hosts }, options);
  const merged = mergedRoutes(graph, judged);
  const rules = derive(graph, {
    name: "http-rules",
    from: merged,
    reads: {},
    distinct: true,
    equals: sameRules,
    to: ({ rules }, _reads, port) => [[port, rules] as const],
  });
  const verdicts = routeVerdicts(graph, judged, merged);
  return {
    rules,
    settings: backendSettings(graph, objects, services, options),
    verdicts,
    problems: union(graph, "gateway-api-problems", [
      routeProblems(graph, judged, verdicts),
      settingsProblems(graph, objects, hosts, options),
    ]),
  };
}
