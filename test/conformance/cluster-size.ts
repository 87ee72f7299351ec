import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { ADDRESS_TYPE } from "../../src/xds/resource.ts";
import { BigCluster, type Size } from "./big-cluster.ts";
import { type Causeway, eventually } from "./causeway-process.ts";
import type { KubeCluster, KubeLab } from "./kube-lab.ts";
import { MeshWatcher } from "./mesh-watcher.ts";
import type { RawList } from "./raw-list.ts";

const run = promisify(execFile);
const rawList = join(import.meta.dirname, "raw-list.js");
/** Starts and raw lists take turns, as the machine may be busy with something else. */
const ROUNDS = 3;
const SETTLED_MS = 30_000;
const RAW_MS = 120_000;

/** What a cluster of some size costs a Causeway; times in milliseconds, memory in MiB. */
export interface ClusterCost {
  /** How long it took to write the cluster. */
  readonly fillMs: number;
  /** From the start of the process until it is ready, before there was anything in the cluster. */
  readonly emptyMs: number;
  /** And with all in it: the middle of some. */
  readonly readyMs: number;
  /** Of a process that lists and parses the same and does nothing else: from its start to its end, and without Node's own. */
  readonly raw: { readonly processMs: number; readonly listMs: number; readonly objects: number; readonly MiB: number };
  readonly resources: number;
  readonly rssMiB: number;
  readonly change: ChangeCost;
}

/** While pods become ready and unready. */
export interface ChangeCost {
  readonly perSecond: number;
  /** Of one core. */
  readonly cpuPercent: number;
  readonly rssMiB: number;
  /** From the answer of the API server to a client of Causeway that has the change. */
  readonly lagMs: { readonly middle: number; readonly p99: number; readonly most: number };
}

/** Fills a cluster, starts Causeways on it, and lets pods of it change for `changeS` seconds, `perSecond` in each. */
export async function clusterCost(
  lab: KubeLab,
  size: Size,
  { changeS, perSecond }: { readonly changeS: number; readonly perSecond: number },
): Promise<ClusterCost> {
  const cluster = await lab.cluster();
  const kubeconfig = await cluster.kubeconfigFor("istiod");
  // The first one also waits for the disk, and for an API server that still opens the storage of custom resources.
  await (await lab.causeway({ kubeconfig })).stop();
  let plane = await lab.causeway({ kubeconfig });
  const emptyMs = plane.readyMs;
  const startedAt = performance.now();
  const big = await BigCluster.fill(cluster, size);
  const fillMs = performance.now() - startedAt;
  const ready: number[] = [];
  const raws: (RawList & { readonly processMs: number })[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await plane.stop();
    raws.push(await rawListOf(lab, cluster));
    plane = await lab.causeway({ kubeconfig });
    ready.push(plane.readyMs);
  }
  const { [ADDRESS_TYPE]: addresses } = await plane.debug<Record<string, { resources: number }>>("digestz");
  const { objects, bytes } = raws[0]!;
  const raw = {
    processMs: middle(raws.map(({ processMs }) => processMs)),
    listMs: middle(raws.map(({ ms }) => ms)),
    objects,
    MiB: bytes / 2 ** 20,
  };
  const rssMiB = plane.rssMiB;
  const watcher = lab.with(await MeshWatcher.start(plane, await cluster.ztunnelToken()));
  const change = await changeCost(plane, big, watcher, { pods: size.pods, changeS, perSecond });
  return { fillMs, emptyMs, readyMs: middle(ready), raw, resources: addresses!.resources, rssMiB, change };
}

/** The numbers, a line each. */
export function costLines({
  fillMs,
  emptyMs,
  readyMs,
  raw,
  resources,
  rssMiB,
  change,
}: ClusterCost): readonly string[] {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
  const { lagMs, perSecond, cpuPercent } = change;
  return [
    `${raw.objects} objects, ${raw.MiB.toFixed(0)} MiB of JSON, written in ${seconds(fillMs)}; ${resources} addresses served`,
    `ready after ${seconds(readyMs)}, ${seconds(emptyMs)} on an empty cluster; the raw list and JSON.parse take ${seconds(raw.listMs)}, their process ` +
      `${seconds(raw.processMs)}: ratio ${(readyMs / raw.listMs).toFixed(2)}, of processes ${(readyMs / raw.processMs).toFixed(2)}`,
    `RSS ${rssMiB.toFixed(0)} MiB when ready, ${change.rssMiB.toFixed(0)} MiB after the changes`,
    `${perSecond.toFixed(1)} pod changes a second: ${cpuPercent.toFixed(1)} % of a core; a client has each after ` +
      `${lagMs.middle.toFixed(0)} ms (p99 ${lagMs.p99.toFixed(0)}, most ${lagMs.most.toFixed(0)})`,
  ];
}

async function rawListOf(lab: KubeLab, cluster: KubeCluster): Promise<RawList & { readonly processMs: number }> {
  const { token } = await cluster.secretToken("istiod");
  const path = join(lab.folder, "raw-list.json");
  writeFileSync(path, JSON.stringify({ ...cluster.api.admin, token }), { mode: 0o600 });
  const startedAt = performance.now();
  const { stdout } = await run(process.execPath, [rawList, path], { timeout: RAW_MS });
  return { ...(JSON.parse(stdout) as RawList), processMs: performance.now() - startedAt };
}

async function changeCost(
  plane: Causeway,
  big: BigCluster,
  watcher: MeshWatcher,
  { pods, changeS, perSecond }: { readonly pods: number; readonly changeS: number; readonly perSecond: number },
): Promise<ChangeCost> {
  const count = changeS * perSecond;
  // No pod twice, and the whole cluster over.
  const podOf = (at: number): number => Math.floor((at * pods) / count);
  const writtenAt = new Map<string, number>();
  const [startedAt, cpuMs] = [performance.now(), plane.cpuMs];
  const writes: Promise<void>[] = [];
  for (let at = 0; at < count; at += 1) {
    const delayMs = startedAt + (at * 1000) / perSecond - performance.now();
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    const uid = big.uidOf(podOf(at));
    writes.push(big.ready(podOf(at), false).then(() => void writtenAt.set(uid, performance.now())));
  }
  await Promise.all(writes);
  const elapsedMs = performance.now() - startedAt;
  const cpuPercent = (100 * (plane.cpuMs - cpuMs)) / elapsedMs;
  const cameAt = new Map<string, number>();
  await eventually("a client has every change", SETTLED_MS, () => {
    for (const { atMs, changed } of watcher.steps)
      for (const name of changed) if (!cameAt.has(name)) cameAt.set(name, atMs);
    return [...writtenAt.keys()].every((uid) => cameAt.has(uid));
  });
  // A watch may tell before the answer to the write is here.
  const lags = [...writtenAt].map(([uid, atMs]) => Math.max(0, cameAt.get(uid)! - atMs)).sort((a, b) => a - b);
  const at = (part: number): number => lags[Math.min(lags.length - 1, Math.floor(lags.length * part))]!;
  return {
    perSecond: (1000 * count) / elapsedMs,
    cpuPercent,
    rssMiB: plane.rssMiB,
    lagMs: { middle: at(0.5), p99: at(0.99), most: lags.at(-1)! },
  };
}

const middle = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
