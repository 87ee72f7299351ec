import type { ObjectKey } from "../../names.ts";
import type { Collection } from "../../registry/collection/collection.ts";
import { derive } from "../../registry/collection/derive.ts";
import type { Graph } from "../../registry/collection/graph.ts";
import type { EndpointWay, ProxyEndpoint, ProxyEndpoints, TunnelIdentity } from "../../registry/model/proxy-backend.ts";
import type { ProxyGateway } from "../../registry/model/proxy-gateway.ts";
import { proxyKey } from "../../registry/model/proxy-service.ts";
import { type Hop, hopName } from "./originate.ts";
import type { ProxyCollections } from "./proxy-collections.ts";
import type { TrustedDomain } from "./trust-secrets.ts";

export interface OutboundValues {
  /** Those that can be proven to be who they must be. */
  readonly endpoints: Collection<string, ProxyEndpoints>;
  /** Trust domains whose endpoints are left out of a backend, as nobody vouches for them; by backend. */
  readonly unproven: Collection<string, readonly string[]>;
  /** What the ways to those endpoints go through. */
  readonly hops: Collection<string, Hop>;
}

/** @param trust by trust domain. */
export function outboundValues(
  graph: Graph,
  { gateways, endpoints }: ProxyCollections,
  trust: Collection<string, TrustedDomain>,
): OutboundValues {
  const usable = derive(graph, {
    name: "usable-endpoints",
    distinct: true,
    from: endpoints,
    reads: { trust },
    to: (all, reads, key): [[string, ProxyEndpoints]] => {
      const groups = all.groups.map((group) => group.filter((endpoint) => whyUnproven(endpoint, reads).length === 0));
      return [[key, { ...all, groups }]];
    },
  });
  const unproven = derive(graph, {
    name: "unproven-endpoints",
    distinct: true,
    from: endpoints,
    reads: { trust },
    to: ({ groups }, reads, key) => {
      const domains = groups.flatMap((group) => group.flatMap((endpoint) => whyUnproven(endpoint, reads)));
      return domains.length === 0 ? [] : [[key, [...new Set(domains)].sort()] as const];
    },
  });
  return { endpoints: usable, unproven, hops: hopsOf(graph, gateways, usable) };
}

interface TrustReads {
  readonly trust: { get(trustDomain: string): TrustedDomain | undefined };
}

/** The trust domains of those on the way who could not prove who they are: nobody vouches for them, or nobody is named. */
const whyUnproven = ({ way }: ProxyEndpoint, { trust }: TrustReads): readonly string[] =>
  identitiesOf(way)
    .filter(({ trustDomain, names }) => names.length === 0 || trust.get(trustDomain) === undefined)
    .map(({ trustDomain }) => trustDomain);

function identitiesOf(way: EndpointWay): readonly TunnelIdentity[] {
  if (way.kind === "plain" || way.kind === "named") return [];
  return way.kind === "tunnel" ? [way.identity] : [way.identity, way.gatewayIdentity];
}

/** Many endpoints need one hop: it is there until the last of them goes. */
const hopsOf = (
  graph: Graph,
  gateways: Collection<ObjectKey, ProxyGateway>,
  endpoints: Collection<string, ProxyEndpoints>,
): Collection<string, Hop> =>
  derive(graph, {
    name: "hops",
    from: endpoints,
    reads: { gateways },
    to: ({ gateway, groups }, reads) => {
      const owner = reads.gateways.get(gateway);
      if (owner === undefined) return [];
      const hops = groups.flatMap((group) => group.flatMap(({ way }) => hopsOn(way, owner)));
      const byName = new Map(hops.map((hop) => [proxyKey(gateway, hopName(hop)), hop]));
      return [...byName];
    },
  });

function hopsOn(way: EndpointWay, { network }: ProxyGateway): readonly Hop[] {
  if (way.kind === "plain") return [];
  if (way.kind === "named") return [way];
  const { trustDomain } = way.identity;
  if (way.kind === "tunnel") return [{ kind: "tunnel", trustDomain }];
  const gatewayDomain = way.gatewayIdentity.trustDomain;
  const common: readonly Hop[] = [
    { kind: "inner", trustDomain, gatewayDomain, network },
    { kind: "outer", gatewayDomain },
  ];
  if (way.gateway.kind === "ip") return common;
  return [...common, { kind: "gateway", gatewayDomain, hostname: way.gateway.hostname, port: way.hbonePort }];
}
