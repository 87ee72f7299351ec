import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../../src/kube/object.ts";
import type { HttpRule } from "../../../src/registry/model/http-rule.ts";
import { object, service, serviceEntry } from "../mesh.ts";
import { actionsOf, backend, httpRoute, path, problemsOf, routedMesh, rulesOf, short, verdictsOf } from "./routes.ts";

type Fields = Readonly<Record<string, unknown>>;
const KEY = "HTTPRoute east/shop/r";
const hostname = (name: string, more: Fields = {}): Fields =>
  backend(name, { group: "networking.istio.io", kind: "Hostname", ...more });

/** What one rule becomes. */
function ruleOf(rule: Fields, ...objects: readonly KubeObject[]): HttpRule {
  const [found, ...more] = rulesOf(routedMesh(httpRoute("r", [rule]), ...objects));
  assert.deepEqual(more, []);
  return found!;
}

test("each match is a rule of its own, with its route's name", () => {
  const mesh = routedMesh(
    httpRoute("r", [
      { backendRefs: [backend("cart-v1")] },
      { matches: [path("Exact", "/a"), path("Exact", "/b")], backendRefs: [backend("cart-v2")] },
    ]),
  );
  assert.deepEqual(
    rulesOf(mesh).map(({ name }) => name),
    ["HTTPRoute shop/r rule 1 match 0", "HTTPRoute shop/r rule 1 match 1", "HTTPRoute shop/r rule 0 match 0"],
  );
});

test("a redirect needs no backends", () => {
  const filters = [
    { type: "RequestRedirect", requestRedirect: { scheme: "https", hostname: "x.example", port: 8443 } },
  ];
  assert.deepEqual(ruleOf({ filters }).action, {
    kind: "redirect",
    redirect: { scheme: "https", hostname: "x.example", port: 8443, path: undefined, status: 302 },
  });
});

for (const [name, refs, why] of [
  ["no backends", undefined, /no backendRefs/],
  ["backends of no weight", [backend("cart-v1", { weight: 0 })], /weight 0/],
  ["only backends that do not exist", [backend("ghost")], /No backendRef of the rule can be sent to/],
] as const)
  test(`a rule with ${name} answers 500`, () => {
    const { action } = ruleOf({ backendRefs: refs });
    assert.ok(action.kind === "refuse" && action.status === 500);
    assert.match(action.why, why);
  });

for (const [name, ref, reason, message] of [
  [
    "a kind that is no backend",
    backend("x", { kind: "Bucket", group: "storage.example" }),
    "InvalidKind",
    /Bucket x, which cannot be sent to/,
  ],
  ["a service without a port", { name: "cart-v1" }, "BackendNotFound", /cart-v1, which needs a port; it has 80/],
  ["a port that is not there", backend("cart-v1", { port: 81 }), "BackendNotFound", /has no port 81; it has 80/],
  ["another name of a host", backend("alias"), "BackendNotFound", /only another name of a host; use kind Hostname/],
  ["a host that nobody knows", hostname("ghost.example"), "BackendNotFound", /is no host of the mesh/],
  ["a host in a namespace", hostname("x.example", { namespace: "bank" }), "InvalidKind", /must have no namespace/],
  [
    "somebody else's service",
    backend("pay", { namespace: "bank" }),
    "RefNotPermitted",
    /no ReferenceGrant permits it to the HTTPRoutes of namespace shop/,
  ],
  [
    "somebody else's service by its host",
    hostname("pay.bank.svc.cluster.local"),
    "RefNotPermitted",
    /no ReferenceGrant/,
  ],
] as const)
  test(`${name} is refused with a reason, and its share answered with 500`, () => {
    const mesh = routedMesh(
      service("alias", "", { type: "ExternalName", externalName: "x.example" }),
      service("pay", "10.3.0.1", {}, { namespace: "bank" }),
      httpRoute("r", [{ backendRefs: [backend("cart-v1", { weight: 9 }), ref] }]),
    );
    assert.deepEqual(actionsOf(rulesOf(mesh)), ["cart-v1:80 9, refused 1"]);
    assert.equal(verdictsOf(mesh, KEY)[1], `ResolvedRefs=False ${reason}`);
    assert.match(problemsOf(mesh).join(), message);
  });

