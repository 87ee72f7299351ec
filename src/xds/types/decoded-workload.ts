import { istio } from "../../../proto/gen/mesh.js";
import { MeshError } from "../../errors.ts";
import { clusterId, hostname, isClusterId, networkId, type PolicyName, type ServiceName } from "../../names.ts";
import type { GatewayAddress, NetworkAddress, Port } from "../../registry/model/address.ts";
import type { ApplicationTunnel, ServiceBinding, Workload } from "../../registry/model/workload.ts";
import { isTrustDomain } from "../../spiffe.ts";
import * as check from "./field-checks.ts";
import { checkPrefixLength, ipText } from "./ip-field.ts";

const wds = istio.workload;

const LIMITS = { bytes: 256 * 1024, addresses: 16, services: 512, ports: 512, policies: 512, uid: 1024 } as const;
const TUNNELS = { none: wds.TunnelProtocol.NONE, hbone: wds.TunnelProtocol.HBONE } as const;
const STATUSES = { healthy: wds.WorkloadStatus.HEALTHY, unhealthy: wds.WorkloadStatus.UNHEALTHY } as const;
const NETWORK_MODES = { standard: wds.NetworkMode.STANDARD, host: wds.NetworkMode.HOST_NETWORK } as const;
const APPLICATION_TUNNELS = {
  none: wds.ApplicationTunnel.Protocol.NONE,
  proxy: wds.ApplicationTunnel.Protocol.PROXY,
} as const;

/**
 * A workload that a peer sent: what `encodeWorkload` wrote, with every size and count bounded. Whether the peer may say
 * it is for its reader to decide.
 * @throws MeshError `invalid` for anything but a workload, naming the field.
 */
export function decodeWorkload(body: Uint8Array): Workload {
  const message = check.decodeBounded("Address", body, LIMITS.bytes, () => wds.Address.decode(body)).workload;
  // One that was decoded has every field, with its default if it was absent.
  if (!(message instanceof wds.Workload))
    throw new MeshError("invalid", "the Address holds no workload; peers tell each other nothing else in WDS");
  const trustDomain = message.trustDomain === "" ? "cluster.local" : message.trustDomain;
  if (!isTrustDomain(trustDomain)) throw check.badField("trust_domain", trustDomain, "it is no trust domain");
  if (!isClusterId(message.clusterId))
    throw check.badField("cluster_id", message.clusterId, "it must be a name of a cluster");
  return {
    ...texts(message),
    uid: check.checkText(message.uid, "uid", LIMITS.uid) as Workload["uid"],
    cluster: clusterId(message.clusterId),
    network: networkId(check.checkSegmentOfKey(message.network, "network")),
    addresses: check.checkCount(message.addresses, "addresses", LIMITS.addresses).map(toIp),
    tunnel: check.nameOf(TUNNELS, message.tunnelProtocol, "tunnel_protocol"),
    nativeTunnel: message.nativeTunnel,
    trustDomain,
    healthy: check.nameOf(STATUSES, message.status, "status") === "healthy",
    hostNetwork: check.nameOf(NETWORK_MODES, message.networkMode, "network_mode") === "host",
    locality: toLocality(message.locality),
    services: toBindings(message.services),
    waypoint: toGateway(message.waypoint, "waypoint"),
    networkGateway: toGateway(message.networkGateway, "network_gateway"),
    applicationTunnel: toApplicationTunnel(message.applicationTunnel),
    policies: check
      .checkCount(message.authorizationPolicies, "authorization_policies", LIMITS.policies)
      .map((name, at) => check.checkText(name, `authorization_policies[${at}]`, LIMITS.uid) as PolicyName),
    capacity: message.capacity?.value ?? (message.capacity ? 0 : undefined),
  };
}

function texts(message: istio.workload.Workload) {
  return {
    name: check.checkText(message.name, "name"),
    namespace: check.checkText(message.namespace, "namespace"),
    hostname: check.checkText(message.hostname, "hostname"),
    serviceAccount: check.checkSegmentOfKey(message.serviceAccount, "service_account"),
    node: check.checkText(message.node, "node"),
    canonicalName: check.checkText(message.canonicalName, "canonical_name"),
    canonicalRevision: check.checkText(message.canonicalRevision, "canonical_revision"),
    workloadName: check.checkText(message.workloadName, "workload_name"),
  };
}

