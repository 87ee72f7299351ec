import assert from "node:assert/strict";
import { test } from "mocha";
import { NODES, PODS } from "../../src/kube/resource-types.ts";
import { reflectorLab } from "./reflector-lab.ts";

for (const watchList of ["served", "refused", "ignored"] as const)
  test(`a kind is listed and watched where streamed lists are ${watchList}`, async () => {
    const lab = reflectorLab(PODS);
    lab.server.watchList = watchList;
    for (let i = 0; i < 1_203; i++) lab.put(`pod-${i}`);
    lab.reflector.start();
    await lab.pass(watchList === "ignored" ? 11_000 : 100);
    assert.equal(lab.synced, 1);
    assert.equal(lab.shelf.objects.size, 1_203);
    assert.equal(lab.shelf.objects.get("shop/pod-7")!.kind, "Pod");
    assert.equal(lab.shelf.objects.get("shop/pod-7")!.apiVersion, "v1");
    assert.equal(lab.asked("limit=500"), watchList === "served" ? 0 : 3);
    lab.put("new");
    lab.remove("pod-0");
    await lab.pass(10);
    assert.deepEqual(lab.shelf.told.slice(-2), ["set shop/new", "delete shop/pod-0"]);
    assert.deepEqual(
      { ...lab.reflector.state, silentMs: 0 },
      {
        phase: "watching",
        synced: true,
        objects: 1_203,
        problem: undefined,
        silentMs: 0,
      },
    );
    await lab.reflector.close();
    assert.equal(lab.server.watches.size, 0);
    assert.equal(lab.host.clock.pending, 0);
    assert.equal(lab.gate.running, 0);
  });

test("a kind without namespaces, and one namespace of a kind", async () => {
  const nodes = reflectorLab(NODES);
  nodes.put("n1");
  nodes.reflector.start();
  const own = reflectorLab(PODS, { namespace: "istio-system", labelSelector: "app=x" });
  own.put("a", { labels: { app: "x" } }, "istio-system");
  own.put("b", {}, "istio-system");
  own.put("a", { labels: { app: "x" } });
  own.reflector.start();
  await nodes.pass(10);
  await own.pass(10);
  assert.deepEqual([nodes.shelf.names, own.shelf.names], [["n1"], ["istio-system/a"]]);
  await nodes.reflector.close();
  await own.reflector.close();
});

test("a watch that ended is taken up where it was, at once; nothing is listed again", async () => {
  const lab = reflectorLab(PODS);
  lab.put("a");
  lab.reflector.start();
  await lab.pass(600_000);
  assert.ok(lab.asked("watch=true") >= 2);
  lab.put("b");
  await lab.pass(10);
  assert.deepEqual(lab.shelf.told, ["set shop/a", "set shop/b"]);
  assert.equal(lab.asked("sendInitialEvents"), 1);
  await lab.reflector.close();
});
