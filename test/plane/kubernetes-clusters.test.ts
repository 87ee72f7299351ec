import assert from "node:assert/strict";
import { afterEach, test } from "mocha";
import { clusterId } from "../../src/names.ts";
import { jwt, statusOf } from "../ca/reviewed-tokens.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { authorization, object, pod, service } from "../registry/mesh.ts";
import { fromScratch, KubernetesLab, type Life } from "./kubernetes-lab.ts";

const labs: KubernetesLab[] = [];
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.close();
});
const open = (...clusters: readonly string[]): KubernetesLab => {
  const lab = new KubernetesLab(clusters);
  labs.push(lab);
  return lab;
};

const shared = (name: string, ip: string): KubeObject =>
  service(name, ip, {}, { labels: { "istio.io/global": "true" } });
const workloads = ({ registry }: Life): readonly string[] =>
  Array.from(registry.workloads.entries(), ([uid]) => uid as string).sort();
const statesOf = ({ clusters }: Life): readonly string[] =>
  clusters
    .statuses()
    .map(({ cluster, state, staleMs }) => `${cluster} ${state}${staleMs === undefined ? "" : " stale"}`);

test("a mesh of three clusters is what their API servers say, and follows them", async () => {
  const lab = open("east", "west", "north");
  lab.put("east", shared("cart", "10.1.0.1"), pod("cart-e", "10.0.0.1", { app: "cart" }), authorization("p", {}));
  lab.put("west", shared("cart", "10.2.0.1"), pod("cart-w", "10.0.1.1", { app: "cart" }));
  lab.put("north", pod("cart-n", "10.0.2.1"));
  lab.putSecret("west");
  lab.putSecret("north");
  const life = await lab.start();
  const of = (cluster: string, name: string) => `${cluster}//Pod/shop/${name}`;
  assert.deepEqual(workloads(life), [of("east", "cart-e"), of("north", "cart-n"), of("west", "cart-w")]);
  assert.deepEqual(statesOf(life), ["east synced", "north synced", "west synced"]);
  assert.equal(life.registry.policies.size, 1);
  lab.put("west", pod("cart-w2", "10.0.1.2", { app: "cart" }));
  lab.server("east").remove(pod("cart-e", ""));
  await lab.pass(100);
  assert.deepEqual(workloads(life), [of("north", "cart-n"), of("west", "cart-w"), of("west", "cart-w2")]);
  assert.deepEqual(
    [...life.registry.workloads.entries()].sort(),
    [...fromScratch(lab, ["east", "west", "north"]).workloads.entries()].sort(),
  );
});

test("nothing is served before the local cluster is known whole", async () => {
  const lab = open("east");
  lab.put("east", pod("cart", "10.0.0.1"));
  lab.server("east").faults.forbidden = ({ resource }) => resource === "authorizationpolicies";
  const life = await lab.begin();
  await lab.pass(60_000);
  assert.equal(life.serves(), false);
  const [check] = life.clusters.readiness();
  assert.match(check!.check()!, /^cluster east: authorizationpolicies: .*forbidden/);
  lab.server("east").faults.forbidden = undefined;
  await lab.pass(90_000);
  assert.equal(life.serves(), true);
  assert.equal(check!.check(), undefined);
});

test("routes that it has no right to read are no reason to wait, and count once it has", async () => {
  const lab = open("east");
  const kinds = ["httproutes", "grpcroutes", "referencegrants", "destinationrules"];
  lab.server("east").faults.forbidden = ({ resource }) => kinds.includes(resource);
  const rules = [{ backendRefs: [{ name: "cart", port: 80 }] }];
  const spec = { parentRefs: [{ group: "", kind: "Service", name: "cart" }], rules };
  lab.put(
    "east",
    service("cart", "10.1.0.1"),
    object("gateway.networking.k8s.io/v1", "HTTPRoute", { name: "r" }, { spec }),
  );
  const life = await lab.start();
  assert.equal(life.serves(), true);
  assert.equal(life.registry.routes.rules.size, 0);
  lab.server("east").faults.forbidden = undefined;
  await lab.pass(90_000);
  assert.equal(life.registry.routes.rules.size, 1);
});

