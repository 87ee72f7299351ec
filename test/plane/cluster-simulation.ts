import assert from "node:assert/strict";
import type { KubeObject } from "../../src/kube/object.ts";
import * as types from "../../src/kube/resource-types.ts";
import type { FakeApiServer } from "../kits/fake-api-server.ts";
import { authorization, pod, service, serviceEntry } from "../registry/mesh.ts";
import { seededRandom } from "../sim/world.ts";
import { fromScratch, KubernetesLab, type Life } from "./kubernetes-lab.ts";

/** How much happened: a world where nothing does proves nothing. */
export interface Tally {
  changes: number;
  faults: number;
  rotations: number;
  restarts: number;
  leaves: number;
}

const CLUSTERS = ["east", "west", "north"];
const REMOTE = ["west", "north"];
const STEPS = 60;
/** After the last fault: the longest back-off, and the look for kinds that are absent. */
const CALM_MS = 120_000;

/**
 * Three API servers, with faults that a seed picks, and a control plane that reads them all and restarts now and then.
 * Nothing of a cluster may go that its API server still has (contract operations.md 3.3, L1), and once the faults end all
 * must be as if it had been read only now (L3).
 */
export async function simulateClusters(seed: number): Promise<Tally> {
  const random = seededRandom(seed);
  const lab = new KubernetesLab(CLUSTERS, { seed });
  const tally: Tally = { changes: 0, faults: 0, rotations: 0, restarts: 0, leaves: 0 };
  const named = new Set(REMOTE);
  try {
    for (const cluster of REMOTE) lab.putSecret(cluster);
    for (const cluster of CLUSTERS) for (let at = 0; at < 10; at++) change(lab, cluster, random.below(1_000));
    let life = await watched(lab, named);
    for (let step = 0; step < STEPS; step++) {
      const cluster = random.pick(CLUSTERS);
      const what = random.below(20);
      if (what < 10) tally.changes += change(lab, cluster, random.below(1_000));
      else if (what < 15) tally.faults += fault(lab, cluster, random.below(9));
      else if (what < 17) tally.rotations += rotate(lab, random.pick(REMOTE), step, random.chance(0.3), named);
      else if (what === 17) tally.leaves += leave(lab, random.pick(REMOTE), named);
      else if (what === 18) heal(lab);
      else if (lab.server("east").faults.down || lab.server("east").faults.silent) heal(lab);
      else {
        tally.restarts += 1;
        await life.end();
        heal(lab, "east");
        for (const cluster of named) lab.putSecret(cluster);
        life = await watched(lab, named);
      }
      await lab.pass(random.below(20_000));
    }
    heal(lab);
    await lab.pass(CALM_MS);
    // The disk is real: what a cluster left there has to be gone before the cluster can come back.
    const synced = () => life.clusters.statuses().every(({ state }) => state === "synced");
    for (let waited = 0; !synced() && waited < 1_000; waited++) await lab.pass(1_000);
    assertSame(life, lab, ["east", ...REMOTE.filter((cluster) => named.has(cluster))]);
    return tally;
  } finally {
    await lab.close();
  }
}

/** Objects have names of their own for all time, so one that is gone and still at its server went wrongly. */
async function watched(lab: KubernetesLab, named: ReadonlySet<string>): Promise<Life> {
  const life = await lab.begin();
  for (const [collection, type] of [
    [life.registry.objects.pods, types.PODS],
    [life.registry.objects.services, types.SERVICES],
    [life.registry.objects.authorizationPolicies, types.AUTHORIZATION_POLICIES],
  ] as const)
    collection.observe((batch) => {
      for (const { key, before, after } of batch as Iterable<{ key: string; before: unknown; after: unknown }>) {
        const [cluster = "", namespace = "", name = ""] = key.split("/");
        if (before === undefined || after !== undefined || (cluster !== "east" && !named.has(cluster))) continue;
        assert.equal(lab.server(cluster).get(type, namespace, name), undefined, `${key} went, and is still there`);
      }
    });
  for (let waited = 0; !life.serves() && waited < 600; waited++) await lab.pass(100);
  assert.ok(life.serves(), `not ready: ${life.clusters.readiness()[0]!.check()}`);
  return life;
}

function change(lab: KubernetesLab, cluster: string, pick: number): number {
  const server = lab.server(cluster);
  const all = [types.PODS, types.SERVICES, types.AUTHORIZATION_POLICIES].flatMap((type) => server.list(type));
  const victim = all[pick % (2 * all.length + 1)];
  if (victim === undefined) server.put(fresh(server, pick));
  else if (pick % 3 === 0) server.remove(victim);
  else server.put({ ...victim, metadata: { ...victim.metadata, labels: { app: `app-${pick % 7}` } } });
  return 1;
}

function fresh(server: FakeApiServer, pick: number): KubeObject {
  const at = server.store.version;
  const name = `thing-${at}`;
  const ip = `10.${pick % 200}.${(at >> 8) & 255}.${at & 255}`;
  const labels = { "istio.io/global": "true" };
  switch (pick % 5) {
    case 0:
      return service(name, ip, { selector: { app: `app-${pick % 7}` } }, { labels });
    case 1:
      return authorization(name, {
        selector: { matchLabels: { app: `app-${pick % 7}` } },
        action: "DENY",
        rules: [{}],
      });
    case 2:
      return serviceEntry(name, { hosts: [`${name}.example.com`], ports: [{ number: 80, name: "http" }] });
    default:
      return pod(name, ip, { app: `app-${pick % 7}` });
  }
}

function fault(lab: KubernetesLab, cluster: string, which: number): number {
  const server = lab.server(cluster);
  if (which === 0) [server.faults.down] = [true, server.cutWatches()];
  else if (which === 1) server.faults.silent = true;
  else if (which === 2) server.faults.errorRate = 0.5;
  else if (which === 3) server.expireAll();
  else if (which === 4) server.cutWatches();
  else if (which === 5) server.blackHoleWatches(35_000);
  else if (which === 6) server.faults.failPage = 1;
  else if (which === 7) server.watchList = "ignored";
  else server.garble(types.PODS, { type: "ADDED", object: { kind: "Pod", metadata: {} } });
  return 1;
}

function heal(lab: KubernetesLab, only?: string): void {
  for (const [cluster, { faults }] of lab.servers) {
    if (only !== undefined && cluster !== only) continue;
    faults.down = faults.silent = false;
    faults.errorRate = 0;
    faults.failPage = undefined;
  }
}

function rotate(lab: KubernetesLab, cluster: string, step: number, spoiled: boolean, named: Set<string>): number {
  // Whether a cluster whose secret is broken is read depends on what was seen of it before.
  lab.putSecret(cluster, lab.kubeconfig(cluster, `token-${step}`, spoiled && named.has(cluster)));
  named.add(cluster);
  return 1;
}

function leave(lab: KubernetesLab, cluster: string, named: Set<string>): number {
  lab.removeSecret(cluster);
  named.delete(cluster);
  return 1;
}

function assertSame(life: Life, lab: KubernetesLab, clusters: readonly string[]): void {
  const oracle = fromScratch(lab, clusters);
  for (const what of ["workloads", "services", "policies"] as const)
    assert.deepEqual(
      new Map<string, unknown>(life.registry[what].entries()),
      new Map<string, unknown>(oracle[what].entries()),
      what,
    );
}
