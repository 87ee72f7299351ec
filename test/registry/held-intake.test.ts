import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, objectKey } from "../../src/names.ts";
import { object, pod, service, testMesh, type TestMesh } from "./mesh.ts";

const east = clusterId("east");
const west = clusterId("west");
const pods = ({ registry }: TestMesh) => Array.from(registry.pods.entries(), ([key]) => key).sort();
const namespace = (waypoint: unknown) =>
  object("v1", "Namespace", { name: "shop", namespace: undefined, labels: { "istio.io/use-waypoint": waypoint } });

test("a cluster shows nothing until it joins, and then all at once", () => {
  const mesh = testMesh([pod("cart", "10.0.0.1")]);
  const intake = mesh.registry.intake(west, "held");
  for (const each of [pod("cart", "10.9.0.1"), pod("bank", "10.9.0.2"), pod("gone", "10.9.0.3")]) intake.set(each, "");
  intake.delete(pod("gone", ""));
  mesh.graph.flush();
  assert.deepEqual(pods(mesh), ["east/shop/cart"]);
  intake.join();
  mesh.graph.flush();
  assert.deepEqual(pods(mesh), ["east/shop/cart", "west/shop/bank", "west/shop/cart"]);
});

test("a cluster that joins anew changes only what differs, in one flush", () => {
  const mesh = testMesh([pod("cart", "10.0.0.1"), pod("old", "10.0.0.2"), service("cart", "10.1.0.1")]);
  const batches: string[][] = [];
  mesh.registry.objects.pods.observe((batch) => batches.push(batch.map(({ key }) => key)));
  const again = mesh.registry.intake(east, "held");
  for (const each of [pod("cart", "10.0.0.1"), pod("new", "10.0.0.3"), service("cart", "10.1.0.1")])
    again.set(each, "");
  again.join();
  mesh.graph.flush();
  assert.deepEqual(batches, [["east/shop/old", "east/shop/new"]]);
  again.delete(pod("new", ""));
  mesh.graph.flush();
  assert.deepEqual(pods(mesh), ["east/shop/cart"]);
});

test("a problem of a cluster that has not joined is not one of the mesh yet", () => {
  const mesh = testMesh();
  const intake = mesh.registry.intake(west, "held");
  intake.set(service("cart", "not an address"), "");
  mesh.graph.flush();
  assert.equal(mesh.registry.problems.size, 0);
  intake.join();
  mesh.graph.flush();
  assert.equal(mesh.registry.problems.size, 1);
});

test("what guards traffic and cannot be read when a cluster joins anew stays as it was", () => {
  const mesh = testMesh([namespace("gate")]);
  const former = mesh.registry.namespaces.get(objectKey(east, "", "shop"))?.useWaypoint;
  assert.ok(former);
  const again = mesh.registry.intake(east, "held");
  again.set(namespace(7), "");
  again.join();
  mesh.graph.flush();
  assert.deepEqual(mesh.registry.namespaces.get(objectKey(east, "", "shop"))?.useWaypoint, former);
  assert.equal(mesh.registry.problems.size, 1);
});