test("a kind that is not installed is no reason to wait, and counts once it is", async () => {
  const lab = open("east");
  const types = await import("../../src/kube/resource-types.ts");
  lab.server("east").uninstall(types.AUTHORIZATION_POLICIES);
  const life = await lab.start();
  assert.equal(life.registry.policies.size, 0);
  lab.server("east").install(types.AUTHORIZATION_POLICIES);
  lab.put("east", authorization("p", {}));
  await lab.pass(45_000);
  assert.equal(life.registry.policies.size, 1);
});

// Fault 6 of contract operations.md 3.4.
test("a cluster that is away at the start keeps nobody waiting longer than a second", async () => {
  const lab = open("east", "west", "north");
  lab.putSecret("west");
  lab.putSecret("north");
  lab.put("north", pod("cart", "10.0.2.1"));
  lab.server("west").faults.silent = true;
  const life = await lab.begin();
  const beganMs = lab.host.clock.elapsedMs();
  while (!life.serves()) await lab.pass(10);
  assert.ok(lab.host.clock.elapsedMs() - beganMs < 1_500);
  assert.deepEqual(statesOf(life), ["east synced", "north synced", "west syncing"]);
  assert.deepEqual(workloads(life), ["north//Pod/shop/cart"]);
  await lab.pass(31_000);
  assert.deepEqual(statesOf(life)[2], "west timeout");
  lab.put("west", pod("late", "10.0.3.1"));
  lab.server("west").faults.silent = false;
  await lab.pass(40_000);
  assert.deepEqual(workloads(life), ["north//Pod/shop/cart", "west//Pod/shop/late"]);
});

test("clusters that answer small requests, and no list, keep nobody else from listing", async () => {
  const lab = open("east", "west", "north", "south");
  for (const cluster of ["west", "north", "south"]) lab.putSecret(cluster);
  lab.put("south", pod("cart", "10.0.3.1"));
  lab.server("west").faults.stuck = true;
  lab.server("north").faults.stuck = true;
  const life = await lab.begin();
  const beganMs = lab.host.clock.elapsedMs();
  const untilMs = async (done: () => boolean): Promise<number> => {
    while (!done()) await lab.pass(50);
    return lab.host.clock.elapsedMs() - beganMs;
  };
  const servesMs = await untilMs(() => life.serves());
  assert.ok(servesMs < 5_000, `serves after ${servesMs} ms`);
  const joinedMs = await untilMs(() => statesOf(life).includes("south synced"));
  assert.ok(joinedMs < 15_000, `south joined after ${joinedMs} ms`);
  // Nor from listing anew.
  await lab.pass(60_000);
  lab.server("east").expireAll();
  lab.put("east", pod("late", "10.0.0.1"));
  await lab.pass(10_000);
  assert.deepEqual(workloads(life), ["east//Pod/shop/late", "south//Pod/shop/cart"]);
});

test("a restart while a remote cluster is away serves what it last said, and says how old that is", async () => {
  const lab = open("east", "west");
  lab.putSecret("west");
  lab.put("west", pod("cart", "10.0.1.1"), pod("gone", "10.0.1.2"));
  const first = await lab.start();
  assert.equal(first.registry.pods.size, 2);
  lab.server("west").remove(pod("gone", ""));
  await lab.pass(5_000);
  await first.end();
  lab.server("west").faults.down = true;
  await lab.pass(600_000);
  const second = await lab.start();
  assert.deepEqual(workloads(second), ["west//Pod/shop/cart"]);
  const { staleMs, state } = second.clusters.statuses()[1]!;
  assert.equal(state, "syncing");
  assert.ok(staleMs! >= 600_000 && staleMs! < 700_000, `${staleMs}`);
  // What it says when it is back counts from then on, in one flush.
  lab.server("west").remove(pod("cart", ""));
  lab.put("west", pod("fresh", "10.0.1.3"));
  lab.server("west").faults.down = false;
  await lab.pass(60_000);
  assert.deepEqual(workloads(second), ["west//Pod/shop/fresh"]);
  assert.deepEqual(statesOf(second), ["east synced", "west synced"]);
});