const toIp = (bytes: Uint8Array, at: number): string => ipOf(bytes, `addresses[${at}]`);

function ipOf(bytes: Uint8Array, field: string): string {
  const text = ipText(bytes);
  if (text === undefined) throw new MeshError("invalid", `${field} has ${bytes.length} bytes; an address has 4 or 16`);
  // ztunnel never matches an IPv4 address in 16 bytes (contract ztunnel.md pitfall 7).
  if (text.startsWith("::ffff:")) throw check.badField(field, text, "an IPv4 address is 4 bytes");
  return text;
}

function toLocality(locality: istio.workload.ILocality | null | undefined): Workload["locality"] {
  if (locality === null || locality === undefined) return undefined;
  return {
    region: check.checkText(locality.region ?? "", "locality.region"),
    zone: check.checkText(locality.zone ?? "", "locality.zone"),
    subzone: check.checkText(locality.subzone ?? "", "locality.subzone"),
  };
}

function toBindings(services: Readonly<Record<string, istio.workload.IPortList>>): readonly ServiceBinding[] {
  return check
    .checkCount(Object.entries(services), "services", LIMITS.services)
    .map(([service, list]) => {
      const field = `services.${check.checkText(service, "a key of services", LIMITS.uid)}`;
      if (!/^[^/]+\/[^/]+$/.test(service))
        throw check.badField("a key of services", service, "it is <namespace>/<host>");
      const ports = check.checkCount(list.ports ?? [], field, LIMITS.ports).map((port) => toPort(port, field));
      return { service: service as ServiceName, ports };
    })
    .sort((a, b) => (a.service < b.service ? -1 : 1));
}

function toPort({ servicePort, targetPort }: istio.workload.IPort, field: string): Port {
  return {
    servicePort: check.checkWhole(servicePort ?? 0, `${field}.service_port`, 1, 65535),
    targetPort: check.checkWhole(targetPort ?? 0, `${field}.target_port`, 0, 65535),
  };
}

function toGateway(
  gateway: istio.workload.IGatewayAddress | null | undefined,
  field: string,
): GatewayAddress | undefined {
  if (gateway === null || gateway === undefined) return undefined;
  const hbonePort = check.checkWhole(gateway.hboneMtlsPort ?? 0, `${field}.hbone_mtls_port`, 1, 65535);
  if (gateway.hostname !== null && gateway.hostname !== undefined) {
    const namespace = check.checkText(gateway.hostname.namespace ?? "", `${field}.hostname.namespace`);
    const host = check.checkText(gateway.hostname.hostname ?? "", `${field}.hostname.hostname`);
    return { destination: { kind: "hostname", namespace, hostname: hostname(host) }, hbonePort };
  }
  if (gateway.address === null || gateway.address === undefined)
    throw new MeshError("invalid", `${field} names neither an address nor a host`);
  return { destination: { kind: "address", address: toAddress(gateway.address, `${field}.address`) }, hbonePort };
}

function toAddress({ network, address, length }: istio.workload.INetworkAddress, field: string): NetworkAddress {
  const bytes = address ?? new Uint8Array();
  const at = { network: networkId(check.checkSegmentOfKey(network ?? "", `${field}.network`)), ip: ipOf(bytes, field) };
  if (length === null || length === undefined) return at;
  return { ...at, prefixLength: checkPrefixLength(length, bytes, field) };
}

function toApplicationTunnel(
  tunnel: istio.workload.IApplicationTunnel | null | undefined,
): ApplicationTunnel | undefined {
  if (tunnel === null || tunnel === undefined) return undefined;
  return {
    protocol: check.nameOf(APPLICATION_TUNNELS, tunnel.protocol ?? 0, "application_tunnel.protocol"),
    port: check.checkWhole(tunnel.port ?? 0, "application_tunnel.port", 0, 65535),
  };
}
