import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, objectKey } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { object, service, testMesh, type TestMesh } from "./mesh.ts";

const problems = ({ registry }: TestMesh) =>
  [...registry.problems.entries()].map(([, { object, origin, field }]) => `${origin} ${object}: ${field}`).sort();

const gateway = object("gateway.networking.k8s.io/v1", "Gateway", { name: "w" });

test("an object goes only when its own group says so, in whichever version", () => {
  const mesh = testMesh([gateway, service("cart", "10.1.0.1")]);
  mesh.remove(object("networking.istio.io/v1", "Gateway", { name: "w" }));
  mesh.remove(object("serving.knative.dev/v1", "Service", { name: "cart" }));
  assert.equal(mesh.registry.services.size, 1);
  assert.equal(mesh.registry.objects.gateways.size, 1);
  mesh.remove(service("cart", ""), object("gateway.networking.k8s.io/v1beta1", "Gateway", { name: "w" }));
  assert.equal(mesh.registry.services.size, 0);
  assert.equal(mesh.registry.objects.gateways.size, 0);
});

test("an object of another group does not take the place of ours", () => {
  const mesh = testMesh([gateway]);
  const before = mesh.registry.objects.gateways.get(objectKey(clusterId("east"), "shop", "w"));
  mesh.apply(object("networking.istio.io/v1", "Gateway", { name: "w" }, { spec: { gatewayClassName: "x" } }));
  assert.equal(mesh.registry.objects.gateways.get(objectKey(clusterId("east"), "shop", "w")), before);
  assert.deepEqual(problems(mesh), []);
});

const nameless = (fields: object): KubeObject => ({ apiVersion: "v1", kind: "Service", ...fields }) as KubeObject;

test("objects without a name are each a problem of their own, told apart by where they were read", () => {
  const mesh = testMesh();
  mesh.intake.set(nameless({}), "a.yaml:1");
  mesh.intake.set(nameless({ metadata: { name: "" } }), "a.yaml:9");
  mesh.intake.set(nameless({ metadata: { name: 7 } }), "b.yaml:1");
  mesh.intake.set(nameless({ metadata: { name: 7 } }), "b.yaml:1");
  mesh.graph.flush();
  assert.deepEqual(problems(mesh), [
    "a.yaml:1 Service without a name: metadata",
    "a.yaml:9 Service without a name: metadata.name",
    "b.yaml:1 Service without a name: metadata.name",
  ]);
  mesh.intake.set(service("cart", "10.1.0.1"), "b.yaml:1");
  mesh.graph.flush();
  assert.equal(mesh.registry.problems.size, 2);
});

test("an object whose kind is no text is ignored, and one whose version is none is a problem", () => {
  assert.deepEqual(problems(testMesh([nameless({ kind: {} }), nameless({ kind: undefined })])), []);
  assert.deepEqual(problems(testMesh([nameless({ apiVersion: undefined })])), [
    "mesh.yaml:1 Service without a name: apiVersion",
  ]);
});

test("objects without a name or a place are told apart too, a hundred of them and no more", () => {
  const mesh = testMesh();
  mesh.intake.set(nameless({}), "");
  mesh.intake.set(nameless({}), "");
  mesh.graph.flush();
  assert.equal(mesh.registry.problems.size, 2);
  for (let at = 0; at < 1_000; at++) mesh.intake.set(nameless({}), "");
  mesh.graph.flush();
  assert.equal(mesh.registry.problems.size, 100);
  mesh.intake.clear();
  mesh.graph.flush();
  assert.equal(mesh.registry.problems.size, 0);
});

test("two objects whose bad names begin alike are two problems, and each goes alone", () => {
  const long = (end: string) => service(`${"a".repeat(300)}${end}`, "10.1.0.1");
  const mesh = testMesh([long("b"), long("c")]);
  assert.equal(mesh.registry.problems.size, 2);
  mesh.remove(long("b"));
  assert.equal(mesh.registry.problems.size, 1);
});

test("a name is shown without what could move a terminal's cursor", () => {
  assert.deepEqual(problems(testMesh([service("a\u001b[2J\nb", "10.1.0.1")])), [
    "mesh.yaml:1 Service shop/a?[2J?b: metadata.name",
  ]);
});
