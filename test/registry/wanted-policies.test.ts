import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { authorization, object, pod, service, serviceEntry } from "./mesh.ts";
import { stored, statusAfter, wantedMesh } from "./wanted-mesh.ts";

const KEY = "AuthorizationPolicy shop/guard";
const guard = (spec: Record<string, unknown>, metadata = {}): KubeObject =>
  stored(authorization("guard", spec, metadata), undefined, 3);
const targets = (...targetRefs: readonly Record<string, string>[]): KubeObject => guard({ targetRefs });
const aGateway = { group: "gateway.networking.k8s.io", kind: "Gateway", name: "wp" };
const aService = { group: "", kind: "Service", name: "cart" };
const waypoint = (addresses: readonly unknown[] = [{ type: "IPAddress", value: "10.0.0.9" }]): KubeObject =>
  object("gateway.networking.k8s.io/v1", "Gateway", { name: "wp" }, { spec: {}, status: { addresses } });

for (const [name, policy, verdict, message] of [
  ["a policy for a namespace", guard({}), "True Accepted", /^Attached to ztunnel for namespace shop\.$/],
  [
    "a policy with HTTP attributes in a rule",
    guard({ rules: [{ to: [{ operation: { methods: ["GET"] } }] }] }),
    "True UnsupportedValue",
    /namespace shop\. spec\.rules\[0\]\.to\[0\]\.operation\.methods needs HTTP/,
  ],
  ["a CUSTOM policy", guard({ action: "CUSTOM" }), "False UnsupportedValue", /spec\.action is CUSTOM.*no effect/],
  ["a dry run", guard({}, { annotations: { "istio.io/dry-run": "true" } }), "False UnsupportedValue", /dry-run/],
  [
    "a policy with a port that is none",
    guard({ action: "DENY", rules: [{ to: [{ operation: { ports: ["http"] } }] }] }),
    "True PartiallyInvalid",
    /spec\.rules\[0\]\.to\[0\]\.operation\.ports\[0\] is "http", not a port/,
  ],
  [
    "a policy that selects nobody",
    guard({ selector: { matchLabels: { app: "ghost" } } }),
    "True Accepted",
    /spec\.selector selects no workload/,
  ],
] as const)
  test(`the status of ${name} says whether it holds, and what of it does not`, () => {
    const { conditions, wanted } = wantedMesh([policy]);
    const [condition, ...more] = conditions(KEY);
    assert.deepEqual(more, []);
    assert.equal(`${condition?.type} ${condition?.status} ${condition?.reason}`, `ZtunnelAccepted ${verdict}`);
    assert.match(condition!.message, message);
    assert.equal(condition!.observedGeneration, 3);
    const { subresource, found, namespace, name: of } = wanted.get(KEY)!;
    assert.deepEqual([subresource, found, namespace, of], ["status", "different", "shop", "guard"]);
  });

test("a policy of the root namespace is said to bind the whole mesh", () => {
  const policy = stored(authorization("guard", {}, { namespace: "istio-system" }));
  const { conditions } = wantedMesh([policy]);
  assert.match(conditions("AuthorizationPolicy istio-system/guard")[0]!.message, /the whole mesh/);
});

test("the first workload that a policy selects changes its status, the next hundred do not", () => {
  const { apply, conditions, wanted } = wantedMesh([guard({ selector: { matchLabels: { app: "cart" } } })]);
  assert.match(conditions(KEY)[0]!.message, /selects no workload/);
  apply(pod("cart-0", "10.0.0.1", { app: "cart" }));
  assert.match(conditions(KEY)[0]!.message, /for the workloads that it selects/);
  let changes = 0;
  wanted.observe(() => (changes += 1));
  for (let at = 1; at <= 100; at++) apply(pod(`cart-${at}`, `10.0.0.${at + 1}`, { app: "cart" }));
  assert.equal(changes, 0);
});

test("a status that says what it should is left alone until the policy changes", () => {
  const { apply, wanted, conditions } = wantedMesh([guard({})]);
  const written = statusAfter(wanted.get(KEY)!, "2026-05-05T05:05:05Z");
  apply(stored(authorization("guard", {}), written, 3));
  assert.equal(wanted.get(KEY)!.found, "same");
  // A new generation with the same outcome keeps the time of the status; another outcome does not.
  apply(stored(authorization("guard", { rules: [{}] }), written, 4));
  assert.deepEqual([wanted.get(KEY)!.found, conditions(KEY)[0]!.since], ["different", "2026-05-05T05:05:05Z"]);
  apply(stored(authorization("guard", { action: "AUDIT" }), written, 5));
  assert.deepEqual([conditions(KEY)[0]!.status, conditions(KEY)[0]!.since], ["False", undefined]);
});

test("a generation that another control plane wrote as text is the same generation", () => {
  const { apply, wanted } = wantedMesh([guard({})]);
  const { conditions } = statusAfter(wanted.get(KEY)!) as { readonly conditions: readonly object[] };
  const text = conditions.map((condition) => ({ ...condition, observedGeneration: "3" }));
  apply(stored(authorization("guard", {}), { conditions: text }, 3));
  assert.equal(wanted.get(KEY)!.found, "same");
});

