import { clusterId, networkId, objectKey, type ServiceName } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { federatedKey, type FederatedService } from "../../src/registry/model/federated-service.ts";
import type { ClusterFacts, PeerStatus } from "../../src/registry/model/peer.ts";
import type { Service } from "../../src/registry/model/service.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import type { RegistryOptions } from "../../src/registry/options.ts";
import { object } from "./mesh.ts";
import { meshes, type TestMeshes } from "./two-networks.ts";

const XDS = { name: "xds", port: 15_012, protocol: "TLS", tls: { mode: "Passthrough" } };
export const HBONE = { name: "hbone", port: 15_008, protocol: "HBONE" };

export interface PeerGatewayWords {
  readonly network?: string;
  readonly addresses?: readonly string[];
  readonly listeners?: readonly object[];
  readonly labels?: object;
  readonly annotations?: object;
}

/** The Gateway by which the local cluster names the peer `cluster`. */
export const peerGateway = (cluster: string, words: PeerGatewayWords = {}): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    {
      name: `istio-remote-peer-${cluster}`,
      namespace: "istio-eastwest",
      labels: {
        "topology.istio.io/network": words.network ?? `net-${cluster}`,
        "topology.istio.io/cluster": cluster,
        ...words.labels,
      },
      annotations: words.annotations ?? {},
    },
    {
      spec: {
        gatewayClassName: "istio-remote",
        addresses: (words.addresses ?? ["192.0.2.1"]).map((value) => ({
          type: /[a-z]/.test(value) ? "Hostname" : "IPAddress",
          value,
        })),
        listeners: words.listeners ?? [XDS],
      },
    },
  );

export const facts = (cluster: string, said: Partial<ClusterFacts> = {}): ClusterFacts => ({
  cluster: clusterId(cluster),
  network: networkId(`net-${cluster}`),
  trustDomain: "cluster.local",
  segment: "",
  domain: "mesh.internal",
  aliasesDigest: "",
  doors: [],
  version: "1",
  features: [],
  roots: [],
  ...said,
});

/** `cart` of `shop`, as its cluster shares it: three of four endpoints are ready. */
export const federated = (cluster: string, said: Partial<FederatedService> = {}): FederatedService => ({
  cluster: clusterId(cluster),
  namespace: "shop",
  name: "cart",
  scope: "global",
  segment: "",
  ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 8080 }],
  ready: 3,
  total: 4,
  identities: ["spiffe://cluster.local/ns/shop/sa/cart"],
  localities: [],
  waypoint: undefined,
  waypointPolicy: "once",
  takeover: false,
  distribution: undefined,
  labels: [],
  annotations: [],
  createdMs: 1_000,
  ...said,
});

export const status = (cluster: string, said: Partial<PeerStatus> = {}): PeerStatus => ({
  cluster: clusterId(cluster),
  state: "live",
  everSynced: true,
  reason: undefined,
  message: "",
  lastError: undefined,
  sinceMs: 0,
  dataPlane: "open",
  staleness: "fresh",
  ...said,
});

export interface PeeredMesh extends TestMeshes {
  /** Writes what a peer says, and settles. */
  readonly hear: (...records: readonly FederatedService[]) => void;
  readonly unhear: (record: FederatedService) => void;
  readonly learn: (...said: readonly ClusterFacts[]) => void;
  readonly report: (said: PeerStatus) => void;
  readonly service: (name: string) => Service | undefined;
  /** What stands for the endpoints of peers, in order of their names. */
  readonly aggregates: () => readonly Workload[];
  /** The endpoints of a service that clients know, by uid. */
  readonly endpoints: (name: string) => readonly Workload[];
}

export const CART = "shop/cart.shop.mesh.internal";
export const LOCAL_CART = "shop/cart.shop.svc.cluster.local";

/** East is ours, on network `net1`, and links to each of `peers`, who have said what they are. */
export function peered(
  peers: readonly string[] = ["west"],
  objects: readonly KubeObject[] = [],
  options: Partial<RegistryOptions> = {},
): PeeredMesh {
  const gateways = peers.map((peer, at) => peerGateway(peer, { addresses: [`192.0.2.${at + 1}`] }));
  const mesh = meshes([...gateways, ...objects], { peeringDiscovery: true, ...options });
  const { registry, graph } = mesh;
  const settled =
    <A extends readonly unknown[]>(write: (...all: A) => void) =>
    (...all: A): void => {
      write(...all);
      graph.flush();
    };
  for (const peer of peers) {
    registry.peers.facts.set(clusterId(peer), facts(peer));
    registry.peers.statuses.set(clusterId(peer), status(peer));
  }
  graph.flush();
  const uids = (a: Workload, b: Workload): number => (a.uid < b.uid ? -1 : 1);
  return {
    ...mesh,
    hear: settled((...records) => {
      for (const record of records) registry.peers.federated.set(federatedKey(record), record);
    }),
    unhear: settled((record) => registry.peers.federated.delete(federatedKey(record))),
    learn: settled((...said) => {
      for (const each of said) registry.peers.facts.set(each.cluster, each);
    }),
    report: settled((said) => registry.peers.statuses.set(said.cluster, said)),
    service: (name) => registry.services.get(name as ServiceName),
    aggregates: () =>
      [...registry.workloads.entries()]
        .map(([, workload]) => workload)
        .filter(({ name }) => name.startsWith("autogen."))
        .sort(uids),
    endpoints: (name) => [...registry.workloadsByService.get(name)].sort(uids),
  };
}

export const recordKey = (cluster: string, name = "cart") => objectKey(clusterId(cluster), "shop", name);
