import { MeshError } from "../errors.ts";
import type { ObjectKey } from "../names.ts";
import { printable } from "../printable.ts";
import type { ProxyGateway } from "../registry/model/proxy-gateway.ts";
import { decodedResource } from "../xds/envoy/decoded.ts";
import type { GatewayLogs, ProxyLogs } from "../xds/envoy/proxy-logs.ts";
import { TYPE_NAMES } from "../xds/resource.ts";
import type { ResourceLog } from "../xds/resource-log.ts";

/** What is known of the Gateways whose proxies are programmed here. */
export interface GatewaysViewed {
  readonly proxyLogs: ProxyLogs;
  /** How many proxies of a Gateway are connected here. */
  connectedProxies(gateway: ObjectKey): number;
}

/** @param query without one, every Gateway in short; `gateway=shop/waypoint` for all that its proxies are to have. */
export function gatewayView(viewed: GatewaysViewed, query: URLSearchParams): unknown {
  const asked = query.get("gateway") ?? "";
  const gateways = Array.from(viewed.proxyLogs.gateways.entries(), ([, gateway]) => gateway);
  if (asked === "") return gateways.map((gateway) => summary(viewed, gateway));
  const found = gateways.find(({ namespace, name }) => `${namespace}/${name}` === asked);
  if (found !== undefined) return { ...summary(viewed, found), resources: resources(viewed.proxyLogs.of(found.key)) };
  const message = `no Gateway ${printable(asked, 120)} is programmed here; /debug/gatewayz names those that are`;
  throw new MeshError("absent", message);
}

function summary({ proxyLogs, connectedProxies }: GatewaysViewed, gateway: ProxyGateway) {
  const { key, namespace, name, kind, trustDomain, serviceAccount } = gateway;
  const types = Array.from(proxyLogs.of(key) ?? [], ([typeUrl, { size, bytes, digest }]) => [
    TYPE_NAMES.get(typeUrl) ?? typeUrl,
    { resources: size, bytes, digest },
  ]);
  return {
    gateway: `${namespace}/${name}`,
    kind,
    identity: `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`,
    connectedProxies: connectedProxies(key),
    types: Object.fromEntries(types) as unknown,
  };
}

/** Made one by one as they are taken: thousands of routes decoded at once would hold up everybody. */
function resources(logs: GatewayLogs | undefined): unknown {
  const types = Array.from(logs ?? [], ([typeUrl, log]) => [TYPE_NAMES.get(typeUrl), decoded(typeUrl, log)] as const);
  return Object.fromEntries(types);
}

function* decoded(typeUrl: Parameters<typeof decodedResource>[0], log: ResourceLog): Iterable<unknown> {
  for (const name of [...log.names()].sort()) {
    const resource = log.get(name);
    if (resource !== undefined) yield { name, version: resource.version, content: decodedResource(typeUrl, resource) };
  }
}