test("a host of a ServiceEntry can be sent to by its name, from any namespace", () => {
  const api = serviceEntry(
    "api",
    { hosts: ["api.example.com"], ports: [{ number: 80, name: "http" }], resolution: "DNS", addresses: ["10.4.0.1"] },
    { namespace: "bank" },
  );
  const { action } = ruleOf({ backendRefs: [hostname("API.example.com")] }, api);
  assert.ok(action.kind === "forward");
  assert.deepEqual(action.backends[0]?.backend, "bank/api.example.com:80");
});

test("mirrors go to what exists, and to as many requests as they say", () => {
  const mirror = (name: string, percent: number) => ({
    type: "RequestMirror",
    requestMirror: { backendRef: backend(name), percent },
  });
  const rule = ruleOf({
    filters: [mirror("cart-v2", 5), mirror("ghost", 5), mirror("cart", 0)],
    backendRefs: [backend("cart-v1")],
  });
  assert.deepEqual(
    rule.mirrors.map(({ backend, perMillion }) => [short(backend), perMillion]),
    [["cart-v2:80", 50_000]],
  );
});

for (const [name, rule, timeoutMs, retry] of [
  ["nothing", {}, undefined, undefined],
  ["a timeout", { timeouts: { request: "2s" } }, 2_000, undefined],
  ["no timeout", { timeouts: { request: "0s" } }, 0, undefined],
  ["one of the backend", { timeouts: { backendRequest: "1s" } }, 1_000, undefined],
  ["both", { timeouts: { request: "2s", backendRequest: "1s" } }, 1_000, undefined],
  ["one of the backend and none", { timeouts: { request: "0s", backendRequest: "1s" } }, 1_000, undefined],
  [
    "both and a retry",
    { timeouts: { request: "2s", backendRequest: "1s" }, retry: { codes: [503], backoff: "5ms" } },
    2_000,
    { attempts: 2, codes: [503], perTryTimeoutMs: 1_000, backoffMs: 5 },
  ],
  ["a retry of no attempt", { timeouts: { backendRequest: "1s" }, retry: { attempts: 0 } }, 1_000, undefined],
] as const)
  test(`a rule that says ${name} of time and retries does that`, () => {
    const found = ruleOf({ ...rule, backendRefs: [backend("cart-v1")] });
    assert.deepEqual([found.timeoutMs, found.retry], [timeoutMs, retry]);
  });

test("a route in bad shape that was good before goes on as it was, and is no longer called whole", () => {
  const good = httpRoute("r", [{ backendRefs: [backend("cart-v1")] }]);
  const bad = httpRoute("r", [
    { matches: [path("RegularExpression", "(?=x)")], backendRefs: [backend("cart-v2")] },
    { backendRefs: [backend("cart-v2")] },
  ]);
  const mesh = routedMesh(good);
  mesh.apply(bad);
  assert.deepEqual(actionsOf(rulesOf(mesh)), ["cart-v1:80 1"]);
  assert.deepEqual(verdictsOf(mesh, KEY)[1], "PartiallyInvalid=True UnsupportedValue");
  const [, partial] = mesh.registry.routes.verdicts.get(KEY)![0]!.verdicts;
  assert.match(partial!.message, /^Fall Back: .* spec\.rules\[0\]\.matches\[0\]\.path\.value is "\(\?=x\)"/);
  mesh.apply(httpRoute("r", [{ timeouts: { request: "soon" }, backendRefs: [backend("cart-v2")] }]));
  assert.deepEqual(actionsOf(rulesOf(mesh)), ["cart-v1:80 1"], "still the last good one");
  mesh.apply(httpRoute("r", [{ backendRefs: [backend("cart-v2")] }]));
  assert.deepEqual(actionsOf(rulesOf(mesh)), ["cart-v2:80 1"]);
  assert.deepEqual(problemsOf(mesh), []);
});

