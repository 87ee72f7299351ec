import { podUid, type ObjectKey } from "../../names.ts";
import type { Pod } from "../kube/pod.ts";
import type { EndpointWay, ProxyEndpoint } from "../model/proxy-backend.ts";
import type { ProxyGateway } from "../model/proxy-gateway.ts";
import type { Service } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";
import { HBONE_PORT, hostText } from "../network-gateways.ts";
import { sameNetwork, type Candidate } from "./endpoint-groups.ts";
import { gatewayHosts, identityOf, type GatewayHostReads } from "./gateway-hosts.ts";
import { PerWorkload } from "./per-workload.ts";

/** Where the proxy itself is administered, on its loopback: whoever owns a name can have it lead there. */
const ENVOY_ADMIN_PORT = 15_000;

export interface WayReads extends GatewayHostReads {
  readonly pods: { get(gateway: ObjectKey): readonly Pod[] };
}

/** How a waypoint reaches one endpoint of one port of a service; not at all if there is no way, or nothing is to go there. */
export function waysTo(
  workload: Workload,
  service: Service,
  port: number,
  gateway: ProxyGateway,
  reads: WayReads,
): readonly Candidate[] {
  const targetPort = targetOf(workload, service, port);
  if (targetPort === 0 || !isWanted(workload, service)) return [];
  return sameNetwork(workload, gateway.network)
    ? directWays(workload, targetPort, gateway, reads)
    : waysThroughGateways(workload, service, port, reads);
}

/** Where the endpoint takes a port of the service; 0 if it does not. */
export function targetOf(workload: Workload, { key, ports }: Service, port: number): number {
  const of = (all: Service["ports"] | undefined): number =>
    all?.find(({ servicePort }) => servicePort === port)?.targetPort ?? 0;
  return of(workload.services.find(({ service }) => service === key)?.ports) || of(ports);
}

/** One without capacity is never chosen, and one that is not healthy only where the service wants those, too. */
export const isWanted = ({ healthy, capacity }: Workload, { loadBalancing }: Service): boolean =>
  capacity !== 0 && (healthy || loadBalancing?.healthPolicy === "allow-all");

/** To a workload on the gateway's own network, at a port of its own. */
export function directWays(
  workload: Workload,
  targetPort: number,
  gateway: ProxyGateway,
  { pods }: WayReads,
): readonly Candidate[] {
  return isOwnProxy(workload, gateway, pods) ? [] : directly.get(workload, targetPort);
}

const directly = new PerWorkload((workload, targetPort): readonly Candidate[] => {
  const way = directWay(workload, targetPort);
  return way === undefined ? [] : [{ workload, part: 1, endpoint: endpointOf(workload, way) }];
});

function directWay(workload: Workload, targetPort: number): EndpointWay | undefined {
  // Of several it is the one of the cluster's first family, which everything there can reach.
  const [ip] = workload.addresses;
  const { hostname, tunnel } = workload;
  // Whom a tunnel leads to must be known before, and a name says it only then.
  if (ip === undefined) {
    const isCallable = hostname !== "" && tunnel === "none" && targetPort !== ENVOY_ADMIN_PORT;
    return isCallable ? { kind: "named", hostname, port: targetPort } : undefined;
  }
  if (tunnel === "none") return { kind: "plain", ip, port: targetPort };
  const identity = identityOf(workload);
  const authority = `${ip.includes(":") ? `[${ip}]` : ip}:${targetPort}`;
  return identity && { kind: "tunnel", ip, hbonePort: HBONE_PORT, authority, identity };
}

const endpointOf = ({ uid, capacity, locality }: Workload, way: EndpointWay, id: string = uid): ProxyEndpoint => ({
  id,
  weight: capacity ?? 1,
  locality,
  way,
});

/** To whatever takes connections at that port of a workload. */
export const plainEndpoints = new PerWorkload((workload, port): readonly ProxyEndpoint[] => {
  const [ip] = workload.addresses;
  return ip === undefined ? [] : [endpointOf(workload, { kind: "plain", ip, port })];
});

/** A service that selects the waypoint's own pods would send to it what it sent there, for ever. */
function isOwnProxy(
  { uid, cluster, namespace, serviceAccount }: Workload,
  gateway: ProxyGateway,
  pods: WayReads["pods"],
): boolean {
  const alike =
    cluster === gateway.cluster && namespace === gateway.namespace && serviceAccount === gateway.serviceAccount;
  return alike && pods.get(gateway.key).some((pod) => podUid(pod.cluster, pod.namespace, pod.name) === uid);
}

/** The far gateway finds the endpoint; whoever it is must be one of those that the service may have there. */
function waysThroughGateways(
  workload: Workload,
  service: Service,
  port: number,
  reads: WayReads,
): readonly Candidate[] {
  const { uid, network, networkGateway, trustDomain } = workload;
  const names = service.subjectAltNames.filter((name) => name.startsWith(`spiffe://${trustDomain}/`));
  if (networkGateway === undefined || names.length === 0) return [];
  const hosts = gatewayHosts(networkGateway, network, reads);
  return hosts.map(({ host, hbonePort, identity: gatewayIdentity }) => {
    const id = hosts.length === 1 ? uid : `${uid} ${hostText(host)}`;
    const authority = `${service.hostname}:${port}`;
    const identity = { trustDomain, names };
    const way = { kind: "double-tunnel", gateway: host, hbonePort, gatewayIdentity, authority, identity } as const;
    return { workload, part: 1 / hosts.length, endpoint: endpointOf(workload, way, id) };
  });
}
