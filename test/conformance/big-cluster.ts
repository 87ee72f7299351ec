import { ENDPOINT_SLICES, NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS, SERVICES } from "../../src/kube/resource-types.ts";
import type { Draft } from "./kube-client.ts";
import type { KubeCluster } from "./kube-lab.ts";

export interface Size {
  readonly pods: number;
  readonly services: number;
}

const NAMESPACE_COUNT = 50;
const PODS_PER_NODE = 100;
/** Writes under way at once. */
const LANES = 16;
const ACCOUNTS = ["default", "app"];
const ENV = Array.from({ length: 12 }, (_, at) => ({ name: `SETTING_${at}`, value: `value-${at}`.padEnd(40, "x") }));
const PORT = { name: "http", port: 80, protocol: "TCP", targetPort: 8080 };

/** A cluster with the objects of `size`, as large as they are in life: nodes, namespaces, services, slices and pods. */
export class BigCluster {
  readonly #cluster: KubeCluster;
  readonly #size: Size;

  private constructor(cluster: KubeCluster, size: Size) {
    this.#cluster = cluster;
    this.#size = size;
  }

  /** The API server takes 300 to 500 writes a second on two busy cores; there are two for each pod. */
  static async fill(cluster: KubeCluster, size: Size): Promise<BigCluster> {
    const big = new BigCluster(cluster, size);
    await big.#fill();
    return big;
  }

  /** Under which name clients know a pod. */
  uidOf(at: number): string {
    return `${this.#cluster.name}//Pod/${this.#namespaceOf(at)}/pod-${at}`;
  }

  /** Says of a pod whether it is ready, as its kubelet would. */
  async ready(at: number, ready: boolean): Promise<void> {
    const metadata = { name: `pod-${at}`, namespace: this.#namespaceOf(at) };
    await this.#cluster.client.merge(PODS, { metadata }, { status: { conditions: conditions(ready) } }, "/status");
  }

  async #fill(): Promise<void> {
    const { client } = this.#cluster;
    const { pods, services } = this.#size;
    const namespaces = Array.from({ length: NAMESPACE_COUNT }, (_, at) => `ns-${at}`);
    const labels = { "istio.io/dataplane-mode": "ambient" };
    await manyOf(NAMESPACE_COUNT, async (at) => {
      const namespace = namespaces[at]!;
      await client.create(NAMESPACES, { metadata: { name: namespace, labels } });
      for (const name of ACCOUNTS) await client.put(SERVICE_ACCOUNTS, { metadata: { name, namespace } });
    });
    await manyOf(Math.ceil(pods / PODS_PER_NODE), (at) => client.create(NODES, { metadata: { name: `node-${at}` } }));
    await manyOf(services, (at) => client.create(SERVICES, this.#service(at)));
    await manyOf(services, (at) => client.create(ENDPOINT_SLICES, this.#slice(at)));
    await manyOf(pods, async (at) => {
      const { status, ...pod } = this.#pod(at);
      await client.create(PODS, pod);
      await client.merge(PODS, pod, { status }, "/status");
    });
    await this.#ztunnel();
  }

  #namespaceOf(pod: number): string {
    return `ns-${(pod % this.#size.services) % NAMESPACE_COUNT}`;
  }

  #service(at: number): Draft {
    const metadata = { name: `app-${at}`, namespace: `ns-${at % NAMESPACE_COUNT}`, labels: { app: `app-${at}` } };
    const clusterIP = `10.${100 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}`;
    return { metadata, spec: { clusterIP, clusterIPs: [clusterIP], selector: { app: `app-${at}` }, ports: [PORT] } };
  }

  #slice(at: number): Draft {
    const namespace = `ns-${at % NAMESPACE_COUNT}`;
    const endpoints = [];
    for (let pod = at; pod < this.#size.pods; pod += this.#size.services)
      endpoints.push({
        addresses: [ipOf(pod)],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: nodeOf(pod),
        targetRef: { kind: "Pod", namespace, name: `pod-${pod}` },
      });
    const metadata = { name: `app-${at}-1`, namespace, labels: { "kubernetes.io/service-name": `app-${at}` } };
    return { metadata, addressType: "IPv4", ports: [{ name: "http", port: 8080, protocol: "TCP" }], endpoints };
  }

  #pod(at: number): Draft & { readonly status: unknown } {
    const app = `app-${at % this.#size.services}`;
    const ip = ipOf(at);
    const probe = { httpGet: { path: "/healthz", port: 8080 }, periodSeconds: 10, timeoutSeconds: 1 };
    return {
      metadata: {
        name: `pod-${at}`,
        namespace: this.#namespaceOf(at),
        labels: { app, version: "v1", "pod-template-hash": "6b9f8d7c5d" },
        annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": "9090" },
        ownerReferences: [replicaSet(`${app}-6b9f8d7c5d`)],
      },
      spec: {
        nodeName: nodeOf(at),
        serviceAccountName: "app",
        volumes: [{ name: "cache", emptyDir: {} }],
        tolerations: [{ key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute" }],
        containers: [
          {
            name: "app",
            image: `registry.example.com/team/${app}:1.42.0`,
            env: ENV,
            ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }],
            resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "256Mi" } },
            livenessProbe: probe,
            readinessProbe: probe,
            volumeMounts: [{ name: "cache", mountPath: "/var/cache" }],
          },
        ],
      },
      status: {
        phase: "Running",
        hostIP: `172.16.${(at >> 8) & 255}.1`,
        podIP: ip,
        podIPs: [{ ip }],
        conditions: conditions(true),
        containerStatuses: [
          {
            name: "app",
            ready: true,
            restartCount: 0,
            image: `registry.example.com/team/${app}:1.42.0`,
            imageID: `registry.example.com/team/${app}@sha256:${"0".repeat(64)}`,
            containerID: `containerd://${"1".repeat(64)}`,
          },
        ],
      },
    };
  }

  /** Whose token may read the mesh. */
  async #ztunnel(): Promise<void> {
    const { client } = this.#cluster;
    const namespace = "istio-system";
    await client.put(SERVICE_ACCOUNTS, { metadata: { name: "ztunnel", namespace } });
    const spec = { nodeName: "node-0", serviceAccountName: "ztunnel", containers: [{ name: "z", image: "z" }] };
    const status = { phase: "Running", podIP: "10.200.0.1", podIPs: [{ ip: "10.200.0.1" }] };
    await client.put(PODS, { metadata: { name: "ztunnel-0", namespace }, spec, status });
  }
}

const replicaSet = (name: string) => ({ apiVersion: "apps/v1", kind: "ReplicaSet", name, uid: name });
const ipOf = (pod: number): string => `10.${16 + (pod >> 16)}.${(pod >> 8) & 255}.${pod & 255}`;
const nodeOf = (pod: number): string => `node-${Math.floor(pod / PODS_PER_NODE)}`;

function conditions(ready: boolean): readonly unknown[] {
  const lastTransitionTime = "2026-01-01T00:00:00Z";
  const condition = (type: string, holds: boolean) => ({ type, status: holds ? "True" : "False", lastTransitionTime });
  return [
    condition("PodScheduled", true),
    condition("Initialized", true),
    condition("ContainersReady", ready),
    condition("Ready", ready),
  ];
}

async function manyOf(count: number, write: (at: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await write(next++);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}
