import { istio } from "../../../proto/gen/mesh.js";
import { MeshError } from "../../errors.ts";
import type { GatewayAddress, NetworkAddress, Port } from "../../registry/model/address.ts";
import type { LoadBalancing, LoadBalancingScope, Service } from "../../registry/model/service.ts";
import type { Workload } from "../../registry/model/workload.ts";
export { decodeWorkload } from "./decoded-workload.ts";
import { ADDRESS_TYPE, type Resource } from "../resource.ts";
import { toResource } from "../wire.ts";
import { checkPrefixLength, ipField } from "./ip-field.ts";

const wds = istio.workload;

/** What ztunnel takes an empty trust domain for; left out as istiod does (contract ztunnel.md 3.2, field 6). */
const DEFAULT_TRUST_DOMAIN = "cluster.local";

/**
 * A workload as ztunnel stores it, under its uid. Fields in one order and maps sorted: equal values give equal bytes.
 * @throws MeshError `invalid` for what ztunnel would reject (contract ztunnel.md 2.4 and 3.2), naming the field.
 */
export function encodeWorkload(workload: Workload): Resource {
  const message = wds.Address.encode({ workload: toWorkload(workload) });
  return toResource(ADDRESS_TYPE, workload.uid, message.finish());
}

/** A service as ztunnel stores it, under namespace and hostname. @throws MeshError `invalid`, naming the field. */
export function encodeService(service: Service): Resource {
  const message = wds.Address.encode({ service: toService(service) });
  return toResource(ADDRESS_TYPE, service.key, message.finish());
}

function toWorkload(workload: Workload): istio.workload.IWorkload {
  const services: Record<string, istio.workload.IPortList> = {};
  for (const { service, ports } of workload.services) {
    if (!service.includes("/")) throw new MeshError("invalid", `services has the key "${service}" without a namespace`);
    services[service] = { ports: ports.map((port) => toPort(port, `services.${service}`)) };
  }
  return {
    uid: workload.uid,
    name: workload.name,
    namespace: workload.namespace,
    addresses: workload.addresses.map((ip, at) => ipField(ip, `addresses[${at}]`)),
    hostname: workload.hostname,
    network: workload.network,
    tunnelProtocol: workload.tunnel === "hbone" ? wds.TunnelProtocol.HBONE : wds.TunnelProtocol.NONE,
    trustDomain: workload.trustDomain === DEFAULT_TRUST_DOMAIN ? "" : workload.trustDomain,
    serviceAccount: workload.serviceAccount,
    waypoint: toGateway(workload.waypoint, "waypoint"),
    networkGateway: toGateway(workload.networkGateway, "networkGateway"),
    node: workload.node,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    workloadType: wds.WorkloadType.POD,
    workloadName: workload.workloadName,
    nativeTunnel: workload.nativeTunnel,
    authorizationPolicies: [...workload.policies],
    status: workload.healthy ? wds.WorkloadStatus.HEALTHY : wds.WorkloadStatus.UNHEALTHY,
    clusterId: workload.cluster,
    networkMode: workload.hostNetwork ? wds.NetworkMode.HOST_NETWORK : wds.NetworkMode.STANDARD,
    services,
    ...toPlacement(workload),
  };
}

function toPlacement({ locality, applicationTunnel, capacity }: Workload): istio.workload.IWorkload {
  return {
    ...(locality && { locality: { ...locality } }),
    ...(applicationTunnel && {
      applicationTunnel: {
        protocol: applicationTunnel.protocol === "proxy" ? wds.ApplicationTunnel.Protocol.PROXY : 0,
        port: checkPort(applicationTunnel.port, "applicationTunnel.port"),
      },
    }),
    ...(capacity !== undefined && { capacity: { value: capacity } }),
  };
}

const FAMILIES = {
  automatic: wds.IPFamilies.AUTOMATIC,
  ipv4: wds.IPFamilies.IPV4_ONLY,
  ipv6: wds.IPFamilies.IPV6_ONLY,
  dual: wds.IPFamilies.DUAL,
} as const;

function toService(service: Service): istio.workload.IService {
  return {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    addresses: service.addresses.map((address, at) => toNetworkAddress(address, `addresses[${at}]`)),
    ports: service.ports.map((port, at) => toPort(port, `ports[${at}]`)),
    subjectAltNames: [...service.subjectAltNames],
    waypoint: toGateway(service.waypoint, "waypoint"),
    loadBalancing: service.loadBalancing === undefined ? null : toLoadBalancing(service.loadBalancing),
    ipFamilies: FAMILIES[service.ipFamilies],
    canonical: service.canonical,
  };
}

const MODES = {
  unspecified: wds.LoadBalancing.Mode.UNSPECIFIED_MODE,
  strict: wds.LoadBalancing.Mode.STRICT,
  failover: wds.LoadBalancing.Mode.FAILOVER,
  passthrough: wds.LoadBalancing.Mode.PASSTHROUGH,
} as const;

const SCOPES: Readonly<Record<LoadBalancingScope, number>> = {
  region: wds.LoadBalancing.Scope.REGION,
  zone: wds.LoadBalancing.Scope.ZONE,
  subzone: wds.LoadBalancing.Scope.SUBZONE,
  node: wds.LoadBalancing.Scope.NODE,
  cluster: wds.LoadBalancing.Scope.CLUSTER,
  network: wds.LoadBalancing.Scope.NETWORK,
};

function toLoadBalancing({ mode, preference, healthPolicy }: LoadBalancing): istio.workload.ILoadBalancing {
  return {
    mode: MODES[mode],
    routingPreference: preference.map((scope) => SCOPES[scope]),
    healthPolicy: healthPolicy === "allow-all" ? wds.LoadBalancing.HealthPolicy.ALLOW_ALL : 0,
  };
}

function toGateway(gateway: GatewayAddress | undefined, field: string): istio.workload.IGatewayAddress | null {
  if (gateway === undefined) return null;
  const { destination, hbonePort } = gateway;
  const hboneMtlsPort = checkPort(hbonePort, `${field}.hbonePort`);
  if (destination.kind === "address")
    return { address: toNetworkAddress(destination.address, `${field}.address`), hboneMtlsPort };
  return { hostname: { namespace: destination.namespace, hostname: destination.hostname }, hboneMtlsPort };
}

function toNetworkAddress(
  { network, ip, prefixLength }: NetworkAddress,
  field: string,
): istio.workload.INetworkAddress {
  const address = ipField(ip, field);
  if (prefixLength === undefined) return { network, address };
  return { network, address, length: checkPrefixLength(prefixLength, address, field) };
}

function toPort({ servicePort, targetPort }: Port, field: string): istio.workload.IPort {
  return {
    servicePort: checkPort(servicePort, `${field}.servicePort`),
    targetPort: checkPort(targetPort, `${field}.targetPort`),
  };
}

/** ztunnel cuts a port to 16 bits without a word (contract ztunnel.md 3.4). */
function checkPort(port: number, field: string): number {
  if (Number.isInteger(port) && port >= 0 && port <= 65535) return port;
  throw new MeshError("invalid", `${field} is ${port}; a port is 0 to 65535`);
}
