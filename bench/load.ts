import { clusterId, podUid } from "../src/names.ts";
import { Graph } from "../src/registry/collection/graph.ts";
import { Controllers } from "../src/registry/embedded/controllers.ts";
import { ManifestSet } from "../src/registry/embedded/manifest-set.ts";
import type { KubeObject } from "../src/kube/object.ts";
import { Registry } from "../src/registry/registry.ts";
import { type Bench, cost, median, memoryInUse, type Report, timed } from "./bench.ts";

const PODS = 100_000;
const SERVICES = 5_000;
const NODES = 500;
const cluster = clusterId("east");

const text = (value: number, at: number): string => `10.${value + (at >> 16)}.${(at >> 8) & 255}.${at & 255}`;
const namespaceOf = (at: number): string => `shop-${(at % SERVICES) % 50}`;

/** As a watch would bring it: every pod is parsed from a text of its own, and shares nothing with another. */
const pod = (at: number, ready = true): KubeObject =>
  JSON.parse(
    JSON.stringify({
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: `app-${at % SERVICES}-7f9c4d-${at}`,
        namespace: namespaceOf(at),
        uid: `00000000-0000-4000-8000-${String(at).padStart(12, "0")}`,
        labels: { app: `app-${at % SERVICES}`, version: "v1", "pod-template-hash": "7f9c4d" },
        annotations: { "ambient.istio.io/redirection": "enabled" },
        generateName: `app-${at % SERVICES}-7f9c4d-`,
        ownerReferences: [{ kind: "ReplicaSet", name: `app-${at % SERVICES}-7f9c4d`, controller: true }],
      },
      spec: {
        nodeName: `node-${at % NODES}`,
        serviceAccountName: `app-${at % SERVICES}`,
        containers: [{ ports: [{ name: "http", containerPort: 8080 }] }],
      },
      status: {
        phase: "Running",
        podIPs: [{ ip: text(64, at) }],
        conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
      },
    }),
  ) as KubeObject;

const service = (at: number): KubeObject =>
  ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: `app-${at}`, namespace: namespaceOf(at) },
    spec: {
      clusterIP: text(96, at),
      selector: { app: `app-${at}` },
      ports: [{ name: "http", port: 80, targetPort: "http" }],
    },
  }) as unknown as KubeObject;

const node = (at: number): KubeObject => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: `node-${at}`, labels: { "topology.kubernetes.io/zone": `zone-${at % 3}` } },
});

/** What both sides must do. Objects come one by one, and are not kept. */
interface Mesh {
  set(object: KubeObject): void;
  settle(): void;
  /** As the mesh has it now. */
  isHealthy(at: number): boolean | undefined;
}

function registryMesh(): Mesh {
  const graph = new Graph();
  const mesh = { trustDomain: "cluster.local", rootNamespace: "istio-system", clusterDomain: "cluster.local" };
  const registry = new Registry(graph, { mesh, localCluster: cluster });
  const intake = registry.intake(cluster);
  return {
    set: (object) => intake.set(object, ""),
    settle: () => graph.flush(),
    isHealthy: (at) => registry.workloads.get(podUid(cluster, namespaceOf(at), pod(at).metadata.name))?.healthy,
  };
}

interface Bound {
  readonly hostname: string;
  readonly ports: readonly { readonly port: number; readonly targetPort: number | undefined }[];
}
interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly ip: string;
  readonly node: string;
  readonly zone: string;
  readonly serviceAccount: string;
  readonly app: string;
  readonly healthy: boolean;
  readonly meshed: boolean;
  readonly services: readonly Bound[];
}

