import { clusterId, networkId, type ClusterId, type WorkloadUid } from "../../src/names.ts";
import type { KubeObject, ObjectReference } from "../../src/kube/object.ts";
import type { Service } from "../../src/registry/model/service.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import type { RegistryOptions } from "../../src/registry/options.ts";
import { object, pod, service, testMesh, type TestMesh } from "./mesh.ts";

export const GLOBAL = { labels: { "istio.io/global": "true" } };

/** Says which network a cluster is on. */
export const system = (network: string): KubeObject =>
  object("v1", "Namespace", {
    name: "istio-system",
    namespace: undefined,
    labels: { "topology.istio.io/network": network },
  });

const listener = { name: "mesh", port: 15_008, protocol: "HBONE", tls: { mode: "Terminate" } };

/** A cluster's own way into its network, at `ips`. */
export const eastWest = (
  network: string,
  ips: readonly string[],
  rest: object = {},
  metadata: object = {},
): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name: "eastwest", namespace: "istio-gateways", labels: { "topology.istio.io/network": network }, ...metadata },
    {
      spec: { gatewayClassName: "istio-east-west", listeners: [listener] },
      status: { addresses: ips.map((value) => ({ type: "IPAddress", value })) },
      ...rest,
    },
  );

/** A global service `cart`, at `ip`. */
export const cart = (ip: string, spec: object = {}, metadata: object = GLOBAL): KubeObject =>
  service("cart", ip, spec as Readonly<Record<string, unknown>>, metadata as Readonly<Record<string, unknown>>);

/** A pod of `cart`. */
export const cartPod = (name: string, ip: string, spec: object = {}): KubeObject =>
  pod(name, ip, { app: "cart" }, spec as Readonly<Record<string, unknown>>);

export const unready = (written: KubeObject): KubeObject =>
  ({ ...written, status: { ...(written["status"] as object), conditions: [] } }) as KubeObject;

export interface TestMeshes extends TestMesh {
  /** Writes objects of another cluster and settles. */
  readonly applyTo: (cluster: string, ...objects: readonly KubeObject[]) => void;
  readonly removeFrom: (cluster: string, ...objects: readonly ObjectReference[]) => void;
  readonly leave: (cluster: string) => void;
  readonly cart: () => Service | undefined;
  /** The workload with this uid, or why there is none. */
  readonly workload: (uid: string) => Workload | undefined;
  /** All that stand for endpoints on other networks. */
  readonly coalesced: () => readonly Workload[];
  readonly problems: () => readonly string[];
}

/** East is ours, on network `net1`. */
export function meshes(objects: readonly KubeObject[] = [], options: Partial<RegistryOptions> = {}): TestMeshes {
  const mesh = testMesh([system("net1"), ...objects], options);
  const { registry, graph } = mesh;
  const intakes = new Map<ClusterId, TestMesh["intake"]>();
  const intakeOf = (name: string): TestMesh["intake"] => {
    const cluster = clusterId(name);
    const known = intakes.get(cluster) ?? registry.intake(cluster);
    intakes.set(cluster, known);
    return known;
  };
  return {
    ...mesh,
    applyTo: (cluster, ...written) => {
      for (const each of written) intakeOf(cluster).set(each, "");
      graph.flush();
    },
    removeFrom: (cluster, ...gone) => {
      for (const each of gone) intakeOf(cluster).delete(each);
      graph.flush();
    },
    leave: (cluster) => {
      intakeOf(cluster).clear();
      graph.flush();
    },
    cart: () => [...registry.services.entries()].find(([key]) => key === "shop/cart.shop.svc.cluster.local")?.[1],
    workload: (uid) => registry.workloads.get(uid as WorkloadUid),
    coalesced: () =>
      [...registry.workloads.entries()]
        .map(([, workload]) => workload)
        .filter(({ uid }) => uid.includes("/SplitHorizonWorkload/"))
        .sort((a, b) => (a.uid < b.uid ? -1 : 1)),
    problems: () => [...registry.problems.entries()].map(([, { message }]) => message).sort(),
  };
}

/** Ours has `cart` with one pod; west on net2 has it with two, and a gateway. */
export function twoNetworks(options: Partial<RegistryOptions> = {}): TestMeshes {
  const both = meshes([cart("10.1.0.1"), cartPod("cart-e", "10.0.0.1")], options);
  both.applyTo(
    "west",
    system("net2"),
    eastWest("net2", ["192.0.2.1"]),
    cart("10.2.0.1"),
    cartPod("cart-1", "10.9.0.1"),
    cartPod("cart-2", "10.9.0.2"),
  );
  return both;
}

export const byAddress = (ip: string, network: string, hbonePort = 15_008) => ({
  destination: { kind: "address", address: { network: networkId(network), ip } },
  hbonePort,
});
