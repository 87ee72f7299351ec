import { networkGatewayUid, serviceName, type NetworkId, type ServiceName, type WorkloadUid } from "../../names.ts";
import { formatServiceAccountId, isPathSegment } from "../../spiffe.ts";
import type { GatewayAddress, GatewayHost } from "../model/address.ts";
import type { TunnelIdentity } from "../model/proxy-backend.ts";
import type { Service } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";

export interface GatewayHostReads {
  readonly services: { get(name: ServiceName): Service | undefined };
  readonly byService: { get(name: ServiceName): readonly Workload[] };
  readonly workloads: { get(uid: WorkloadUid): Workload | undefined };
}

/** One way into another network. */
export interface EnteredBy {
  readonly host: GatewayHost;
  readonly hbonePort: number;
  readonly identity: TunnelIdentity;
}

/** Where a network is entered, as ztunnel finds it; none if ztunnel would call the gateway unknown (contract ztunnel.md 6.4). */
export function gatewayHosts(
  { destination, hbonePort }: GatewayAddress,
  network: NetworkId,
  reads: GatewayHostReads,
): readonly EnteredBy[] {
  if (destination.kind === "address") {
    const { ip } = destination.address;
    return entered(gatewayWorkload(network, ip, hbonePort, reads), { kind: "ip", ip }, hbonePort);
  }
  const key = serviceName(destination.namespace, destination.hostname);
  const service = reads.services.get(key);
  if (service !== undefined) return nodesOf(key, hbonePort, reads.byService.get(key));
  const { hostname } = destination;
  return entered(gatewayWorkload(network, hostname, hbonePort, reads), { kind: "hostname", hostname }, hbonePort);
}

/** Those of other clusters are known by port 0 (contract ztunnel.md 2.9). */
const gatewayWorkload = (
  network: NetworkId,
  host: string,
  hbonePort: number,
  { workloads }: GatewayHostReads,
): Workload | undefined =>
  workloads.get(networkGatewayUid(network, host, hbonePort)) ?? workloads.get(networkGatewayUid(network, host, 0));

/** A service stands for them all: each takes a part of what goes there. */
function nodesOf(service: ServiceName, hbonePort: number, nodes: readonly Workload[]): readonly EnteredBy[] {
  return nodes.flatMap((node) => {
    const [ip] = node.addresses;
    const bound = node.services.find((binding) => binding.service === service)?.ports ?? [];
    const port = bound.find(({ servicePort }) => servicePort === hbonePort)?.targetPort;
    return ip === undefined || !port || !node.healthy ? [] : entered(node, { kind: "ip", ip }, port);
  });
}

function entered(workload: Workload | undefined, host: GatewayHost, hbonePort: number): readonly EnteredBy[] {
  const identity = workload && identityOf(workload);
  return identity === undefined ? [] : [{ host, hbonePort, identity }];
}

/** Undefined if nobody could prove to be it. */
export function identityOf(workload: Workload): TunnelIdentity | undefined {
  const { trustDomain, namespace } = workload;
  const serviceAccount = workload.serviceAccount || "default";
  if (!isPathSegment(serviceAccount)) return undefined;
  return { trustDomain, names: [formatServiceAccountId({ trustDomain, namespace, serviceAccount })] };
}
