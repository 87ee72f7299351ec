import assert from "node:assert/strict";
import { test } from "mocha";
import type { ApiRequest } from "../../src/kube/api.ts";
import { Reflector } from "../../src/kube/reflector.ts";
import {
  AUTHORIZATION_POLICIES,
  DESTINATION_RULES,
  GATEWAYS,
  PEER_AUTHENTICATIONS,
  REQUEST_AUTHENTICATIONS,
  PODS,
  SERVICE_ENTRIES,
  WORKLOAD_ENTRIES,
} from "../../src/kube/resource-types.ts";
import { reflectorLab, Shelf } from "./reflector-lab.ts";

test("a kind in its older version only is read in that", async () => {
  const lab = reflectorLab(GATEWAYS);
  lab.server.install({ ...GATEWAYS, versions: ["v1beta1"] });
  lab.put("g");
  lab.reflector.start();
  await lab.pass(100);
  assert.equal(lab.shelf.objects.get("shop/g")!.apiVersion, "gateway.networking.k8s.io/v1beta1");
  await lab.reflector.close();
});

test("a kind without its CRD is reported once, counts as synced, and is picked up when it is installed", async () => {
  const lab = reflectorLab(SERVICE_ENTRIES, { purpose: "hosts outside the mesh" });
  lab.server.uninstall(SERVICE_ENTRIES);
  lab.reflector.start();
  await lab.pass(100);
  assert.equal(lab.synced, 1);
  assert.equal(lab.reflector.state.phase, "absent");
  await lab.pass(600_000);
  const said = lab.host.lines.filter((line) => line.includes("does not serve this kind"));
  assert.equal(said.length, 1);
  assert.match(said[0]!, /cluster=east kind=ServiceEntry.networking.istio.io .* neededFor=hosts outside the mesh/);
  lab.server.install(SERVICE_ENTRIES);
  lab.put("web");
  await lab.pass(40_000);
  assert.deepEqual(lab.shelf.names, ["shop/web"]);
  assert.equal(lab.synced, 1);
  await lab.reflector.close();
});

test("kinds that are absent are looked for together: less than one request in ten seconds", async () => {
  const lab = reflectorLab(SERVICE_ENTRIES);
  const types = [
    WORKLOAD_ENTRIES,
    AUTHORIZATION_POLICIES,
    PEER_AUTHENTICATIONS,
    REQUEST_AUTHENTICATIONS,
    DESTINATION_RULES,
  ];
  const others = types.map((type) => {
    lab.server.uninstall(type);
    return new Reflector(lab.host, lab.api, lab.gate, { cluster: "east", type, sink: new Shelf(), onSynced: () => {} });
  });
  lab.server.uninstall(SERVICE_ENTRIES);
  for (const reflector of [lab.reflector, ...others]) reflector.start();
  await lab.pass(60_000);
  const before = lab.server.requests.length;
  await lab.pass(600_000);
  assert.ok(lab.server.requests.length - before < 60, `${lab.server.requests.length - before} requests`);
  for (const reflector of [lab.reflector, ...others]) await reflector.close();
});

/** Loses a kind without a word of its objects. */
function lose(lab: ReturnType<typeof reflectorLab>): void {
  lab.server.store.historyMax = 0;
  lab.server.blackHoleWatches(1_000);
  lab.server.uninstall(SERVICE_ENTRIES);
}

test("when a CRD goes its objects go, once the server has shown that there is none", async () => {
  const lab = reflectorLab(SERVICE_ENTRIES);
  lab.put("a");
  lab.put("b");
  lab.reflector.start();
  await lab.pass(100_000);
  lose(lab);
  await lab.pass(10_000);
  assert.deepEqual(lab.shelf.names, []);
  assert.equal(lab.reflector.state.phase, "absent");
  await lab.reflector.close();
});

test("where we may not see CRDs, the server must say for five minutes that it has no such kind", async () => {
  const lab = reflectorLab(SERVICE_ENTRIES);
  lab.put("a");
  lab.reflector.start();
  await lab.pass(100_000);
  lab.server.faults.forbidden = ({ resource }) => resource === "customresourcedefinitions";
  lose(lab);
  await lab.pass(290_000);
  assert.deepEqual(lab.shelf.names, ["shop/a"]);
  await lab.pass(30_000);
  assert.deepEqual(lab.shelf.names, []);
  await lab.reflector.close();
  const other = reflectorLab(SERVICE_ENTRIES);
  other.server.faults.forbidden = ({ resource }) => resource === "customresourcedefinitions";
  other.server.uninstall(SERVICE_ENTRIES);
  other.reflector.start();
  await other.pass(4_000);
  assert.equal(other.synced, 0);
  await other.pass(3_000);
  assert.equal(other.synced, 1);
  await other.reflector.close();
});

