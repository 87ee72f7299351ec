import { serviceName, podUid, type ObjectKey, type ServiceName } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import type { Index } from "../collection/index-by.ts";
import { servesHere } from "../export-counts.ts";
import type { Pod } from "../kube/pod.ts";
import type { GatewayAddress } from "../model/address.ts";
import type { ProxyEndpoint, ProxyEndpoints } from "../model/proxy-backend.ts";
import type { ProxyGateway } from "../model/proxy-gateway.ts";
import type { Service } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";
import { HBONE_PORT } from "../network-gateways.ts";
import { grouped } from "./endpoint-groups.ts";
import { directWays, isWanted, plainEndpoints, targetOf, waysTo, type WayReads } from "./endpoint-ways.ts";
import type { GatewayInputs } from "./gateway-inputs.ts";
import type { NeededBackend } from "./needed-backends.ts";
import { sameEndpoints } from "./same-endpoints.ts";

export interface ProxyEndpointInputs extends Pick<GatewayInputs, "services" | "workloads" | "workloadsByService"> {
  readonly needed: Collection<string, NeededBackend>;
  readonly gateways: Collection<ObjectKey, ProxyGateway>;
  readonly pods: Index<ObjectKey, Pod>;
  /** By `network/ip`. */
  readonly servicesByAddress: Index<ServiceName, Service>;
}

/** Where each backend's connections go now. A change of an endpoint changes only the values that have it. */
export function proxyEndpoints(graph: Graph, inputs: ProxyEndpointInputs): Collection<string, ProxyEndpoints> {
  const { needed, gateways, pods, services, workloads, workloadsByService: byService, servicesByAddress } = inputs;
  return derive(graph, {
    name: "proxy-endpoints",
    distinct: true,
    equals: sameEndpoints,
    from: needed,
    reads: { gateways, pods, services, workloads, byService, byAddress: servicesByAddress },
    to: (need, reads, key): readonly (readonly [string, ProxyEndpoints])[] => {
      const gateway = reads.gateways.get(need.gateway);
      if (gateway === undefined) return [];
      return [[key, { gateway: need.gateway, name: need.name, groups: groupsOf(need, gateway, reads) }]];
    },
  });
}

interface Reads extends WayReads {
  readonly byAddress: { get(address: string): readonly Service[] };
}

function groupsOf(need: NeededBackend, gateway: ProxyGateway, reads: Reads): ProxyEndpoints["groups"] {
  const { target, port } = need;
  if (target.kind === "waypoint") return oneGroup(proxiesOf(target, gateway, reads));
  if (target.kind === "workload") {
    const workload = reads.workloads.get(target.uid);
    return workload === undefined ? [] : grouped(directWays(workload, port, gateway, reads), undefined, gateway);
  }
  const service = reads.services.get(need.service);
  if (service === undefined) return [];
  const all = reads.byService.get(service.key);
  if (target.kind === "ztunnels") return oneGroup(ztunnelsOf(all, service, port, gateway));
  const candidates = all.flatMap((workload) => waysTo(workload, service, port, gateway, reads));
  return grouped(candidates, service.loadBalancing, gateway);
}

const oneGroup = (endpoints: readonly ProxyEndpoint[]): ProxyEndpoints["groups"] =>
  endpoints.length === 0 ? [] : [endpoints];

/** The inner tunnel is the ztunnel's to open: only what has one can be called. */
const ztunnelsOf = (
  all: readonly Workload[],
  service: Service,
  port: number,
  { cluster, network }: ProxyGateway,
): readonly ProxyEndpoint[] =>
  all
    .filter((workload) => servesHere(workload, cluster, network) && isWanted(workload, service))
    .filter((workload) => workload.tunnel === "hbone" && targetOf(workload, service, port) !== 0)
    .flatMap((workload) => plainEndpoints.get(workload, HBONE_PORT));

/** Those of the service that its address is, as ztunnel finds them (contract ztunnel.md 6.2 no. 2); without one, its pods. */
function proxiesOf(
  { waypoint, address }: { readonly waypoint: ObjectKey; readonly address: GatewayAddress },
  { network }: ProxyGateway,
  reads: Reads,
): readonly ProxyEndpoint[] {
  const service = serviceAt(address, reads);
  if (service === undefined)
    return reads.pods
      .get(waypoint)
      .flatMap(({ cluster, namespace, name }) => reads.workloads.get(podUid(cluster, namespace, name)) ?? [])
      .filter(({ healthy }) => healthy)
      .flatMap((workload) => plainEndpoints.get(workload, address.hbonePort));
  return reads.byService
    .get(service.key)
    .filter((workload) => workload.network === network && isWanted(workload, service))
    .flatMap((workload) => {
      const port = targetOf(workload, service, address.hbonePort);
      return port === 0 ? [] : plainEndpoints.get(workload, port);
    });
}

function serviceAt({ destination }: GatewayAddress, { services, byAddress }: Reads): Service | undefined {
  if (destination.kind === "hostname") return services.get(serviceName(destination.namespace, destination.hostname));
  const { network, ip } = destination.address;
  return byAddress.get(`${network}/${ip}`)[0];
}
