import type { ObjectKey } from "../../names.ts";
import type { Collection } from "../../registry/collection/collection.ts";
import type { EastWestRoute } from "../../registry/model/east-west-route.ts";
import type { ProxyBackend, ProxyEndpoints } from "../../registry/model/proxy-backend.ts";
import type { ProxyGateway } from "../../registry/model/proxy-gateway.ts";
import type { ProxyPolicies } from "../../registry/model/proxy-policies.ts";
import type { ProxyService } from "../../registry/model/proxy-service.ts";
import type { Resource } from "../resource.ts";

/** What the proxies of all gateways are to do; the registry has it. All keys but the first's are `proxyKey`s. */
export interface ProxyCollections {
  readonly gateways: Collection<ObjectKey, ProxyGateway>;
  /** Of waypoints. */
  readonly services: Collection<string, ProxyService>;
  readonly policies: Collection<string, ProxyPolicies>;
  /** Of both kinds of gateways. */
  readonly backends: Collection<string, ProxyBackend>;
  /** One for each backend, if only an empty one. */
  readonly endpoints: Collection<string, ProxyEndpoints>;
  /** Of east-west gateways. */
  readonly eastWestRoutes: Collection<string, EastWestRoute>;
}

/** The same, encoded for Envoy; keys are `proxyKey(gateway, name of the resource)`. */
export interface ProxyResources {
  readonly listeners: Collection<string, Resource>;
  readonly clusters: Collection<string, Resource>;
  readonly routes: Collection<string, Resource>;
  readonly endpoints: Collection<string, Resource>;
  readonly secrets: Collection<string, Resource>;
}
