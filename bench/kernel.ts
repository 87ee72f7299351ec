import { Graph } from "../src/registry/collection/graph.ts";
import { Index } from "../src/registry/collection/index-by.ts";
import { derive } from "../src/registry/collection/derive.ts";
import { Source } from "../src/registry/collection/source.ts";
import { type Bench, cost, median, memoryInUse, type Report, timed } from "./bench.ts";

const PODS = 50_000;
const SERVICES = 5_000;
const NODES = 500;

interface Pod {
  readonly name: string;
  readonly app: string;
  readonly node: string;
  readonly address: string;
}
interface Service {
  readonly app: string;
  readonly host: string;
}
interface Workload {
  readonly name: string;
  readonly address: string;
  readonly zone: string;
  readonly hosts: readonly string[];
}

const pod = (i: number, address = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`): Pod => ({
  name: `pod-${i}`,
  app: `app-${i % SERVICES}`,
  node: `node-${i % NODES}`,
  address,
});
const service = (i: number): Service => ({ app: `app-${i}`, host: `svc-${i}.shop.svc.cluster.local` });
const workload = (of: Pod, zone: string, hosts: readonly string[]): Workload => ({
  name: of.name,
  address: of.address,
  zone,
  hosts,
});
const sameWorkload = (a: Workload, b: Workload) =>
  a.name === b.name &&
  a.address === b.address &&
  a.zone === b.zone &&
  a.hosts.length === b.hosts.length &&
  a.hosts.every((host, at) => host === b.hosts[at]);

/** What both sides must do. */
interface Mesh {
  load(pods: readonly Pod[]): void;
  change(pod: Pod): void;
  readonly size: number;
}

function graphMesh(): Mesh {
  const graph = new Graph();
  const same = () => false;
  const pods = new Source<string, Pod>(graph, "pods", same);
  const nodes = new Source<string, string>(graph, "nodes");
  const services = new Source<string, Service>(graph, "services", same);
  const byApp = new Index(graph, services, "app", (s) => [s.app]);
  const workloads = derive(graph, {
    name: "workloads",
    from: pods,
    reads: { services: byApp, nodes },
    to: (p, reads) => [
      [
        `c/${p.name}`,
        workload(
          p,
          reads.nodes.get(p.node) ?? "",
          reads.services.get(p.app).map((s) => s.host),
        ),
      ],
    ],
    equals: sameWorkload,
  });
  for (let i = 0; i < NODES; i++) nodes.set(`node-${i}`, `zone-${i % 3}`);
  for (let i = 0; i < SERVICES; i++) services.set(`svc-${i}`, service(i));
  graph.flush();
  return {
    load(list) {
      for (const p of list) pods.set(p.name, p);
      graph.flush();
    },
    change(p) {
      pods.set(p.name, p);
      graph.flush();
    },
    get size() {
      return workloads.size;
    },
  };
}

/** The same by hand: maps, and reverse maps so that a service or node finds its pods. */
function handwrittenMesh(): Mesh {
  const nodes = new Map<string, string>();
  const servicesByApp = new Map<string, Service[]>();
  const pods = new Map<string, Pod>();
  const podsByApp = new Map<string, Set<string>>();
  const podsByNode = new Map<string, Set<string>>();
  const workloads = new Map<string, Workload>();
  for (let i = 0; i < NODES; i++) nodes.set(`node-${i}`, `zone-${i % 3}`);
  for (let i = 0; i < SERVICES; i++) servicesByApp.set(`app-${i}`, [service(i)]);
  const move = (index: Map<string, Set<string>>, from: string | undefined, to: string, name: string) => {
    if (from === to) return;
    if (from !== undefined) index.get(from)?.delete(name);
    const members = index.get(to);
    if (members) members.add(name);
    else index.set(to, new Set([name]));
  };
  const change = (p: Pod) => {
    const before = pods.get(p.name);
    pods.set(p.name, p);
    move(podsByApp, before?.app, p.app, p.name);
    move(podsByNode, before?.node, p.node, p.name);
    const hosts = (servicesByApp.get(p.app) ?? []).map((s) => s.host);
    const next = workload(p, nodes.get(p.node) ?? "", hosts);
    const old = workloads.get(`c/${p.name}`);
    if (old === undefined || !sameWorkload(old, next)) workloads.set(`c/${p.name}`, next);
  };
  return {
    load: (list) => list.forEach(change),
    change,
    get size() {
      return workloads.size;
    },
  };
}

function measure(make: () => Mesh): { loadMs: number; changeUs: number; bytesPerOutput: number } {
  const list = Array.from({ length: PODS }, (_, i) => pod(i));
  make().load(list.slice(0, 2_000));
  const before = memoryInUse();
  const mesh = make();
  const loadMs = timed(() => mesh.load(list));
  const bytesPerOutput = (memoryInUse() - before) / mesh.size;
  let at = 0;
  const CHANGES = 2_000;
  const changeUs =
    (1000 / CHANGES) *
    median(5, () =>
      timed(() => {
        for (let i = 0; i < CHANGES; i++) mesh.change(pod((at = (at + 7919) % PODS), `10.9.${i & 255}.${at & 255}`));
      }),
    );
  return { loadMs, changeUs, bytesPerOutput };
}

/** One derived collection over 50,000 pods, against maps written for just this. */
export const bench: Bench = {
  name: "kernel",
  async run(report: Report) {
    const limit = measure(handwrittenMesh);
    const ours = measure(graphMesh);
    report(cost("kernel.load-50k-pods", ours.loadMs, "ms", limit.loadMs));
    report(cost("kernel.one-pod-change", ours.changeUs, "us", limit.changeUs));
    report(cost("kernel.memory-per-output", ours.bytesPerOutput, "B", limit.bytesPerOutput));
  },
};
