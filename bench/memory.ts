import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { clusterId } from "../src/names.ts";
import { Graph } from "../src/registry/collection/graph.ts";
import type { KubeObject } from "../src/kube/object.ts";
import { Registry } from "../src/registry/registry.ts";
import { meshLogs } from "../src/xds/mesh-logs.ts";
import { type Bench, cost, memoryInUse, type Report } from "./bench.ts";

const WORKLOADS = 100_000;

/** What a workload costs from its pod to its bytes, and what a connected client costs. */
async function run(report: Report): Promise<void> {
  measureWorkloads(report);
  report(cost("memory.per-connection", await perConnection("ours"), "bytes", await perConnection("bare")));
}

function measureWorkloads(report: Report): void {
  const before = memoryInUse();
  const graph = new Graph();
  const mesh = { trustDomain: "cluster.local", rootNamespace: "istio-system", clusterDomain: "cluster.local" };
  const registry = new Registry(graph, { mesh, localCluster: clusterId("east") });
  const { logs } = meshLogs(graph, registry, () => {});
  const intake = registry.intake(clusterId("east"));
  for (let at = 0; at < WORKLOADS / 20; at += 1) intake.set(received(serviceObject(at)), "");
  for (let at = 0; at < WORKLOADS; at += 1) intake.set(received(podObject(at)), "");
  graph.flush();
  const used = memoryInUse() - before;
  let bytes = 0;
  for (const log of logs.values()) bytes += log.bytes;
  // Nothing can be less than the bytes that are sent.
  report(cost("memory.per-workload", used / WORKLOADS, "bytes", bytes / WORKLOADS));
  if (registry.workloads.size !== WORKLOADS) throw new Error(`${registry.workloads.size} workloads were made`);
}

/** As it comes off the wire: texts that hold nothing else alive. */
const received = (object: KubeObject): KubeObject => JSON.parse(JSON.stringify(object)) as KubeObject;

function serviceObject(at: number): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: `checkout-${at}`, namespace: `team-${at % 100}` },
    spec: {
      clusterIP: `10.96.${at >> 8}.${at & 255}`,
      selector: { app: `checkout-${at}` },
      ports: [{ port: 80, targetPort: 8080 }],
    },
  };
}

function podObject(at: number): KubeObject {
  const app = Math.floor(at / 20);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `checkout-${app}-7d4b9c6f5-${at.toString(36).padStart(5, "0")}`,
      generateName: `checkout-${app}-7d4b9c6f5-`,
      namespace: `team-${app % 100}`,
      uid: `0a7b1f50-0000-4000-8000-${at.toString(16).padStart(12, "0")}`,
      labels: { app: `checkout-${app}`, "pod-template-hash": "7d4b9c6f5", version: "v1" },
      annotations: { "ambient.istio.io/redirection": "enabled" },
      ownerReferences: [{ kind: "ReplicaSet", name: `checkout-${app}-7d4b9c6f5`, controller: true }],
    },
    spec: { nodeName: `node-${at % 500}.eu-central-1.compute.internal`, serviceAccountName: `checkout-${app % 50}` },
    status: {
      phase: "Running",
      podIPs: [{ ip: `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}` }],
      conditions: [{ type: "Ready", status: "True" }],
    },
  };
}

/** Resident bytes for each connection that has its mesh and idles, measured in a process of its own. */
async function perConnection(whose: "ours" | "bare"): Promise<number> {
  const child = fork(join(import.meta.dirname, "connection-memory.js"), [whose], { execArgv: ["--expose-gc"] });
  const [bytes] = (await once(child, "message")) as [number];
  child.kill("SIGKILL");
  return bytes;
}

export const bench: Bench = { name: "memory", run };
