import { isIP } from "node:net";
import { MeshError } from "../../errors.ts";
import type { Locality } from "../../registry/model/address.ts";
import type { ProxyEndpoint, ProxyEndpoints } from "../../registry/model/proxy-backend.ts";
import { addressOf, metadataOf } from "./endpoint-addresses.ts";
import { envoy, wrapped } from "./message.ts";
import { outboundName } from "./resource-names.ts";

type LocalityEndpoints = envoy.config.endpoint.v3.LocalityLbEndpoints.$Properties;
type Endpoint = envoy.config.endpoint.v3.LbEndpoint.$Properties;

/** Envoy's own default spills over to the next group when seven in ten are left; ours only when none is. */
const ONE_IS_ENOUGH = 1_000_000;
/** Envoy refuses an assignment whose weights sum up to more. */
const WEIGHTS_MAX = 0xffff_ffff;

/** The endpoints of a backend, the first group before the next. @throws MeshError `invalid` */
export function encodeAssignment({ name, groups }: ProxyEndpoints): Uint8Array {
  const used = groups.filter((group) => group.length > 0);
  return envoy.config.endpoint.v3.ClusterLoadAssignment.encode({
    clusterName: outboundName(name),
    endpoints: used.flatMap((group, priority) => byLocality(group, priority)),
    policy: { overprovisioningFactor: wrapped(ONE_IS_ENOUGH) },
  }).finish();
}

function byLocality(group: readonly ProxyEndpoint[], priority: number): LocalityEndpoints[] {
  const places = new Map<string, { readonly locality: Locality | undefined; readonly endpoints: Endpoint[] }>();
  const scale = Math.max(1, sumOf(group) / WEIGHTS_MAX);
  for (const endpoint of group) {
    const { locality } = endpoint;
    const key = locality === undefined ? "" : `${locality.region}/${locality.zone}/${locality.subzone}`;
    const place = places.get(key) ?? { locality, endpoints: [] };
    places.set(key, place);
    place.endpoints.push(toEndpoint(endpoint, scale));
  }
  return Array.from(places.values(), ({ locality, endpoints }) => ({
    ...(locality && { locality: { region: locality.region, zone: locality.zone, subZone: locality.subzone } }),
    lbEndpoints: endpoints,
    priority,
  }));
}

const sumOf = (group: readonly ProxyEndpoint[]): number => group.reduce((sum, { weight }) => sum + weight, 0);

function toEndpoint(endpoint: ProxyEndpoint, scale: number): Endpoint {
  checkWay(endpoint);
  const metadata = metadataOf(endpoint);
  return {
    endpoint: { address: addressOf(endpoint) },
    ...(metadata && { metadata }),
    loadBalancingWeight: wrapped(Math.max(1, Math.floor(endpoint.weight / scale))),
  };
}

/** An address that Envoy cannot read costs the whole assignment, and all that came with it. */
function checkWay({ id, way }: ProxyEndpoint): void {
  if (way.kind === "named") return;
  const place = way.kind === "double-tunnel" ? way.gateway : ({ kind: "ip", ip: way.ip } as const);
  if (place.kind === "ip" && isIP(place.ip) === 0)
    throw new MeshError("invalid", `endpoint ${id} is at ${JSON.stringify(place.ip)}, which is no IP address`);
}
