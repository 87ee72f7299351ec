import type { ObjectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import type { Graph } from "../collection/graph.ts";
import { Source } from "../collection/source.ts";
import type { EastWestRoute } from "../model/east-west-route.ts";
import type { HttpRule } from "../model/http-rule.ts";
import type { BackendName, BackendSettings, ProxyBackend, ProxyEndpoints } from "../model/proxy-backend.ts";
import type { ProxyGateway } from "../model/proxy-gateway.ts";
import type { ProxyPolicies } from "../model/proxy-policies.ts";
import type { ProxyService } from "../model/proxy-service.ts";
import { union } from "../union.ts";
import { eastWest } from "./east-west-routes.ts";
import type { GatewayInputs } from "./gateway-inputs.ts";
import { neededByWaypoints } from "./needed-backends.ts";
import { proxyBackends } from "./proxy-backends.ts";
import { proxyEndpoints } from "./proxy-endpoints.ts";
import { proxyPolicies } from "./proxy-policies.ts";
import { podsOfGateways, proxyGateways } from "./proxy-gateways.ts";
import { proxyServices } from "./proxy-services.ts";

/** What the proxies of all our gateways are to do, as `ProxyCollections` of xds/envoy wants it. */
export interface ProxyConfigs {
  readonly gateways: Collection<ObjectKey, ProxyGateway>;
  readonly services: Collection<string, ProxyService>;
  readonly policies: Collection<string, ProxyPolicies>;
  readonly backends: Collection<string, ProxyBackend>;
  readonly endpoints: Collection<string, ProxyEndpoints>;
  readonly eastWestRoutes: Collection<string, EastWestRoute>;
}

/** What routes and DestinationRules say, by port of a service. */
export interface HttpRouting {
  readonly rules: Collection<BackendName, readonly HttpRule[]>;
  readonly settings: Collection<BackendName, BackendSettings>;
}

/** Derived from the registry alone; before the graph's first flush. */
export function proxyConfigs(
  graph: Graph,
  inputs: GatewayInputs,
  routing: HttpRouting = noRoutes(graph),
): ProxyConfigs {
  const pods = podsOfGateways(graph, inputs);
  const gateways = proxyGateways(graph, inputs, pods);
  const services = proxyServices(graph, { ...inputs, gateways, rules: routing.rules });
  const entered = eastWest(graph, { ...inputs, gateways });
  const needed = union(graph, "needed-backends", [neededByWaypoints(graph, services), entered.needed]);
  return {
    gateways,
    services,
    policies: proxyPolicies(graph, inputs.objects, services, inputs),
    backends: proxyBackends(graph, { ...inputs, needed, settings: routing.settings }),
    endpoints: proxyEndpoints(graph, { ...inputs, needed, gateways, pods }),
    eastWestRoutes: entered.routes,
  };
}

const noRoutes = (graph: Graph): HttpRouting => ({
  rules: new Source(graph, "http-rules"),
  settings: new Source(graph, "backend-settings"),
});
