import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { type LivePod, LivePods } from "../../src/registry/live-pods.ts";
import { pod, testMesh, type TestMesh } from "./mesh.ts";

const east = clusterId("east");

/** Of `cart`, with service account `cart`, on node `n1`. */
function live(mesh: TestMesh): readonly unknown[] {
  const pods = new LivePods(mesh.registry);
  return [pods.find(east, "shop", "cart", "uid-cart")?.node, namesOf(pods.holders(east, "n1", "shop", "cart"))];
}
const namesOf = (pods: readonly LivePod[]): readonly string[] => pods.map(({ name }) => name);
const inPhase = (phase: string): KubeObject => ({ ...pod("cart", "10.0.0.1"), status: { phase } }) as KubeObject;

for (const phase of ["Pending", "Running", "Unknown"])
  test(`a pod that is ${phase} has an identity on its node, even without an address`, () => {
    assert.deepEqual(live(testMesh([inPhase(phase)])), ["n1", ["cart"]]);
  });

for (const phase of ["Succeeded", "Failed"])
  test(`a pod that is ${phase} has no identity any more`, () => {
    const mesh = testMesh([inPhase("Running")]);
    mesh.apply(inPhase(phase));
    assert.deepEqual(live(mesh), [undefined, []]);
  });

test("a pod that is being deleted has its identity until it ends", () => {
  const mesh = testMesh([pod("cart", "10.0.0.1", {}, {}, { deletionTimestamp: "2026-01-01T00:00:00Z" })]);
  assert.deepEqual(live(mesh), ["n1", ["cart"]]);
  mesh.remove(pod("cart", ""));
  assert.deepEqual(live(mesh), [undefined, []]);
});

test("an identity is one node's, namespace's, service account's and cluster's alone", () => {
  const pods = new LivePods(testMesh([pod("cart", "10.0.0.1")]).registry);
  assert.deepEqual(pods.holders(east, "n2", "shop", "cart"), []);
  assert.deepEqual(pods.holders(east, "n1", "bank", "cart"), []);
  assert.deepEqual(pods.holders(east, "n1", "shop", "default"), []);
  assert.deepEqual(pods.holders(clusterId("west"), "n1", "shop", "cart"), []);
});

test("an identity stays on a node as long as one pod there has it", () => {
  const of = (name: string, nodeName: string) => pod(name, "10.0.0.1", {}, { nodeName, serviceAccountName: "cart" });
  const mesh = testMesh([of("a", "n1"), of("b", "n1"), of("c", "n2")]);
  const holders = (node: string) => namesOf(new LivePods(mesh.registry).holders(east, node, "shop", "cart"));
  mesh.remove(of("a", "n1"));
  assert.deepEqual(holders("n1"), ["b"]);
  mesh.apply(of("b", "n2"));
  assert.deepEqual([holders("n1"), holders("n2")], [[], ["b", "c"]]);
});

test("a pod made anew under the same name is not the one that was", () => {
  const pods = new LivePods(testMesh([pod("cart", "10.0.0.1")]).registry);
  assert.equal(pods.find(east, "shop", "cart", "uid-of-the-old-one"), undefined);
});

test("a pod without a uid is nobody's caller", () => {
  const pods = new LivePods(testMesh([pod("cart", "10.0.0.1", {}, {}, { uid: undefined })]).registry);
  assert.equal(pods.find(east, "shop", "cart", ""), undefined);
});

test("a pod that waits for a node lends its identity to no node", () => {
  const mesh = testMesh([pod("cart", "10.0.0.1", {}, { nodeName: "" })]);
  assert.deepEqual(live(mesh), ["", []]);
  assert.deepEqual(new LivePods(mesh.registry).holders(east, "", "shop", "cart"), []);
});

test("once a pod of an account is captured on a node, its others that are not hold no certificate there", () => {
  const enrolled = { annotations: { "ambient.istio.io/redirection": "enabled" } };
  const of = (name: string, metadata = {}) =>
    pod(name, "10.0.0.1", { app: name }, { serviceAccountName: "cart" }, metadata);
  const mesh = testMesh([of("a"), of("b")]);
  const holders = () => new LivePods(mesh.registry).holders(east, "n1", "shop", "cart");
  assert.deepEqual(namesOf(holders()), ["a", "b"]);
  mesh.apply(of("b", enrolled));
  const facts = { namespace: "shop", name: "b", uid: "uid-b", node: "n1", serviceAccount: "cart" };
  assert.deepEqual(holders(), [{ ...facts, labels: new Map([["app", "b"]]) }]);
});