test("a server that starts and has not loaded its CRDs yet is waited for, by those that hold objects and by those new", async () => {
  const lab = reflectorLab(AUTHORIZATION_POLICIES);
  lab.put("deny");
  lab.reflector.start();
  await lab.pass(100_000);
  lab.server.faults.loading = true;
  lab.server.cutWatches();
  const shelf = new Shelf();
  let synced = false;
  const fresh = new Reflector(lab.host, lab.api, lab.gate, {
    cluster: "east",
    type: AUTHORIZATION_POLICIES,
    sink: shelf,
    onSynced: () => (synced = true),
  });
  fresh.start();
  await lab.pass(600_000);
  assert.deepEqual(lab.shelf.names, ["shop/deny"]);
  assert.equal(synced, false);
  assert.match(fresh.state.problem!, /has the CRD authorizationpolicies.security.istio.io, but does not serve it yet/);
  lab.server.faults.loading = false;
  await lab.pass(40_000);
  assert.deepEqual(shelf.names, ["shop/deny"]);
  assert.equal(lab.reflector.state.phase, "watching");
  await Promise.all([lab.reflector.close(), fresh.close()]);
});

const liars: readonly [what: string, answer: (request: ApiRequest) => unknown][] = [
  ["that answers every path with a web page", () => "<html>"],
  ["that lists no groups at all", () => ({ kind: "APIGroupList", groups: [] })],
  ["that says the kind is there", () => undefined],
];
for (const [what, answer] of liars)
  test(`a server ${what} is not believed that a kind is gone`, async () => {
    const lab = reflectorLab(SERVICE_ENTRIES);
    lab.put("a");
    lab.reflector.start();
    await lab.pass(100_000);
    const { served } = lab.server;
    lab.server.served = (route) => served.call(lab.server, route && { ...route, plural: "nowhere" });
    lab.server.answer = (request) => (request.path.startsWith("/apis") ? answer(request) : undefined);
    lab.server.cutWatches();
    await lab.pass(120_000);
    assert.deepEqual(lab.shelf.names, ["shop/a"]);
    assert.equal(lab.reflector.state.phase, "retrying");
    await lab.reflector.close();
  });

test("the core's kinds are never absent: what answers 404 for pods is no API server", async () => {
  const lab = reflectorLab(PODS);
  lab.server.uninstall(PODS);
  lab.reflector.start();
  await lab.pass(60_000);
  assert.equal(lab.synced, 0);
  assert.match(lab.reflector.state.problem!, /serves no pods; is it an API server\?/);
  await lab.reflector.close();
});

test("a kind that may not be read says who lacks what, is not synced, and is read once it may be", async () => {
  const lab = reflectorLab(PODS);
  lab.put("a");
  lab.server.faults.forbidden = ({ resource }) => resource === "pods";
  lab.reflector.start();
  await lab.pass(1_000);
  const asked = lab.asked("pods");
  await lab.pass(300_000);
  assert.equal(lab.synced, 0);
  assert.equal(lab.reflector.state.phase, "forbidden");
  assert.match(lab.reflector.state.problem!, /User "system:serviceaccount:istio-system:causeway" cannot list.*"pods"/);
  assert.ok(lab.asked("pods") - asked <= 40, `asked ${lab.asked("pods") - asked} times in five minutes`);
  lab.server.faults.forbidden = undefined;
  await lab.pass(31_000);
  assert.equal(lab.synced, 1);
  assert.deepEqual(lab.shelf.names, ["shop/a"]);
  await lab.reflector.close();
});

test("a server that refuses everybody while it starts costs seconds, not a minute", async () => {
  const lab = reflectorLab(PODS);
  lab.put("a");
  lab.reflector.start();
  await lab.pass(60_000);
  lab.server.faults.forbidden = () => true;
  lab.server.cutWatches();
  await lab.pass(2_000);
  assert.equal(lab.reflector.state.phase, "forbidden");
  lab.put("b");
  lab.server.faults.forbidden = undefined;
  await lab.pass(5_000);
  assert.deepEqual(lab.shelf.names, ["shop/a", "shop/b"]);
  assert.deepEqual(lab.reflector.state.problem, undefined);
  await lab.reflector.close();
});

test("a role that lets us list but not watch is named for what it lacks; what was listed stays", async () => {
  const lab = reflectorLab(PODS);
  lab.put("a");
  lab.server.faults.forbidden = ({ verb }) => verb === "watch";
  lab.reflector.start();
  await lab.pass(1_000);
  assert.equal(lab.synced, 1);
  assert.deepEqual(lab.shelf.names, ["shop/a"]);
  assert.match(lab.reflector.state.problem!, /cannot watch resource "pods"/);
  await lab.reflector.close();
});