/** Fields as they come, in three maps: no check, no selector but `app`, no policy, no waypoint, nothing that reacts. */
function handwrittenMesh(): Mesh {
  const zones = new Map<string, string>();
  const services = new Map<string, KubeObject>();
  const workloads = new Map<string, Workload>();
  const workloadOf = (object: KubeObject): Workload => {
    const { name, namespace = "", labels = {}, annotations = {} } = object.metadata;
    const spec = object["spec"] as { nodeName: string; serviceAccountName: string; containers: Container[] };
    const status = object["status"] as { podIPs: { ip: string }[]; conditions: { status: string }[] };
    const app = labels["app"] ?? "";
    const own = services.get(`${namespace}/${app}`);
    const ports = (own?.["spec"] as { ports: { port: number; targetPort: string }[] } | undefined)?.ports ?? [];
    const targets = ports.map(({ port, targetPort }) => {
      const container = spec.containers[0]?.ports.find((candidate) => candidate.name === targetPort);
      return { port, targetPort: container?.containerPort };
    });
    return {
      name,
      namespace,
      ip: status.podIPs[0]?.ip ?? "",
      node: spec.nodeName,
      zone: zones.get(spec.nodeName) ?? "",
      serviceAccount: spec.serviceAccountName,
      app,
      healthy: status.conditions[0]?.status === "True",
      meshed: annotations["ambient.istio.io/redirection"] === "enabled",
      services: own ? [{ hostname: `${app}.${namespace}.svc.cluster.local`, ports: targets }] : [],
    };
  };
  return {
    set(object) {
      const { name, namespace = "", labels = {} } = object.metadata;
      if (object.kind === "Node") zones.set(name, labels["topology.kubernetes.io/zone"] ?? "");
      else if (object.kind === "Service") services.set(`${namespace}/${name}`, object);
      else workloads.set(`${namespace}/${name}`, workloadOf(object));
    },
    settle() {},
    isHealthy: (at) => workloads.get(`${namespaceOf(at)}/${pod(at).metadata.name}`)?.healthy,
  };
}
interface Container {
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
}

interface Found {
  readonly loadMs: number;
  readonly changeUs: number;
  readonly bytesPerPod: number;
}
const CHANGES = 1_000;

function measure(make: () => Mesh): Found {
  const before = memoryInUse();
  const mesh = make();
  for (let at = 0; at < NODES; at++) mesh.set(node(at));
  for (let at = 0; at < SERVICES; at++) mesh.set(service(at));
  let loadMs = 0;
  // In slices, as pages of a list come, so that the raw objects are not what fills the memory.
  for (let at = 0; at < PODS; at += 5_000) {
    const page = Array.from({ length: 5_000 }, (_, offset) => pod(at + offset));
    loadMs += timed(() => page.forEach((object) => mesh.set(object)));
  }
  loadMs += timed(() => mesh.settle());
  const bytesPerPod = (memoryInUse() - before) / PODS;
  let [at, ready] = [0, true];
  const changeUs = median(5, () => {
    ready = !ready;
    const changes = Array.from({ length: CHANGES }, () => pod((at = (at + 7_919) % PODS), ready));
    const changeMs = timed(() => {
      for (const change of changes) {
        mesh.set(change);
        mesh.settle();
      }
    });
    if (mesh.isHealthy(at) !== ready) throw new Error(`pod ${at} is not as it was written last`);
    return (changeMs * 1_000) / CHANGES;
  });
  return { loadMs, changeUs, bytesPerPod };
}

/** One replica more among 10,000 pods of 100 manifests, against parsing the manifest that changed. */
function oneReplica(report: Report): void {
  const file = (at: number, replicas: number): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: d${at}, namespace: shop}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: d${at}}}
  template:
    metadata: {labels: {app: d${at}}}
    spec: {containers: [{name: app, ports: [{name: http, containerPort: 9080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: d${at}, namespace: shop}
spec: {selector: {app: d${at}}, ports: [{port: 80}]}
`;
  const ranges = { podCidr: "10.244.0.0/16", serviceCidr: "10.96.0.0/12", nodeCidr: "172.18.0.0/16", nodes: 2 };
  const controllers = new Controllers({ cluster, clusterDomain: "cluster.local", ...ranges }, {});
  const manifests = new ManifestSet(() => true);
  for (let at = 0; at < 100; at++) manifests.put(`d${at}.yaml`, file(at, 100));
  controllers.settle(manifests.declarations().objects);
  const alone = new ManifestSet(() => true);
  let replicas = 100;
  const limitMs = median(5, () => timed(() => alone.put("d7.yaml", file(7, ++replicas))));
  const changeMs = median(5, () =>
    timed(() => {
      manifests.put("d7.yaml", file(7, ++replicas));
      controllers.settle(manifests.declarations().objects);
    }),
  );
  report(cost("load.one-replica-of-10k-pods", changeMs, "ms", limitMs));
}

/** A cluster of 100,000 pods and 5,000 services through the whole registry, against maps written for just this. */
export const bench: Bench = {
  name: "load",
  async run(report: Report) {
    const limit = measure(handwrittenMesh);
    const ours = measure(registryMesh);
    report(cost("load.100k-pods", ours.loadMs, "ms", limit.loadMs));
    report(cost("load.one-pod-change", ours.changeUs, "us", limit.changeUs));
    report(cost("load.memory-per-pod", ours.bytesPerPod, "B", limit.bytesPerPod));
    oneReplica(report);
  },
};
