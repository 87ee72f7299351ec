import {
  coalescedUid,
  objectKey,
  type ClusterId,
  type NetworkId,
  type ObjectKey,
  type ServiceName,
  type WorkloadUid,
} from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { commonLocality, type ClusterTally, type Tally } from "./endpoint-tallies.ts";
import type { Locality, Port } from "./model/address.ts";
import type { Workload } from "./model/workload.ts";
import { gatewayAddress, hostText, type NetworkGateway } from "./network-gateways.ts";
import type { RegistryOptions } from "./options.ts";
import { servicePorts } from "./ports.ts";
import type { Offer } from "./service-offers.ts";
import type { SharedService } from "./shared-services.ts";
import { bareWorkload } from "./workload-shape.ts";

export interface CoalescedInputs {
  readonly tallies: Collection<string, Tally>;
  readonly gateways: Collection<NetworkId, readonly NetworkGateway[]>;
  readonly winners: Collection<ServiceName, Offer>;
  readonly shared: Collection<ObjectKey, SharedService>;
}

/**
 * What stands for all endpoints of a service on another network: one workload for each gateway that leads to them
 * (contract ztunnel.md 5.9). istiod takes the first gateway only. ztunnel knows exactly one gateway per workload and
 * never tries another, so with several there are several workloads, among which it picks by capacity: together they
 * have as much as there are endpoints, so that the share of this network does not depend on its gateways.
 */
export function coalescedWorkloads(
  graph: Graph,
  { tallies, gateways, winners, shared }: CoalescedInputs,
  { mesh }: RegistryOptions,
): Collection<WorkloadUid, Workload> {
  return derive(graph, {
    name: "coalesced-workloads",
    distinct: true,
    from: tallies,
    reads: { gateways, winners, shared },
    to: (tally, { gateways, winners, shared }) => {
      const ways = usableWays(gateways.get(tally.network) ?? []);
      const offer = winners.get(tally.service);
      if (offer === undefined) return [];
      const ports = portsBehind(tally, offer, shared);
      return sharesOf(tally, ways).map((share) => {
        const workload = coalesced(tally, share, offer.service.namespace, ports, mesh.trustDomain);
        return [workload.uid, workload] as const;
      });
    },
  });
}

/**
 * Those that take tunnels. The addresses of one Gateway that are of another kind than its first, as IPv6 beside IPv4,
 * are the same way again, which not every client can go.
 */
export function usableWays(all: readonly NetworkGateway[]): readonly NetworkGateway[] {
  const kinds = new Map<string, string>();
  return all.filter(({ hbonePort, gateway, host }) => {
    if (hbonePort === 0) return false;
    const kind = host.kind === "hostname" ? "hostname" : host.ip.includes(":") ? "ipv6" : "ipv4";
    if (!kinds.has(gateway)) kinds.set(gateway, kind);
    return kinds.get(gateway) === kind;
  });
}

/** What one gateway stands for. */
export interface Share {
  readonly way: NetworkGateway;
  readonly endpoints: number;
  readonly healthy: number;
  /**
   * What all of them share. istiod sends none, and so ranks a near network like a far one. It is safe: every preference
   * with a region begins with the network, and a match of that goes above all others (contract ztunnel.md 6.5). A part
   * that they do not share stays empty, and matches no client that has one.
   */
  readonly locality: Locality | undefined;
}

/** What each gateway stands for. */
function sharesOf({ clusters, service }: Tally, ways: readonly NetworkGateway[]): readonly Share[] {
  const parts = clusters.flatMap((tally) => dealt(tally, waysTo(tally.cluster, ways), service));
  return ways.flatMap((way) => {
    const own = parts.filter((part) => part.way === way);
    if (own.length === 0) return [];
    const endpoints = own.reduce((sum, { endpoints }) => sum + endpoints, 0);
    const healthy = own.reduce((sum, { healthy }) => sum + healthy, 0);
    return [{ way, endpoints, healthy, locality: commonLocality(own.map(({ locality }) => locality)) }];
  });
}

/**
 * The gateways that lead to a cluster: those that the local cluster has for it, or for the network as a whole; else its
 * own; else any, for another cluster's gateway may not know its endpoints.
 */
function waysTo(cluster: ClusterId, ways: readonly NetworkGateway[]): readonly NetworkGateway[] {
  const toIt = ways.filter((way) => way.toOneCluster && way.cluster === cluster);
  const choices = [
    toIt.filter(({ declared }) => declared),
    ways.filter(({ declared, toOneCluster }) => declared && !toOneCluster),
    toIt,
  ];
  return choices.find((choice) => choice.length > 0) ?? ways;
}

/** Deals endpoints to gateways evenly; who gets one more differs by service. One that gets none leads nowhere. */
export function dealt(tally: ClusterTally, ways: readonly NetworkGateway[], service: string): readonly Share[] {
  const first = ways.length === 0 ? 0 : checksum(service) % ways.length;
  return ways.flatMap((way, at) => {
    const turn = (at - first + ways.length) % ways.length;
    const dealtOf = (count: number): number => Math.floor((count + ways.length - 1 - turn) / ways.length);
    const endpoints = dealtOf(tally.endpoints);
    return endpoints === 0 ? [] : [{ way, endpoints, healthy: dealtOf(tally.healthy), locality: tally.locality }];
  });
}

function checksum(text: string): number {
  let sum = 0;
  for (let at = 0; at < text.length; at++) sum = (sum * 31 + text.charCodeAt(at)) >>> 0;
  return sum;
}

/** Those of a name that only some clusters offer are of these (contract peering.md 2.12); else those of the service. */
function portsBehind(
  { clusters }: Tally,
  { global, service }: Offer,
  shared: { get(key: ObjectKey): SharedService | undefined },
): readonly Port[] {
  if (global === undefined || global.kind === "local") return service.ports.map(withTarget);
  const declared = clusters.flatMap(({ cluster }) => {
    const kube = shared.get(objectKey(cluster, global.namespace, global.name))?.kube;
    return kube === undefined ? [] : servicePorts(kube.ports);
  });
  const ports = new Map(declared.map((port) => [port.servicePort, withTarget(port)]));
  return [...ports.values()].sort((a, b) => a.servicePort - b.servicePort);
}

function coalesced(
  { network, service }: Tally,
  share: Share,
  namespace: string,
  ports: readonly Port[],
  trustDomain: string,
): Workload {
  const { way, endpoints, healthy, locality } = share;
  const uid = coalescedUid(network, way.namespace, way.name, hostText(way.host), service);
  return {
    ...bareWorkload(uid, uid, namespace, way.cluster, way.trustDomain ?? trustDomain),
    // It is nobody's: telemetry is about the services behind it.
    canonicalName: "",
    canonicalRevision: "",
    workloadName: "",
    network,
    tunnel: "hbone",
    networkGateway: gatewayAddress(way),
    // The far side finds the target port; here it must be one.
    services: [{ service, ports }],
    // One that is not healthy stays, so that services that want those, too, have it, and it is back at once.
    healthy: healthy > 0,
    capacity: healthy > 0 ? healthy : endpoints,
    locality,
  };
}

const withTarget = ({ servicePort, targetPort }: Port): Port => ({
  servicePort,
  targetPort: targetPort || servicePort,
});
