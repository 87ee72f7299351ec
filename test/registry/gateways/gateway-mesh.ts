import assert from "node:assert/strict";
import { clusterId, type ServiceName } from "../../../src/names.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import { Source } from "../../../src/registry/collection/source.ts";
import type { HostSettings } from "../../../src/registry/gateways/backend-settings.ts";
import { proxyConfigs, type ProxyConfigs } from "../../../src/registry/gateways/proxy-configs.ts";
import type { HttpRule } from "../../../src/registry/model/http-rule.ts";
import { federatedKey, type FederatedService } from "../../../src/registry/model/federated-service.ts";
import type { ClusterFacts } from "../../../src/registry/model/peer.ts";
import type { BackendName, EndpointWay, ProxyEndpoint } from "../../../src/registry/model/proxy-backend.ts";
import type { ProxyService } from "../../../src/registry/model/proxy-service.ts";
import type { RegistryOptions } from "../../../src/registry/options.ts";
import type { ProxyCollections } from "../../../src/xds/envoy/proxy-collections.ts";
import { object, pod, service, testMesh, type TestMesh } from "../mesh.ts";
import { facts, peerGateway, status } from "../peers.ts";
import { system } from "../two-networks.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface GatewayMesh extends TestMesh {
  readonly configs: ProxyConfigs & ProxyCollections;
  readonly rules: Source<BackendName, readonly HttpRule[]>;
  readonly settings: Source<ServiceName, HostSettings>;
  readonly intakeOf: (cluster: string) => TestMesh["intake"];
  /** Writes objects of another cluster and settles. */
  readonly applyTo: (cluster: string, ...objects: readonly KubeObject[]) => void;
  /** Links to a peer that says this of itself, and shares these. */
  readonly hear: (cluster: string, said: Partial<ClusterFacts>, ...records: readonly FederatedService[]) => void;
  /** As a gateway of ours serves it; the waypoint `shop/w` unless told otherwise. */
  readonly served: (service: string, gateway?: string) => ProxyService | undefined;
  /** Where a backend's connections go. */
  readonly groups: (backend: string, gateway?: string) => readonly (readonly ProxyEndpoint[])[];
  /** The same, as `ip:port weight`, with what is said to whom before it for tunnels. */
  readonly ends: (backend: string, gateway?: string) => readonly (readonly string[])[];
}

export const WAYPOINT = "east/shop/w";
export const EAST_WEST = "east/istio-eastwest/istio-eastwest";
export const USE = { labels: { "istio.io/use-waypoint": "w" } };
export const AMBIENT = { "ambient.istio.io/redirection": "enabled" };

/** East is ours, on network `net1`, with proxies for its Gateways. */
export function gatewayMesh(objects: readonly KubeObject[], options: Partial<RegistryOptions> = {}): GatewayMesh {
  const mesh = testMesh([], { peeringDiscovery: true, ...options });
  const { registry, graph } = mesh;
  const rules = new Source<BackendName, readonly HttpRule[]>(graph, "rules");
  const settings = new Source<ServiceName, HostSettings>(graph, "settings");
  const routes = { ...registry.routes, rules, settings };
  const configs = proxyConfigs(graph, { ...registry.gatewayInputs, routes });
  mesh.apply(system("net1"), ...objects);
  const intakes = new Map<string, TestMesh["intake"]>();
  const intakeOf = (cluster: string) => {
    const known = intakes.get(cluster) ?? registry.intake(clusterId(cluster));
    intakes.set(cluster, known);
    return known;
  };
  const groups = (backend: string, gateway = WAYPOINT) => {
    const found = configs.endpoints.get(`${gateway} ${backend}`);
    assert(found, `${gateway} has no backend ${backend}`);
    return found.groups;
  };
  return {
    ...mesh,
    configs,
    rules,
    settings,
    intakeOf,
    applyTo: (cluster, ...written) => {
      for (const each of written) intakeOf(cluster).set(each, "");
      graph.flush();
    },
    hear: (cluster, said, ...records) => {
      mesh.intake.set(peerGateway(cluster), "");
      registry.peers.facts.set(clusterId(cluster), facts(cluster, said));
      registry.peers.statuses.set(clusterId(cluster), status(cluster));
      for (const record of records) registry.peers.federated.set(federatedKey(record), record);
      graph.flush();
    },
    served: (name, gateway = WAYPOINT) => configs.services.get(`${gateway} ${name as ServiceName}`),
    groups,
    ends: (backend, gateway) =>
      groups(backend, gateway).map((group) => group.map(({ way, weight }) => `${endOf(way)} ${weight}`)),
  };
}

function endOf(way: EndpointWay): string {
  if (way.kind === "plain") return `${way.ip}:${way.port}`;
  if (way.kind === "named") return `${way.hostname}:${way.port}`;
  if (way.kind === "tunnel") return `${way.authority} in ${way.ip}:${way.hbonePort}`;
  const host = way.gateway.kind === "ip" ? way.gateway.ip : way.gateway.hostname;
  return `${way.authority} through ${host}:${way.hbonePort}`;
}

/** The waypoint `w` of `shop`, at 10.1.0.9. */
export const waypoint = (metadata: Fields = {}, parts: Fields = {}): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name: "w", ...metadata },
    {
      spec: {
        gatewayClassName: "istio-waypoint",
        listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
      },
      status: { addresses: [{ type: "IPAddress", value: "10.1.0.9" }] },
      ...parts,
    },
  );

/** The Service that the controller makes for it. */
export const waypointService = service(
  "w",
  "10.1.0.9",
  { selector: { "gateway.networking.k8s.io/gateway-name": "w" }, ports: [{ name: "mesh", port: 15_008 }] },
  { labels: { "gateway.istio.io/managed": "istio.io-mesh-controller" } },
);

export const waypointPod = (name: string, ip: string, spec: Fields = {}): KubeObject =>
  pod(name, ip, { "gateway.networking.k8s.io/gateway-name": "w" }, { serviceAccountName: "w", ...spec });

/** A pod of `cart` whose node's ztunnel takes its traffic. */
export const ambientPod = (name: string, ip: string, spec: Fields = {}): KubeObject =>
  pod(name, ip, { app: "cart" }, { serviceAccountName: "cart", ...spec }, { annotations: AMBIENT });

export const node = (name: string, region: string, zone: string): KubeObject =>
  object("v1", "Node", {
    name,
    namespace: undefined,
    labels: { "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone },
  });