test("a cluster that could never be reached says why, and a bad secret is logged once", async () => {
  const lab = open("east", "west", "north");
  lab.putSecret("west");
  lab.putSecret("north", lab.kubeconfig("north", "t", true));
  lab.server("west").faults.down = true;
  const life = await lab.start();
  await lab.pass(3_000);
  assert.match(life.clusters.statuses()[1]!.reason, /ECONNREFUSED/);
  const about = (problems: readonly { readonly object: string }[]) =>
    problems.filter(({ object }) => /north/.test(object));
  assert.equal(about(life.clusters.problems()).length, 1);
  assert.deepEqual(about(life.clusters.unsaidProblems()), []);
  assert.equal(lab.host.lines.filter((line) => /^warn .*users\[0\]\.user\.exec/.test(line)).length, 1);
});

test("a token that one server proved counts for nothing once the cluster's kubeconfig leads to another server", async () => {
  const lab = open("east", "west", "stranger");
  const token = jwt({ "kubernetes.io": undefined });
  const account = { username: "system:serviceaccount:shop:cart", groups: ["system:serviceaccounts"] };
  lab.server("west").reviewToken = () => statusOf({ user: account });
  lab.putSecret("west");
  const life = await lab.start();
  const show = async (): Promise<string> => {
    const asked = life.clusters.tokens.get(clusterId("west"))!.authenticate({
      authorization: `Bearer ${token}`,
      clusterId: "west",
      certificateChain: [],
      remoteAddress: "test",
    });
    const outcome = asked.then(
      ({ identity }) => identity.serviceAccount,
      (error: Error) => error.message,
    );
    await lab.pass(500);
    return outcome;
  };
  assert.equal(await show(), "cart");
  lab.putSecret("west", lab.kubeconfig("west", "rotated"));
  await lab.pass(5_000);
  assert.equal(await show(), "cart");
  lab.putSecret("west", lab.kubeconfig("stranger", "t"));
  await lab.pass(5_000);
  assert.match(await show(), /does not accept the token: unknown token/);
});

test("a cluster in which nothing happens is not said to be silent, even if its server sends no bookmarks", async () => {
  const lab = open("east", "west");
  for (const cluster of ["east", "west"]) lab.server(cluster).bookmarkEveryMs = 1e9;
  lab.putSecret("west");
  const life = await lab.start();
  for (let at = 0; at < 30; at++) {
    await lab.pass(30_000);
    assert.deepEqual(statesOf(life), ["east synced", "west synced"]);
    assert.deepEqual(
      life.clusters.statuses().map(({ reason }) => reason),
      ["", ""],
    );
  }
});

// Fault 9.
test("a cluster whose secret goes leaves in one flush, and nothing of it is kept for the next start", async () => {
  const lab = open("east", "west");
  lab.put("east", pod("own", "10.0.0.1"));
  lab.put("west", pod("a", "10.0.1.1"), pod("b", "10.0.1.2"));
  lab.putSecret("west");
  const life = await lab.start();
  const batches: number[] = [];
  life.registry.pods.observe((batch) => batches.push(batch.length));
  lab.removeSecret("west");
  await lab.pass(2_000);
  assert.deepEqual(workloads(life), ["east//Pod/shop/own"]);
  assert.deepEqual(batches, [2]);
  assert.deepEqual([...life.clusters.tokens.keys()], ["east"]);
  await lab.pass(2_000);
  await life.end();
  lab.putSecret("west");
  lab.server("west").faults.down = true;
  assert.deepEqual(workloads(await lab.start()), ["east//Pod/shop/own"]);
});

