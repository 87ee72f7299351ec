import { Graph } from "../../../src/registry/collection/graph.ts";
import { Source } from "../../../src/registry/collection/source.ts";
import type { EastWestRoute } from "../../../src/registry/model/east-west-route.ts";
import type { ProxyBackend, ProxyEndpoints } from "../../../src/registry/model/proxy-backend.ts";
import type { ProxyGateway } from "../../../src/registry/model/proxy-gateway.ts";
import type { ProxyPolicies } from "../../../src/registry/model/proxy-policies.ts";
import type { ProxyService } from "../../../src/registry/model/proxy-service.ts";
import type { ControlPlanePlace } from "../../../src/xds/envoy/control-plane-passthrough.ts";
import { proxyResources } from "../../../src/xds/envoy/proxy-resources.ts";
import type { TrustedDomain } from "../../../src/xds/envoy/trust-secrets.ts";
import type { ObjectKey } from "../../../src/names.ts";

const CONTROL_PLANE: ControlPlanePlace = {
  host: "istiod.istio-system.svc",
  port: 15012,
  serverNames: ["istiod.istio-system.svc"],
};

/** What the registry would write, and what becomes of it. */
export function proxyWorld(controlPlane = CONTROL_PLANE) {
  const graph = new Graph();
  const sources = {
    gateways: new Source<ObjectKey, ProxyGateway>(graph, "gateways"),
    services: new Source<string, ProxyService>(graph, "services"),
    policies: new Source<string, ProxyPolicies>(graph, "policies"),
    backends: new Source<string, ProxyBackend>(graph, "backends"),
    endpoints: new Source<string, ProxyEndpoints>(graph, "endpoints"),
    eastWestRoutes: new Source<string, EastWestRoute>(graph, "routes"),
  };
  const trust = new Source<string, TrustedDomain>(graph, "trust");
  const { resources, refusals } = proxyResources(graph, sources, { trust, controlPlane });
  return { graph, ...sources, trust, resources, refusals };
}
