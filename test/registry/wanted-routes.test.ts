import assert from "node:assert/strict";
import { test } from "mocha";
import { pathOf } from "../../src/kube/api.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { HTTP_ROUTES } from "../../src/kube/resource-types.ts";
import { applyRequest, type WantedObject } from "../../src/kube/wanted-object.ts";
import { backend, grpcRoute, httpRoute, path, toCart, waypoint } from "./gateways/routes.ts";
import { service } from "./mesh.ts";
import { stored, wantedMesh } from "./wanted-mesh.ts";

type Fields = Readonly<Record<string, unknown>>;
const KEY = "HTTPRoute shop/r";
const NOW = "2026-03-03T00:00:00Z";
const used = { labels: { "istio.io/use-waypoint": "wp" } };
const rules = [{ backendRefs: [backend("cart")] }];

const route = (status?: unknown, of: readonly Fields[] = rules, spec: Fields = {}): KubeObject =>
  stored(httpRoute("r", of, spec), status, 4);
const mesh = (...objects: readonly KubeObject[]) =>
  wantedMesh([waypoint, service("cart", "10.1.0.1", {}, used), ...objects]);

/** The status as a server has it once it was applied. */
const written = (wanted: WantedObject): Fields =>
  (applyRequest(wanted, "v1", NOW).body as { readonly status: Fields }).status;

test("the status of a route says of each of its services what becomes of it, and when that began", () => {
  const { wanted } = mesh(route(undefined, rules, { parentRefs: [toCart, { ...toCart, name: "ghost" }] }));
  const { type, subresource, found, resourceVersion } = wanted.get(KEY)!;
  assert.deepEqual([type, subresource, found, resourceVersion], [HTTP_ROUTES, "status", "different", undefined]);
  const condition = (type: string, status: string, reason: string, message: string) => ({
    ...{ type, status, reason, message },
    ...{ lastTransitionTime: NOW, observedGeneration: 4 },
  });
  const resolved = condition("ResolvedRefs", "True", "ResolvedRefs", "All that it refers to is there.");
  assert.deepEqual(written(wanted.get(KEY)!), {
    parents: [
      {
        parentRef: toCart,
        controllerName: "istio.io/mesh-controller",
        conditions: [
          condition(
            "Accepted",
            "True",
            "Accepted",
            "Service shop/cart is served as the route says by waypoint shop/wp.",
          ),
          resolved,
        ],
      },
      {
        parentRef: { ...toCart, name: "ghost" },
        controllerName: "istio.io/mesh-controller",
        conditions: [
          condition("Accepted", "False", "NoMatchingParent", "Service shop/ghost does not exist."),
          resolved,
        ],
      },
    ],
  });
  assert.deepEqual(
    applyRequest(wanted.get(KEY)!, "v1", NOW).path.split("?")[0],
    `${pathOf(HTTP_ROUTES, "v1", "shop", "r")}/status`,
  );
});

test("what is in the status already is not written again, and keeps its times when something else of it changes", () => {
  const { wanted, apply } = mesh(route());
  const status = written(wanted.get(KEY)!);
  apply(route(status));
  assert.equal(wanted.get(KEY)?.found, "same");
  apply(route(status, [{ backendRefs: [backend("ghost")] }]));
  assert.equal(wanted.get(KEY)?.found, "different");
  const [accepted, resolved] = wanted.get(KEY)!.parts!.items[0]!.conditions;
  assert.deepEqual([accepted?.since, resolved?.since, resolved?.reason], [NOW, undefined, "BackendNotFound"]);
});

test("what other controllers say of a route stays, word for word, and nothing is written over what they write meanwhile", () => {
  const theirs = {
    parentRef: { name: "edge" },
    controllerName: "example.com/edge",
    conditions: [{ type: "Accepted", extra: 1 }],
  };
  const { wanted, apply } = mesh(route({ parents: [theirs] }));
  const object = wanted.get(KEY)!;
  const { parents } = written(object) as { readonly parents: readonly Fields[] };
  assert.deepEqual(parents[0], theirs);
  assert.equal(parents.length, 2);
  assert.equal(object.resourceVersion, "77");
  apply(route({ parents }));
  assert.equal(wanted.get(KEY)?.found, "same");
});

test("what we said of a parent is withdrawn once the route no longer has it, and what others say is not", () => {
  const theirs = { parentRef: { name: "edge" }, controllerName: "example.com/edge", conditions: [] };
  const { wanted, apply } = mesh(route({ parents: [theirs] }));
  const status = written(wanted.get(KEY)!);
  apply(route(status, rules, { parentRefs: [{ name: "edge" }] }));
  assert.equal(wanted.get(KEY)?.found, "different");
  assert.deepEqual(written(wanted.get(KEY)!), { parents: [theirs] });
  apply(route({ parents: [theirs] }, rules, { parentRefs: [{ name: "edge" }] }));
  assert.equal(wanted.get(KEY), undefined);
});

test("a route of Gateways at the edge only, or in no API server, has no status of ours", () => {
  assert.equal(mesh(route(undefined, rules, { parentRefs: [{ name: "edge" }] })).wanted.get(KEY), undefined);
  assert.equal(mesh(httpRoute("r", rules)).wanted.get(KEY), undefined);
});

test("a status with more parents than the API takes is not touched", () => {
  const parents = Array.from({ length: 33 }, (_, at) => ({ parentRef: { name: `p${at}` }, controllerName: "x" }));
  assert.equal(mesh(route({ parents })).wanted.get(KEY), undefined);
});

test("a bad expression, a fall back and a GRPCRoute that outranks show in statuses", () => {
  const { wanted, apply } = mesh(route());
  const conditions = (key = KEY) =>
    wanted.get(key)!.parts!.items[0]!.conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`);
  apply(route(undefined, [{ matches: [path("RegularExpression", "[")], ...rules[0] }]));
  assert.deepEqual(conditions(), [
    "Accepted=True Accepted",
    "PartiallyInvalid=True UnsupportedValue",
    "ResolvedRefs=True ResolvedRefs",
  ]);
  apply(stored(grpcRoute("g", rules)));
  assert.deepEqual(conditions()[0], "Accepted=False Conflicted");
  assert.deepEqual(conditions("GRPCRoute shop/g")[0], "Accepted=True Accepted");
});

for (const garbage of [7, "x", [7], { parents: "x" }, { parents: [7, { controllerName: "istio.io/mesh-controller" }] }])
  test(`a status that is ${JSON.stringify(garbage)} does not take the route with it`, () => {
    const { wanted, registry } = mesh(route(garbage));
    assert.equal(registry.routes.rules.size, 1);
    assert.equal(wanted.get(KEY)?.parts?.items.length, 1);
  });
