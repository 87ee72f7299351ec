import type { ResourceType } from "../../src/kube/api.ts";
import type { KubeMetadata } from "../../src/kube/object.ts";
import * as types from "../../src/kube/resource-types.ts";
import type { Draft } from "./kube-client.ts";
import type { KubeCluster } from "./kube-lab.ts";

/** One thing that happens to an object. */
export interface ObjectStep {
  readonly kind: string;
  readonly what: string;
  /** Whether it changes what ztunnels are told. */
  readonly shows: boolean;
  run(): Promise<unknown>;
}

interface Life {
  readonly type: ResourceType;
  /** As it comes, then as it is changed to, one after the other. */
  readonly states: readonly Draft[];
  /** For each state, and for its end; all true by default. */
  readonly shows?: readonly boolean[];
  /** True if it is another's, and does not go. */
  readonly stays?: boolean;
}

/**
 * The life of an object of every kind that is read: it comes, it changes, it goes. Objects that others need are there as
 * long as those, so the list is read from the outside in.
 */
export function objectSteps(cluster: KubeCluster): readonly ObjectStep[] {
  return nested(cluster, lives);
}

function nested(cluster: KubeCluster, [outer, ...inner]: readonly Life[]): readonly ObjectStep[] {
  if (outer === undefined) return [];
  const { type, states, shows = [], stays = false } = outer;
  const { kind } = type;
  const { name, namespace } = states[0]!.metadata;
  const put = (state: Draft, at: number): ObjectStep => ({
    kind,
    what: at === 0 ? "it comes" : `change ${at}`,
    shows: shows[at] ?? true,
    run: () => cluster.client.put(type, state),
  });
  const end: ObjectStep = {
    kind,
    what: "it goes",
    shows: shows[states.length] ?? true,
    run: () => cluster.client.delete(type, name, namespace),
  };
  return [...states.map(put), ...nested(cluster, inner), ...(stays ? [] : [end])];
}

const at = (name: string, more: Partial<KubeMetadata> = {}): KubeMetadata => ({ name, namespace: "annex", ...more });
const app = { app: "press" };
const ready = (podIP: string, status = "True") => ({
  phase: "Running",
  podIP,
  podIPs: [{ ip: podIP }],
  hostIP: "172.18.0.9",
  conditions: [{ type: "Ready", status }],
});
const podSpec = { nodeName: "harbour-9", serviceAccountName: "press", containers: [{ name: "press", image: "press" }] };
const ports = (...numbers: readonly number[]) => numbers.map((port) => ({ name: `p${port}`, port, protocol: "TCP" }));
const slice = (ready: boolean, ...addresses: readonly string[]) => ({
  addressType: "IPv4",
  ports: ports(8100),
  endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready } })),
});
const entry = (...addresses: readonly string[]) => ({
  hosts: ["ink.example"],
  addresses: ["240.9.9.9"],
  resolution: "STATIC",
  ports: [{ number: 80, name: "http", protocol: "HTTP" }],
  endpoints: addresses.map((address) => ({ address })),
});
const policy = (action: string, account: string) => ({
  selector: { matchLabels: app },
  action,
  rules: [{ from: [{ source: { principals: [`cluster.local/ns/annex/sa/${account}`] } }] }],
});
const zone = (name: string) => ({ "topology.kubernetes.io/region": "north", "topology.kubernetes.io/zone": name });
const waypointAddress = (value: string) => ({ addresses: [{ type: "IPAddress", value }] });
const gateway = { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15008, protocol: "HBONE" }] };