// Faults 7 and 8.
test("credentials that change, some of them broken, change nothing in the mesh", async () => {
  const lab = open("east", "west");
  lab.put("west", pod("a", "10.0.1.1"));
  lab.putSecret("west");
  const life = await lab.start();
  let changes = 0;
  life.registry.workloads.observe((batch) => (changes += batch.length));
  for (let at = 0; at < 30; at++) {
    lab.putSecret("west", lab.kubeconfig("west", `token-${at}`, at % 3 === 2));
    await lab.pass(1_000);
  }
  await lab.pass(10_000);
  assert.equal(changes, 0);
  assert.match(
    life.clusters
      .problems()
      .map(({ message }) => message)
      .join(),
    /exec/,
  );
  lab.put("west", pod("b", "10.0.1.2"));
  await lab.pass(100);
  assert.deepEqual(workloads(life), ["west//Pod/shop/a", "west//Pod/shop/b"]);
  // Two clusters are read, whatever was tried before: a watch for each kind, the mesh config and the secrets.
  assert.equal(lab.server("west").watches.size, 7);
});

// Fault 1.
test("what the API server said is served while it is away, and a problem says so", async () => {
  const lab = open("east");
  lab.put("east", pod("cart", "10.0.0.1"), service("cart", "10.1.0.1"));
  const life = await lab.start();
  lab.server("east").faults.down = true;
  lab.server("east").cutWatches();
  await lab.pass(1_800_000);
  assert.deepEqual(workloads(life), ["east//Pod/shop/cart"]);
  assert.equal(life.clusters.readiness()[0]!.check(), undefined);
  assert.match(life.clusters.problems()[0]!.message, /does not keep us up to date/);
  assert.match(life.clusters.statuses()[0]!.reason, /ECONNREFUSED/);
  lab.server("east").remove(pod("cart", ""));
  lab.server("east").faults.down = false;
  await lab.pass(60_000);
  assert.deepEqual(workloads(life), []);
  assert.deepEqual(life.clusters.problems(), []);
});

test("whom the mesh config trusts is told at the start, and each time that it changes", async () => {
  const lab = open("east");
  const config = (mesh: string): KubeObject =>
    object("v1", "ConfigMap", { name: "istio", namespace: "istio-system" }, { data: { mesh } });
  lab.put("east", config("trustDomainAliases: [old.test]"));
  const { noted } = await lab.start();
  const aliases = () => noted.map(({ trustDomainAliases }) => trustDomainAliases.join());
  assert.deepEqual(aliases(), ["old.test"]);
  lab.put("east", config("trustDomainAliases: [old.test, older.test]"));
  await lab.pass(100);
  assert.deepEqual(aliases(), ["old.test", "old.test,older.test"]);
});

test("the mesh config changes while we run, and keeps its last good state while it is broken", async () => {
  const lab = open("east");
  const configMap = (mesh: string) =>
    object("v1", "ConfigMap", { name: "istio", namespace: "istio-system" }, { data: { mesh } });
  lab.put("east", configMap("rootNamespace: istio-system\n"));
  const life = await lab.start();
  const scopes = () => life.registry.meshConfig.get("mesh")?.serviceScopeConfigs.length;
  assert.equal(scopes(), 0);
  lab.put("east", configMap("serviceScopeConfigs:\n- scope: GLOBAL\n"));
  await lab.pass(100);
  assert.equal(scopes(), 1);
  lab.put("east", configMap("serviceScopeConfigs: 7\n"));
  await lab.pass(100);
  assert.equal(scopes(), 1);
  assert.match(life.clusters.problems()[0]!.object, /ConfigMap istio-system\/istio/);
});

test("a restart with a kubeconfig that cannot be read serves what its cluster last said, until nothing names it", async () => {
  const lab = open("east", "west");
  lab.putSecret("west");
  lab.put("west", pod("cart", "10.0.1.1"));
  await (await lab.start()).end();
  lab.putSecret("west", lab.kubeconfig("west", "t", true));
  const life = await lab.start();
  await lab.pass(5_000);
  assert.deepEqual(workloads(life), ["west//Pod/shop/cart"]);
  lab.removeSecret("west");
  await lab.pass(5_000);
  assert.deepEqual(workloads(life), []);
});
