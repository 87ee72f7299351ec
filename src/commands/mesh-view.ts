import type { GatewayAddress, NetworkAddress } from "../registry/model/address.ts";
import type { Policy, PolicyMatch, StringMatch } from "../registry/model/policy.ts";
import type { LoadBalancing, Service } from "../registry/model/service.ts";
import type { Workload } from "../registry/model/workload.ts";

/*
 * Workloads, services and policies in the names of ztunnel's config_dump: what `/debug/ambientz` shows, our tables read,
 * and `istioctl ztunnel-config --file` understands.
 */

export interface GatewayView {
  /** `network/ip`, or `namespace/hostname`. */
  readonly destination: string;
  readonly hboneMtlsPort: number;
}

export interface WorkloadView {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly workloadIps: readonly string[];
  readonly hostname?: string;
  readonly protocol: "HBONE" | "TCP";
  readonly waypoint?: GatewayView;
  readonly node: string;
  readonly status: "Healthy" | "Unhealthy";
  readonly [more: string]: unknown;
}

export interface ServiceView {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  /** As `network/ip`. */
  readonly vips: readonly string[];
  readonly endpoints: Readonly<Record<string, EndpointView>>;
  readonly waypoint?: GatewayView;
  readonly [more: string]: unknown;
}

export interface EndpointView {
  readonly workloadUid: string;
  readonly service: string;
  /** Service port to target port. */
  readonly port: Readonly<Record<string, number>>;
  readonly status: "Healthy" | "Unhealthy";
}

export interface PolicyView {
  readonly name: string;
  readonly namespace: string;
  readonly scope: "Global" | "Namespace" | "WorkloadSelector";
  readonly action: "Allow" | "Deny";
  readonly [more: string]: unknown;
}

export function workloadView(workload: Workload): WorkloadView {
  const { waypoint, networkGateway, locality, applicationTunnel, hostname, capacity } = workload;
  return {
    uid: workload.uid,
    name: workload.name,
    namespace: workload.namespace,
    workloadIps: workload.addresses,
    ...(hostname !== "" && { hostname }),
    protocol: workload.tunnel === "hbone" ? "HBONE" : "TCP",
    ...(waypoint && { waypoint: gatewayView(waypoint) }),
    ...(networkGateway && { networkGateway: gatewayView(networkGateway) }),
    node: workload.node,
    network: workload.network,
    clusterId: workload.cluster,
    trustDomain: workload.trustDomain,
    serviceAccount: workload.serviceAccount || "default",
    workloadName: workload.workloadName,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    status: statusOf(workload),
    ...(workload.nativeTunnel && { nativeTunnel: true }),
    ...(workload.hostNetwork && { networkMode: "HostNetwork" }),
    ...(locality && { locality }),
    ...(applicationTunnel && {
      applicationTunnel: { ...applicationTunnel, protocol: applicationTunnel.protocol.toUpperCase() },
    }),
    capacity: capacity ?? 1,
    services: workload.services.map(({ service }) => service),
    authorizationPolicies: workload.policies,
  };
}

/** @param endpoints the workloads that are bound to it. */
export function serviceView(service: Service, endpoints: readonly Workload[]): ServiceView {
  const { waypoint, loadBalancing } = service;
  return {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    vips: service.addresses.map(addressText),
    ports: Object.fromEntries(service.ports.map(({ servicePort, targetPort }) => [servicePort, targetPort])),
    endpoints: Object.fromEntries(endpoints.map((workload) => [workload.uid, endpointView(service, workload)])),
    subjectAltNames: service.subjectAltNames,
    ...(waypoint && { waypoint: gatewayView(waypoint) }),
    ...(loadBalancing && { loadBalancer: loadBalancerView(loadBalancing) }),
    ...(service.ipFamilies !== "automatic" && { ipFamilies: IP_FAMILIES[service.ipFamilies] }),
    canonical: service.canonical,
  };
}

export function policyView(policy: Policy): PolicyView {
  const scopes = { global: "Global", namespace: "Namespace", selector: "WorkloadSelector" } as const;
  return {
    name: policy.name,
    namespace: policy.namespace,
    scope: scopes[policy.scope],
    action: policy.action === "allow" ? "Allow" : "Deny",
    rules: policy.rules.map(({ clauses }) => clauses.map(({ matches }) => matches.map(matchView))),
    ...(policy.dryRun && { dryRun: true }),
  };
}

export function endpointView({ key }: Service, workload: Workload): EndpointView {
  const ports = workload.services.find(({ service }) => service === key)?.ports ?? [];
  return {
    workloadUid: workload.uid,
    service: key,
    port: Object.fromEntries(ports.map(({ servicePort, targetPort }) => [servicePort, targetPort])),
    status: statusOf(workload),
  };
}

function matchView({ sourceIps, notSourceIps, destinationIps, notDestinationIps, ...match }: PolicyMatch): unknown {
  const ranges = { sourceIps, notSourceIps, destinationIps, notDestinationIps };
  const shown: Record<string, unknown> = {};
  for (const [kind, cidrs] of Object.entries(ranges))
    if (cidrs) shown[kind] = cidrs.map(({ ip, prefixLength }) => `${ip}/${prefixLength}`);
  for (const kind of ["namespaces", "notNamespaces", "principals", "notPrincipals"] as const)
    if (match[kind]) shown[kind] = match[kind].map(stringView);
  for (const kind of ["destinationPorts", "notDestinationPorts", "serviceAccounts", "notServiceAccounts"] as const)
    if (match[kind]) shown[kind] = match[kind];
  return shown;
}

function stringView(match: StringMatch): unknown {
  if (match.kind === "presence") return { Presence: {} };
  const kinds = { exact: "Exact", prefix: "Prefix", suffix: "Suffix" } as const;
  return { [kinds[match.kind]]: match.value };
}

function loadBalancerView({ mode, preference, healthPolicy }: LoadBalancing): unknown {
  return {
    mode: mode === "unspecified" ? "Standard" : pascalCase(mode),
    routingPreferences: preference.map(pascalCase),
    healthPolicy: pascalCase(healthPolicy),
  };
}

function gatewayView({ destination, hbonePort }: GatewayAddress): GatewayView {
  return {
    destination:
      destination.kind === "hostname"
        ? `${destination.namespace}/${destination.hostname}`
        : addressText(destination.address),
    hboneMtlsPort: hbonePort,
  };
}

const addressText = ({ network, ip, prefixLength }: NetworkAddress): string =>
  prefixLength === undefined ? `${network}/${ip}` : `${network}/${ip}/${prefixLength}`;

const IP_FAMILIES = { ipv4: "IPv4", ipv6: "IPv6", dual: "Dual" } as const;

const pascalCase = (text: string): string => text.replace(/(?:^|-)(.)/g, (_, first: string) => first.toUpperCase());

const statusOf = ({ healthy }: Workload) => (healthy ? "Healthy" : "Unhealthy");
