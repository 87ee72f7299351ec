import assert from "node:assert/strict";
import { test } from "mocha";
import type { ExplainFacts } from "../../src/explain/explanation.ts";
import * as mending from "../../src/explain/mending.ts";
import { object, testMesh } from "../registry/mesh.ts";

const cart = { cluster: "east", kind: "Service", namespace: "shop", name: "cart" };
const home = { cluster: "east", kind: "Namespace", namespace: "", name: "shop" };
const { registry } = testMesh([
  object("v1", "Service", { name: "cart" }, { spec: { ports: [{ port: 80 }] } }),
  object("v1", "Namespace", { name: "shop", namespace: "" }),
]);
const live = { registry, manifests: new Map() };
const folders = (more: Partial<NonNullable<ReturnType<ExplainFacts["manifests"]["get"]>>> = {}) => ({
  registry,
  manifests: new Map([["east", { folder: "demo/east", ...more }]]),
});

test("where a cluster has an API server, what mends an object is a command for it", () => {
  assert.equal(
    mending.labelled(cart, "a", "b", live),
    "kubectl --context east -n shop label service cart a=b --overwrite",
  );
  assert.equal(mending.labelled(home, "a", "b", live), "kubectl --context east label namespace shop a=b --overwrite");
  assert.equal(
    mending.annotated(cart, "a", "b", live),
    "kubectl --context east -n shop annotate service cart a=b --overwrite",
  );
  assert.equal(mending.unannotated(cart, "a", live), "kubectl --context east -n shop annotate service cart a-");
  assert.equal(mending.edited(cart, live), "kubectl --context east -n shop edit service cart");
  assert.equal(mending.deleted(cart, live), "kubectl --context east -n shop delete service cart");
  assert.equal(mending.shown(cart, live), "kubectl --context east -n shop get service cart -o yaml");
});

test("where it is a folder of manifests, it is said in which file and line what is to stand", () => {
  const east = folders();
  const there = "Service shop/cart in demo/east/mesh.yaml:1";
  assert.equal(mending.labelled(cart, "a", "b", east), `give ${there} the label a: b`);
  assert.equal(mending.labelled(home, "a", "b", east), "give Namespace shop in demo/east/mesh.yaml:1 the label a: b");
  assert.equal(mending.annotated(cart, "a", "true", east), `give ${there} the annotation a: "true"`);
  assert.equal(mending.unannotated(cart, "a", east), `take the annotation a off ${there}`);
  assert.equal(mending.edited(cart, east), `edit ${there}`);
  assert.equal(mending.deleted(cart, east), `delete ${there}`);
  assert.equal(mending.shown(cart, east), `see ${there}`);
});

test("an object of a further folder is where that folder is", () => {
  const { registry: linked, intake, graph } = testMesh();
  intake.set(object("v1", "Namespace", { name: "shop", namespace: "" }), "/state/links/west.yaml:3");
  graph.flush();
  const facts = { ...folders({ furtherFolders: ["/state/links"] }), registry: linked };
  assert.equal(mending.edited(home, facts), "edit Namespace shop in /state/links/west.yaml:3");
});

test("what no manifest has is to be written beside the others; of a peer's folder nobody here knows where it is", () => {
  const facts = folders();
  assert.equal(
    mending.labelled({ ...cart, name: "tea" }, "a", "b", facts),
    "give Service shop/tea in the manifests in demo/east the label a: b",
  );
  assert.equal(
    mending.labelled({ ...cart, cluster: "west" }, "a", "b", facts),
    "give Service shop/cart in the manifests of cluster west the label a: b",
  );
});
