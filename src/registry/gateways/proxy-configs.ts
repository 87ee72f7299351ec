import type { ObjectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import type { EastWestRoute } from "../model/east-west-route.ts";
import type { ProxyBackend, ProxyEndpoints } from "../model/proxy-backend.ts";
import type { Problem } from "../model/problem.ts";
import type { ProxyGateway } from "../model/proxy-gateway.ts";
import type { ProxyPolicies } from "../model/proxy-policies.ts";
import type { ProxyService } from "../model/proxy-service.ts";
import { union } from "../union.ts";
import { eastWest } from "./east-west-routes.ts";
import type { GatewayInputs } from "./gateway-inputs.ts";
import { trafficProblems } from "./gateway-problems.ts";
import { listenerProblems } from "./listener-problems.ts";
import { neededByWaypoints } from "./needed-backends.ts";
import { proxyBackends } from "./proxy-backends.ts";
import { proxyEndpoints } from "./proxy-endpoints.ts";
import { proxyPolicies } from "./proxy-policies.ts";
import { podsOfGateways, proxyGateways } from "./proxy-gateways.ts";
import { proxyServices, waypointsByAddress } from "./proxy-services.ts";
import { proxyWorkloads } from "./proxy-workloads.ts";

/** What the proxies of all our gateways are to do, as `ProxyCollections` of xds/envoy wants it. */
export interface ProxyConfigs {
  readonly gateways: Collection<ObjectKey, ProxyGateway>;
  readonly services: Collection<string, ProxyService>;
  readonly policies: Collection<string, ProxyPolicies>;
  readonly backends: Collection<string, ProxyBackend>;
  readonly endpoints: Collection<string, ProxyEndpoints>;
  readonly eastWestRoutes: Collection<string, EastWestRoute>;
  /** What the gateways cannot carry, though somebody's objects ask them to. */
  readonly problems: Collection<string, Problem>;
}

/** Derived from the registry alone; before the graph's first flush. */
export function proxyConfigs(graph: Graph, inputs: GatewayInputs): ProxyConfigs {
  const { rules, settings } = inputs.routes;
  const pods = podsOfGateways(graph, inputs);
  const gateways = proxyGateways(graph, inputs, pods);
  const byAddress = waypointsByAddress(graph, gateways, inputs.offered);
  const servicesByAddress = new Index(graph, inputs.services, "address", ({ addresses }) =>
    addresses.flatMap(({ network, ip, prefixLength }) => (prefixLength === undefined ? [`${network}/${ip}`] : [])),
  );
  const proxied = proxyServices(graph, { ...inputs, byAddress, servicesByAddress, rules });
  const single = proxyWorkloads(graph, { ...inputs, byAddress, servicesByAddress });
  const services = union(graph, "services-at-waypoints", [proxied, single.services]);
  const { localCluster } = inputs.options;
  const ownShared = filter(graph, "own-shared", inputs.shared.all, ({ kube }) => kube.id.cluster === localCluster);
  const entered = eastWest(graph, { ...inputs, gateways, ownShared });
  const needs = [neededByWaypoints(graph, proxied), single.needed, entered.needed];
  const needed = union(graph, "needed-backends", needs);
  const policies = proxyPolicies(graph, inputs.objects, services, inputs);
  return {
    gateways,
    services,
    policies,
    backends: proxyBackends(graph, { ...inputs, needed, settings }),
    endpoints: proxyEndpoints(graph, { ...inputs, needed, gateways, pods, servicesByAddress }),
    eastWestRoutes: entered.routes,
    problems: union(graph, "gateway-problems-here", [
      listenerProblems(graph, inputs),
      trafficProblems(graph, { ...inputs, gateways, proxied, policies, ownShared }),
    ]),
  };
}
