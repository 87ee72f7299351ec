import assert from "node:assert/strict";
import { test } from "mocha";
import { object, service } from "../mesh.ts";
import {
  actionsOf,
  backend,
  grpcRoute,
  httpRoute,
  path,
  problemsOf,
  routedMesh,
  rulesOf,
  verdictsOf,
} from "./routes.ts";

test("a route shares the requests to its service between others by weight", () => {
  const mesh = routedMesh(
    httpRoute("split", [{ backendRefs: [backend("cart-v1", { weight: 9 }), backend("cart-v2")] }]),
  );
  assert.deepEqual(actionsOf(rulesOf(mesh)), ["cart-v1:80 9, cart-v2:80 1"]);
  assert.deepEqual(verdictsOf(mesh, "HTTPRoute east/shop/split"), [
    "Accepted=True Accepted",
    "ResolvedRefs=True ResolvedRefs",
  ]);
  assert.deepEqual(problemsOf(mesh), []);
});

test("of the rules of all routes the most specific comes first, then the older route's, then the first by name", () => {
  const to = (name: string) => ({ backendRefs: [backend(name)] });
  const header = { headers: [{ name: "X-Beta", value: "1" }] };
  const mesh = routedMesh(
    ...["any", "prefix", "long", "exact", "regex", "method", "header", "query", "young", "old", "b", "a"].map((name) =>
      service(name, `10.2.0.${name.length}`),
    ),
    httpRoute("everything", [
      to("any"),
      { matches: [{ ...path("PathPrefix", "/a") }], ...to("prefix") },
      { matches: [{ ...path("RegularExpression", "/a/.*") }], ...to("regex") },
      { matches: [{ ...path("PathPrefix", "/a/b/") }], ...to("long") },
      { matches: [{ ...path("PathPrefix", "/a"), queryParams: [{ name: "q", value: "1" }] }], ...to("query") },
      { matches: [{ ...path("PathPrefix", "/a"), ...header }], ...to("header") },
      { matches: [{ ...path("PathPrefix", "/a"), method: "GET" }], ...to("method") },
      { matches: [{ ...path("Exact", "/a") }], ...to("exact") },
    ]),
    httpRoute(
      "young",
      [{ matches: [path("Exact", "/z")], ...to("young") }],
      {},
      { creationTimestamp: "2026-02-02T00:00:00Z" },
    ),
    httpRoute(
      "zz-old",
      [{ matches: [path("Exact", "/z")], ...to("old") }],
      {},
      { creationTimestamp: "2025-02-02T00:00:00Z" },
    ),
    httpRoute("b", [{ matches: [path("Exact", "/z")], ...to("b") }]),
    httpRoute("a", [{ matches: [path("Exact", "/z")], ...to("a") }]),
  );
  assert.deepEqual(
    actionsOf(rulesOf(mesh)).map((text) => text.replace(":80 1", "")),
    ["old", "a", "b", "exact", "young", "long", "method", "header", "query", "prefix", "regex", "any"],
  );
});

test("a reference to a service that does not exist answers its share with 500 and says so", () => {
  const mesh = routedMesh(httpRoute("split", [{ backendRefs: [backend("cart-v1"), backend("ghost")] }]));
  assert.deepEqual(actionsOf(rulesOf(mesh)), ["cart-v1:80 1, refused 1"]);
  assert.deepEqual(verdictsOf(mesh, "HTTPRoute east/shop/split"), [
    "Accepted=True Accepted",
    "ResolvedRefs=False BackendNotFound",
  ]);
  assert.match(
    problemsOf(mesh).join(),
    /HTTPRoute shop\/split: spec\.rules\[0\]\.backendRefs\[1\] names Service ghost/,
  );
  mesh.apply(service("ghost", "10.1.0.9"));
  assert.deepEqual(actionsOf(rulesOf(mesh)), ["cart-v1:80 1, ghost:80 1"]);
  assert.deepEqual(problemsOf(mesh), []);
});

test("a service of another namespace can be sent to once a ReferenceGrant there permits it", () => {
  const grant = object(
    "gateway.networking.k8s.io/v1beta1",
    "ReferenceGrant",
    { name: "shops", namespace: "bank" },
    {
      spec: {
        from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: "shop" }],
        to: [{ group: "", kind: "Service", name: "pay" }],
      },
    },
  );
  const mesh = routedMesh(
    service("pay", "10.3.0.1", {}, { namespace: "bank" }),
    httpRoute("pay", [{ backendRefs: [backend("pay", { namespace: "bank" })] }]),
  );
  assert.deepEqual(actionsOf(rulesOf(mesh)), ["500"]);
  assert.match(verdictsOf(mesh, "HTTPRoute east/shop/pay").join(), /ResolvedRefs=False RefNotPermitted/);
  mesh.apply(grant);
  assert.deepEqual(actionsOf(rulesOf(mesh)), ["bank/pay.bank.svc.cluster.local:80 1"]);
  mesh.remove(grant);
  assert.deepEqual(actionsOf(rulesOf(mesh)), ["500"]);
});

test("a GRPCRoute outranks the HTTPRoutes of its service, and they say so", () => {
  const http = httpRoute("http", [{ backendRefs: [backend("cart-v1")] }]);
  const grpc = grpcRoute("grpc", [
    { matches: [{ method: { service: "shop.Cart" } }], backendRefs: [backend("cart-v1")] },
    { matches: [{ method: { service: "shop.Cart", method: "Add" } }], backendRefs: [backend("cart-v2")] },
  ]);
  const mesh = routedMesh(http, grpc);
  assert.deepEqual(
    rulesOf(mesh).map(({ match }) => match.path),
    [
      { kind: "exact", value: "/shop.Cart/Add" },
      { kind: "prefix", value: "/shop.Cart" },
    ],
  );
  assert.deepEqual(verdictsOf(mesh, "HTTPRoute east/shop/http")[0], "Accepted=False Conflicted");
  mesh.remove(grpc);
  assert.deepEqual(actionsOf(rulesOf(mesh)), ["cart-v1:80 1"]);
  assert.deepEqual(verdictsOf(mesh, "HTTPRoute east/shop/http")[0], "Accepted=True Accepted");
});

test("a service without routes has no rules, and gets them back to none when its last route goes", () => {
  const route = httpRoute("split", [{ backendRefs: [backend("cart-v1")] }]);
  const mesh = routedMesh(route);
  assert.equal(mesh.registry.routes.rules.size, 1);
  mesh.remove(route);
  assert.equal(mesh.registry.routes.rules.size, 0);
});