test("a route that never was good does what of it can be read; another of its name takes nothing over", () => {
  const bad = httpRoute("r", [
    { matches: [path("RegularExpression", "[")], backendRefs: [backend("cart-v1")] },
    { backendRefs: [backend("cart-v2")] },
  ]);
  const mesh = routedMesh(bad);
  assert.deepEqual(actionsOf(rulesOf(mesh)), ["cart-v2:80 1"]);
  const [, partial] = mesh.registry.routes.verdicts.get(KEY)![0]!.verdicts;
  assert.match(partial!.message, /^Dropped Rule: .* spec\.rules\[0\]\.matches\[0\]\.path\.value is "\["/);
  assert.equal(problemsOf(mesh).filter((line) => line.includes('value is "["')).length, 1);
  mesh.apply(httpRoute("r", [{ backendRefs: [backend("cart-v1")] }]));
  mesh.apply({ ...bad, metadata: { ...bad.metadata, creationTimestamp: "2026-07-07T00:00:00Z" } });
  assert.deepEqual(actionsOf(rulesOf(mesh)), ["cart-v2:80 1"]);
});

test("a route of which nothing can be read does not take its service down", () => {
  const mesh = routedMesh(
    httpRoute("r", [{ matches: [path("RegularExpression", "[")], backendRefs: [backend("cart-v1")] }]),
  );
  assert.equal(mesh.registry.routes.rules.size, 0);
  assert.equal(verdictsOf(mesh, KEY)[0], "Accepted=False UnsupportedValue");
  const [accepted] = mesh.registry.routes.verdicts.get(KEY)![0]!.verdicts;
  const effect = "No rule can be used, so the Service is called as if the route were not there.";
  assert.ok(accepted!.message.startsWith(`${effect} spec.rules[0].matches[0].path.value is "["`), accepted!.message);
  const [unread, ...more] = problemsOf(mesh);
  assert.match(unread!, /spec\.rules\[0\]\.matches\[0\]\.path\.value is "\["/);
  assert.deepEqual(more, [`HTTPRoute shop/r: ${effect}`], "each once");
});

test("what routes say without effect is a problem", () => {
  const mesh = routedMesh(
    httpRoute("r", [{ sessionPersistence: { sessionName: "x" }, backendRefs: [backend("cart-v1")] }], {
      hostnames: ["x.example"],
    }),
  );
  assert.deepEqual(verdictsOf(mesh, KEY), ["Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs"]);
  assert.deepEqual(problemsOf(mesh), [
    "HTTPRoute shop/r: spec.hostnames has no effect on the routes of a service: its own names count.",
    "HTTPRoute shop/r: spec.rules[0].sessionPersistence is not supported, and has no effect.",
  ]);
});

test("of more matches than one port takes the youngest route goes without, and says so", () => {
  const matches = Array.from({ length: 128 }, (_, at) => path("Exact", `/${at}`));
  const routes = Array.from({ length: 157 }, (_, at) =>
    httpRoute(
      `r${at}`,
      [{ matches, backendRefs: [backend("cart-v1")] }],
      {},
      { creationTimestamp: new Date(Date.UTC(2026, 0, 1) + (157 - at) * 1_000).toISOString() },
    ),
  );
  const mesh = routedMesh(...routes);
  assert.equal(rulesOf(mesh).length, 156 * 128);
  assert.deepEqual(
    routes
      .map(({ metadata }) => verdictsOf(mesh, `HTTPRoute east/shop/${metadata.name}`)[0])
      .filter((v) => !v?.includes("=True")),
    ["Accepted=False UnsupportedValue"],
  );
  assert.match(problemsOf(mesh).join(), /^HTTPRoute shop\/r0: At most 20000 matches can be attached to one port/);
});

test("a grant for all Services of a namespace, and one of the core group by its name, permit the same", () => {
  for (const to of [
    { group: "", kind: "Service" },
    { group: "core", kind: "Service", name: "pay" },
  ]) {
    const from = [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: "shop" }];
    const grant = object(
      "gateway.networking.k8s.io/v1",
      "ReferenceGrant",
      { name: "g", namespace: "bank" },
      { spec: { from, to: [to] } },
    );
    const pay = service("pay", "10.3.0.1", {}, { namespace: "bank" });
    const { action } = ruleOf({ backendRefs: [hostname("pay.bank.svc.cluster.local")] }, pay, grant);
    assert.equal(action.kind, "forward");
  }
});