const lives: readonly Life[] = [
  // Empty, it is nothing to a ztunnel.
  { type: types.NAMESPACES, states: [{ metadata: { name: "annex" } }], shows: [false, false] },
  {
    type: types.SERVICE_ACCOUNTS,
    states: [{ metadata: at("press") }, { metadata: at("press", { labels: app }) }],
    shows: [false, false, false],
  },
  {
    type: types.PODS,
    states: [
      { metadata: at("press-1", { labels: app }), spec: podSpec },
      { metadata: at("press-1", { labels: app }), spec: podSpec, status: ready("10.244.90.1") },
      { metadata: at("press-1", { labels: app }), spec: podSpec, status: ready("10.244.90.1", "False") },
      { metadata: at("press-1", { labels: app }), spec: podSpec, status: ready("10.244.90.1") },
      {
        metadata: at("press-1", { labels: app, annotations: { "ambient.istio.io/redirection": "enabled" } }),
        spec: podSpec,
        status: ready("10.244.90.1"),
      },
    ],
    shows: [false],
  },
  {
    type: types.SERVICES,
    states: [
      { metadata: at("press"), spec: { clusterIP: "10.96.90.1", selector: app, ports: ports(80) } },
      { metadata: at("press"), spec: { clusterIP: "10.96.90.1", selector: app, ports: ports(80, 81) } },
      {
        metadata: at("press", { labels: { "istio.io/use-waypoint": "gate" } }),
        spec: { clusterIP: "10.96.90.1", selector: app, ports: ports(80, 81) },
      },
    ],
    shows: [true, true, false],
  },
  {
    type: types.SERVICES,
    states: [{ metadata: at("paper"), spec: { clusterIP: "10.96.90.2", ports: ports(8100) } }],
  },
  {
    type: types.ENDPOINT_SLICES,
    states: [
      { metadata: at("paper-1", { labels: { "kubernetes.io/service-name": "paper" } }), ...slice(true, "10.9.0.1") },
      {
        metadata: at("paper-1", { labels: { "kubernetes.io/service-name": "paper" } }),
        ...slice(true, "10.9.0.1", "10.9.0.2"),
      },
      { metadata: at("paper-1", { labels: { "kubernetes.io/service-name": "paper" } }), ...slice(true, "10.9.0.2") },
    ],
  },
  {
    type: types.SERVICE_ENTRIES,
    states: [
      { metadata: at("ink"), spec: entry("10.9.1.1") },
      { metadata: at("ink"), spec: entry("10.9.1.1", "10.9.1.2") },
    ],
  },
  {
    type: types.WORKLOAD_ENTRIES,
    states: [
      { metadata: at("mill"), spec: { address: "10.9.2.1", labels: app } },
      { metadata: at("mill"), spec: { address: "10.9.2.2", labels: app, serviceAccount: "press" } },
    ],
  },
  {
    type: types.GATEWAY_CLASSES,
    states: [
      { metadata: { name: "istio-waypoint" }, spec: { controllerName: "istio.io/mesh-controller" } },
      { metadata: { name: "istio-waypoint", labels: app }, spec: { controllerName: "istio.io/mesh-controller" } },
    ],
    shows: [false, false, false],
  },
  {
    type: types.GATEWAYS,
    states: [
      { metadata: at("gate"), spec: gateway, status: waypointAddress("10.96.90.7") },
      { metadata: at("gate"), spec: gateway, status: waypointAddress("10.96.90.8") },
    ],
  },
  {
    type: types.NAMESPACES,
    states: [
      { metadata: { name: "annex", labels: { "istio.io/use-waypoint": "gate" } } },
      { metadata: { name: "annex" } },
    ],
    stays: true,
  },
  {
    type: types.NODES,
    states: [
      { metadata: { name: "harbour-9", labels: zone("north-x") } },
      { metadata: { name: "harbour-9", labels: zone("north-y") } },
    ],
  },
  {
    type: types.AUTHORIZATION_POLICIES,
    states: [
      { metadata: at("press"), spec: policy("ALLOW", "editor") },
      { metadata: at("press"), spec: policy("DENY", "reader") },
    ],
  },
  {
    type: types.PEER_AUTHENTICATIONS,
    states: [
      { metadata: at("default"), spec: { mtls: { mode: "PERMISSIVE" } } },
      { metadata: at("default"), spec: { mtls: { mode: "STRICT" } } },
    ],
    shows: [false],
  },
  {
    type: types.SEGMENTS,
    states: [
      { metadata: at("default", { namespace: "istio-system" }), spec: { domain: "north.example" } },
      { metadata: at("default", { namespace: "istio-system" }), spec: { domain: "south.example" } },
    ],
    shows: [false, false, false],
  },
];
