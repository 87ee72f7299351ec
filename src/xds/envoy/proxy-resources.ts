import type { Collection } from "../../registry/collection/collection.ts";
import { derive } from "../../registry/collection/derive.ts";
import { filter } from "../../registry/collection/filter.ts";
import type { Graph } from "../../registry/collection/graph.ts";
import type { BackendName } from "../../registry/model/proxy-backend.ts";
import type { ProxyPolicies } from "../../registry/model/proxy-policies.ts";
import { proxyKey } from "../../registry/model/proxy-service.ts";
import type { Refusal } from "../publisher.ts";
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE, SECRET_TYPE } from "../resource.ts";
import { encodeBackend } from "./backend-clusters.ts";
import { encodeConnectRoutes } from "./connect-routes.ts";
import { encodeConnectTerminate } from "./connect-terminate.ts";
import { type ControlPlanePlace, encodeControlPlane, encodePassthrough } from "./control-plane-passthrough.ts";
import { encoded, type EncodedResources, encoding } from "./encoded.ts";
import { encodeAssignment } from "./endpoint-assignments.ts";
import { routeConfiguration } from "./http-routes.ts";
import { encodeInbound, encodeInboundCluster, type InboundPort } from "./inbound.ts";
import { jwksClusters } from "./jwks-clusters.ts";
import { envoy } from "./message.ts";
import { encodeHopCluster, encodeHopListener } from "./originate.ts";
import type { ProxyCollections, ProxyResources } from "./proxy-collections.ts";
import { type InboundValues, inboundValues } from "./proxy-inbound.ts";
import { type OutboundValues, outboundValues } from "./proxy-outbound.ts";
import { trustSecrets } from "./proxy-trust.ts";
import { CONNECT_TERMINATE, CONTROL_PLANE, outboundName } from "./resource-names.ts";
import type { TrustedDomain } from "./trust-secrets.ts";

/** What proxies need that no object of theirs says. */
export interface ProxySurroundings {
  /** By trust domain: who vouches for whom. */
  readonly trust: Collection<string, TrustedDomain>;
  readonly controlPlane: ControlPlanePlace;
}

export interface EncodedProxies {
  readonly resources: ProxyResources;
  /** What could not be encoded, and stays as it was, or is left out; names are `proxyKey(gateway, resource)`. */
  refusals(): readonly Refusal[];
}

/** All that the proxies of our gateways are told, encoded as far as it changed; before the graph's first flush. */
export function proxyResources(graph: Graph, proxies: ProxyCollections, around: ProxySurroundings): EncodedProxies {
  const inbound = inboundValues(graph, proxies);
  const outbound = outboundValues(graph, proxies, around.trust);
  const values: Values = { ...around, proxies, inbound, outbound };
  const resources = {
    listeners: listenersOf(graph, values),
    clusters: clustersOf(graph, values),
    routes: encoded(graph, "proxy-routes", ROUTE_TYPE, [
      encoding(inbound.connectTables, encodeConnectRoutes),
      encoding(inbound.routes, encodeRoutes),
    ]),
    endpoints: encoded(graph, "proxy-assignments", ENDPOINT_TYPE, [
      encoding(outbound.endpoints, encodeAssignment, clusterName),
    ]),
    secrets: encoded(graph, "proxy-secrets", SECRET_TYPE, trustSecrets(graph, proxies.gateways, around.trust)),
  };
  return { resources, refusals: () => refusalsOf(Object.values(resources), outbound) };
}

interface Values extends ProxySurroundings {
  readonly proxies: ProxyCollections;
  readonly inbound: InboundValues;
  readonly outbound: OutboundValues;
}

const clusterName = (backend: string): string => outboundName(backend as BackendName);

const encodeRoutes = ({ service, port, policies }: InboundPort): Uint8Array =>
  envoy.config.route.v3.RouteConfiguration.encode(routeConfiguration(service, port, policies)).finish();

function listenersOf(graph: Graph, { proxies, inbound, outbound, controlPlane }: Values): EncodedResources {
  const ends = derive(graph, {
    name: "connect-terminate-listeners",
    distinct: true,
    from: proxies.gateways,
    reads: {},
    to: (gateway, _reads, key) => [[proxyKey(key, CONNECT_TERMINATE), gateway] as const],
  });
  const withListener = filter(graph, "hop-listeners", outbound.hops, ({ kind }) => kind !== "gateway");
  return encoded(graph, "proxy-listeners", LISTENER_TYPE, [
    encoding(ends, encodeConnectTerminate),
    encoding(passthroughs(graph, "passthrough-listeners", proxies), (gateway) =>
      encodePassthrough(gateway, controlPlane),
    ),
    encoding(inbound.listeners, encodeInbound),
    encoding(withListener, encodeHopListener),
  ]);
}

function clustersOf(graph: Graph, { proxies, inbound, outbound, controlPlane }: Values): EncodedResources {
  return encoded(graph, "proxy-clusters", CLUSTER_TYPE, [
    encoding(proxies.backends, encodeBackend, clusterName),
    encoding(inbound.clusters, encodeInboundCluster),
    encoding(outbound.hops, encodeHopCluster),
    encoding(passthroughs(graph, "passthrough-clusters", proxies), () => encodeControlPlane(controlPlane)),
    encoding(keyServers(graph, proxies.policies), (cluster) =>
      envoy.config.cluster.v3.Cluster.encode(cluster).finish(),
    ),
  ]);
}

const passthroughs = (graph: Graph, name: string, { gateways }: ProxyCollections) =>
  derive(graph, {
    name,
    distinct: true,
    from: gateways,
    reads: {},
    to: (gateway, _reads, key) =>
      gateway.controlPlanePort === undefined ? [] : [[proxyKey(key, CONTROL_PLANE), gateway] as const],
  });

/** Where keys of tokens are fetched; policies of many services may name one server. */
const keyServers = (graph: Graph, policies: Collection<string, ProxyPolicies>) =>
  derive(graph, {
    name: "key-server-clusters",
    from: policies,
    reads: {},
    to: (policy) => serversOf(policy).map((cluster) => [proxyKey(policy.gateway, cluster.name), cluster] as const),
  });

/** One that is no server is said where its listener is refused. */
function serversOf(policy: ProxyPolicies): ReturnType<typeof jwksClusters> {
  try {
    return jwksClusters(policy);
  } catch {
    return [];
  }
}

function refusalsOf(all: readonly EncodedResources[], { unproven }: OutboundValues): readonly Refusal[] {
  const leftOut = Array.from(unproven.entries(), ([name, trustDomains]): Refusal => {
    const which = trustDomains.join(", ");
    const reason = `its endpoints of ${which} are left out: no root vouches for that trust domain, or nobody is named`;
    return { name, code: "unavailable", reason };
  });
  return [...all.flatMap(({ refusals }) => [...refusals]), ...leftOut];
}
