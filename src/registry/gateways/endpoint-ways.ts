import type { ObjectKey } from "../../names.ts";
import { podUid } from "../../names.ts";
import type { Pod } from "../kube/pod.ts";
import type { ProxyGateway } from "../model/proxy-gateway.ts";
import type { Service } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";
import { HBONE_PORT } from "../network-gateways.ts";
import { sameNetwork, type Candidate } from "./endpoint-groups.ts";
import { gatewayHosts, identityOf, type GatewayHostReads } from "./gateway-hosts.ts";

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
  const { uid, tunnel } = workload;
  // Of several it is the one of the cluster's first family, which everything there can reach.
  const [ip] = workload.addresses;
  if (ip === undefined || isOwnProxy(workload, gateway, pods)) return [];
  if (tunnel === "none") return [{ id: uid, workload, part: 1, way: { kind: "plain", ip, port: targetPort } }];
  const identity = identityOf(workload);
  if (identity === undefined) return [];
  const authority = `${ip.includes(":") ? `[${ip}]` : ip}:${targetPort}`;
  return [{ id: uid, workload, part: 1, way: { kind: "tunnel", ip, hbonePort: HBONE_PORT, authority, identity } }];
}

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
  return hosts.map(({ host, hbonePort, identity: gatewayIdentity }) => ({
    id: hosts.length === 1 ? uid : `${uid} ${host.kind === "ip" ? host.ip : host.hostname}`,
    workload,
    part: 1 / hosts.length,
    way: {
      kind: "double-tunnel",
      gateway: host,
      hbonePort,
      gatewayIdentity,
      authority: `${service.hostname}:${port}`,
      identity: { trustDomain, names },
    },
  }));
}
