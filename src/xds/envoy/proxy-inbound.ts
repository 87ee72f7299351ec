import type { ObjectKey } from "../../names.ts";
import type { Collection } from "../../registry/collection/collection.ts";
import { derive } from "../../registry/collection/derive.ts";
import type { Graph } from "../../registry/collection/graph.ts";
import { Index } from "../../registry/collection/index-by.ts";
import { proxyKey, type ProxyPort, type ProxyService } from "../../registry/model/proxy-service.ts";
import type { ConnectService, ConnectTable } from "./connect-routes.ts";
import type { InboundPort } from "./inbound.ts";
import type { ProxyCollections } from "./proxy-collections.ts";
import { CONNECT_ROUTES, httpRouteName, inboundName } from "./resource-names.ts";

/**
 * What each resource of a waypoint's services depends on, and no more: a change of a route is no change of a listener,
 * and a change of a policy for HTTP is none either.
 */
export interface InboundValues {
  /** Of listeners: without routes, and without the policies that the routes have. */
  readonly listeners: Collection<string, InboundPort>;
  /** Their names, which is all that they are made of. */
  readonly clusters: Collection<string, string>;
  readonly routes: Collection<string, InboundPort>;
  readonly connectTables: Collection<string, ConnectTable>;
}

export function inboundValues(graph: Graph, proxies: ProxyCollections): InboundValues {
  return {
    listeners: listenerValues(graph, proxies),
    clusters: clusterValues(graph, proxies),
    routes: routeValues(graph, proxies),
    connectTables: connectTables(graph, proxies),
  };
}

const listenerValues = (graph: Graph, { services, policies }: ProxyCollections): Collection<string, InboundPort> =>
  derive(graph, {
    name: "inbound-listeners",
    distinct: true,
    from: services,
    reads: { policies },
    to: (service, reads, key) => {
      const all = reads.policies.get(key);
      const ofTokens = all && { ...all, authorization: [] };
      return service.ports.map((port) => {
        const name = proxyKey(service.gateway, inboundName(service.service, port.number));
        const guards = port.protocol === "http" ? ofTokens : all;
        return [name, { service: headOf(service), port: withoutRules(port), policies: guards }] as const;
      });
    },
  });

const clusterValues = (graph: Graph, { services }: ProxyCollections): Collection<string, string> =>
  derive(graph, {
    name: "inbound-clusters",
    distinct: true,
    from: services,
    reads: {},
    to: (service) =>
      service.ports.map((port) => {
        const name = inboundName(service.service, port.number);
        return [proxyKey(service.gateway, name), name] as const;
      }),
  });

const routeValues = (graph: Graph, { services, policies }: ProxyCollections): Collection<string, InboundPort> =>
  derive(graph, {
    name: "inbound-routes",
    distinct: true,
    from: services,
    reads: { policies },
    to: (service, reads, key) => {
      const http = service.ports.filter(({ protocol }) => protocol !== "tcp");
      return http.map((port) => {
        const name = proxyKey(service.gateway, httpRouteName(service.service, port.number));
        return [name, { service: headOf(service), port, policies: reads.policies.get(key) }] as const;
      });
    },
  });

/** What the encoders of one port ask of its service. */
const headOf = (service: ProxyService): ProxyService => ({ ...service, authorities: [], ports: [] });

const withoutRules = (port: ProxyPort): ProxyPort => ({ ...port, rules: [] });

function connectTables(
  graph: Graph,
  { gateways, services, policies, eastWestRoutes }: ProxyCollections,
): Collection<string, ConnectTable> {
  const heads = derive(graph, {
    name: "connect-services",
    distinct: true,
    from: services,
    reads: { policies },
    to: ({ gateway, service, authorities, ports }, reads, key): [[string, Owned<ConnectService>]] => {
      const heads = ports.map(({ number, protocol }) => ({ number, protocol }));
      const isHttp = heads.every(({ protocol }) => protocol === "http");
      const authorization = isHttp ? [] : (reads.policies.get(key)?.authorization ?? []);
      return [[key, { gateway, service, authorities, ports: heads, authorization }]];
    },
  });
  return derive(graph, {
    name: "connect-tables",
    distinct: true,
    from: gateways,
    reads: { services: byGateway(graph, heads), eastWest: byGateway(graph, eastWestRoutes) },
    to: ({ key }, reads) => {
      const table = { services: reads.services.get(key), eastWest: reads.eastWest.get(key) };
      return [[proxyKey(key, CONNECT_ROUTES), table] as const];
    },
  });
}

type Owned<V> = V & { readonly gateway: ObjectKey };

const byGateway = <V extends { readonly gateway: ObjectKey }>(
  graph: Graph,
  from: Collection<string, V>,
): Index<string, V> => new Index(graph, from, "gateway", ({ gateway }) => [gateway]);