test("conditions of others are said again, at the version that they were read at", () => {
  const others = [{ type: "Reconciled", status: "True" }];
  const { wanted } = wantedMesh([stored(authorization("guard", {}), { conditions: others }, 3)]);
  const { othersConditions, resourceVersion } = wanted.get(KEY)!;
  assert.deepEqual([othersConditions, resourceVersion], [others, "77"]);
});

test("a message that is cut within a character is one that a server gives back as it is", () => {
  const { conditions } = wantedMesh([guard({ rules: [{ from: [{ source: { ipBlocks: ["😀".repeat(60)] } }] }] })]);
  const { message } = conditions(KEY)[0]!;
  assert.equal(Buffer.from(message).toString(), message);
  const { conditions: many } = wantedMesh([
    guard({ rules: [{ from: [{ source: { ipBlocks: [`x${"😀".repeat(60)}`] } }] }] }),
  ]);
  assert.equal(Buffer.from(many(KEY)[0]!.message).toString(), many(KEY)[0]!.message);
});

test("policies of another revision, of manifests and of other clusters get no status", () => {
  const labels = { "istio.io/rev": "canary" };
  const { wanted } = wantedMesh([guard({}, { labels }), authorization("file", {})]);
  assert.deepEqual([...wanted.entries()], []);
});

test("a status that cannot be read does not keep a policy from being read", () => {
  for (const status of ["x", { conditions: "x" }, { conditions: [7, null, { type: 7 }] }, [], null]) {
    const { registry, verdicts } = wantedMesh([stored(authorization("guard", {}), status, 3)]);
    assert.equal(registry.policies.size, 1);
    assert.deepEqual(verdicts(KEY), ["ZtunnelAccepted=True Accepted"]);
  }
});

for (const [name, objects, policy, verdict, message] of [
  ["a waypoint", [waypoint()], targets(aGateway), "True Accepted", /^Gateway wp enforces it\.$/],
  ["a gateway without address", [waypoint([])], targets(aGateway), "False AncestorNotBound", /has no address yet/],
  ["a gateway that is missing", [], targets(aGateway), "False TargetNotFound", /does not exist in namespace shop/],
  [
    "a gateway of another namespace",
    [waypoint()],
    targets({ ...aGateway, namespace: "prod" }),
    "False Invalid",
    /is in namespace prod, and a policy binds only in its own/,
  ],
  [
    "a service with a waypoint",
    [waypoint(), service("cart", "10.96.0.1", {}, { labels: { "istio.io/use-waypoint": "wp" } })],
    targets(aService),
    "True Accepted",
    /enforced by waypoint shop\/wp/,
  ],
  [
    "a service without a waypoint",
    [service("cart", "10.96.0.1")],
    targets(aService),
    "False AncestorNotBound",
    /label it istio\.io\/use-waypoint/,
  ],
  [
    "an entry whose waypoint is missing",
    [serviceEntry("api", { hosts: ["api.example"] }, { labels: { "istio.io/use-waypoint": "gone" } })],
    targets({ group: "networking.istio.io", kind: "ServiceEntry", name: "api" }),
    "False AncestorNotBound",
    /asks for waypoint shop\/gone, which does not exist/,
  ],
  ["a Pod", [], targets({ group: "", kind: "Pod", name: "x" }), "False Invalid", /cannot be a target/],
  [
    "two targets, one of them missing",
    [waypoint()],
    targets(aGateway, aService),
    "True PartiallyInvalid",
    /Gateway wp enforces it\. Service cart does not exist/,
  ],
] as const)
  test(`a policy for ${name} says whether a waypoint enforces it`, () => {
    const { conditions } = wantedMesh([...objects, policy]);
    const [condition, ...more] = conditions(KEY);
    assert.deepEqual(more, []);
    assert.equal(`${condition?.type} ${condition?.status} ${condition?.reason}`, `WaypointAccepted ${verdict}`);
    assert.match(condition!.message, message);
  });

test("only the root namespace may bind a class of waypoints", () => {
  const targetRefs = [{ group: "gateway.networking.k8s.io", kind: "GatewayClass", name: "istio-waypoint" }];
  const gatewayClass = (controllerName: string): KubeObject => ({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "GatewayClass",
    metadata: { name: "istio-waypoint" },
    spec: { controllerName },
  });
  const inRoot = stored(authorization("guard", { targetRefs }, { namespace: "istio-system" }));
  const ROOT = "AuthorizationPolicy istio-system/guard";
  const { apply, verdicts } = wantedMesh([guard({ targetRefs }), inRoot]);
  assert.deepEqual(verdicts(KEY), ["WaypointAccepted=False Invalid"]);
  assert.deepEqual(verdicts(ROOT), ["WaypointAccepted=False TargetNotFound"]);
  apply(gatewayClass("example.com/other"));
  assert.deepEqual(verdicts(ROOT), ["WaypointAccepted=False Invalid"]);
  apply(gatewayClass("istio.io/mesh-controller"));
  assert.deepEqual(verdicts(ROOT), ["WaypointAccepted=True Accepted"]);
});

test("a policy that gets targetRefs is no longer said to be ztunnel's", () => {
  const { apply, verdicts, wanted } = wantedMesh([guard({}), waypoint()]);
  apply(stored(authorization("guard", { targetRefs: [aGateway] }), statusAfter(wanted.get(KEY)!), 4));
  assert.deepEqual(verdicts(KEY), ["WaypointAccepted=True Accepted"]);
  assert.equal(wanted.get(KEY)!.found, "different");
});
