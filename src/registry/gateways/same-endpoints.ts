import type { EndpointWay, ProxyEndpoint, ProxyEndpoints, TunnelIdentity } from "../model/proxy-backend.ts";

/** A service may have ten thousand endpoints, and they are compared whenever one of them changes: so by their fields. */
export function sameEndpoints(a: ProxyEndpoints, b: ProxyEndpoints): boolean {
  return (
    a.gateway === b.gateway &&
    a.name === b.name &&
    sameList(a.groups, b.groups, (one, other) => sameList(one, other, sameEndpoint))
  );
}

const sameEndpoint = (a: ProxyEndpoint, b: ProxyEndpoint): boolean =>
  a.id === b.id &&
  a.weight === b.weight &&
  a.locality?.region === b.locality?.region &&
  a.locality?.zone === b.locality?.zone &&
  a.locality?.subzone === b.locality?.subzone &&
  sameWay(a.way, b.way);

function sameWay(a: EndpointWay, b: EndpointWay): boolean {
  if (a.kind === "plain") return b.kind === "plain" && a.ip === b.ip && a.port === b.port;
  if (a.kind === "named") return b.kind === "named" && a.hostname === b.hostname && a.port === b.port;
  if (b.kind === "plain" || b.kind === "named" || a.hbonePort !== b.hbonePort || a.authority !== b.authority)
    return false;
  if (!sameIdentity(a.identity, b.identity)) return false;
  if (a.kind === "tunnel") return b.kind === "tunnel" && a.ip === b.ip;
  return b.kind === "double-tunnel" && sameHost(a, b) && sameIdentity(a.gatewayIdentity, b.gatewayIdentity);
}

type DoubleTunnel = Extract<EndpointWay, { readonly kind: "double-tunnel" }>;

const sameHost = ({ gateway: a }: DoubleTunnel, { gateway: b }: DoubleTunnel): boolean =>
  a.kind === "ip" ? b.kind === "ip" && a.ip === b.ip : b.kind === "hostname" && a.hostname === b.hostname;

const sameIdentity = (a: TunnelIdentity, b: TunnelIdentity): boolean =>
  a === b || (a.trustDomain === b.trustDomain && sameList(a.names, b.names, (one, other) => one === other));

const sameList = <V>(a: readonly V[], b: readonly V[], same: (one: V, other: V) => boolean): boolean =>
  a === b || (a.length === b.length && a.every((one, at) => same(one, b[at]!)));
