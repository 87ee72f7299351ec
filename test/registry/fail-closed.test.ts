import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, podUid, policyName } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { authorization, object, peerAuthentication, pod, testMesh, type TestMesh } from "./mesh.ts";

const POLICY = policyName("shop", "p");
const STRICT = policyName("istio-system", "istio_converted_static_strict");
const everything = [{ clauses: [] }];
const from = (principal: string) => [{ from: [{ source: { principals: [principal] } }] }];
const fromEve = [{ clauses: [{ matches: [{ principals: [{ kind: "exact", value: "eve" }] }] }] }];

/** Metadata that no API server would have stored, each under the name `p`. */
const badMetadata: readonly (readonly [string, Record<string, unknown>])[] = [
  ["a label that is a number", { labels: { app: 1 } }],
  ["a label with a space", { labels: { app: "a b" } }],
  ["labels that are a list", { labels: [] }],
  ["annotations that are text", { annotations: "x" }],
  ["a uid that is a map", { uid: {} }],
];

for (const [what, bad] of badMetadata) {
  test(`a policy that gets ${what} stays as it was before, and says so`, () => {
    const mesh = testMesh([authorization("p", { action: "DENY", rules: from("eve") })]);
    mesh.apply(authorization("p", { action: "ALLOW", rules: [{}] }, bad));
    assert.deepEqual(policyIn(mesh), ["deny", fromEve]);
    assert.match(onlyProblem(mesh), /what the object said before stays in force\.$/);
    mesh.apply(authorization("p", { action: "DENY", rules: [{}] }));
    assert.deepEqual(policyIn(mesh), ["deny", everything]);
    assert.equal(mesh.registry.problems.size, 0);
  });

  test(`a DENY that always had ${what} denies what its rules say`, () => {
    const mesh = testMesh([authorization("p", { action: "DENY", rules: from("eve") }, bad)]);
    assert.deepEqual(policyIn(mesh), ["deny", fromEve]);
    assert.match(onlyProblem(mesh), /what it denies is denied, and what it allows is not allowed\.$/);
  });

  test(`an ALLOW that always had ${what} allows nobody, and is still there to deny`, () => {
    const mesh = testMesh([authorization("p", { action: "ALLOW", rules: from("eve") }, bad)]);
    assert.deepEqual(policyIn(mesh), ["allow", []]);
  });

  test(`a PeerAuthentication that gets ${what} stays as it was before`, () => {
    const mesh = testMesh([pod("cart", "10.0.0.1"), peerAuthentication("p", { mtls: { mode: "STRICT" } })]);
    mesh.apply(peerAuthentication("p", { mtls: { mode: "PERMISSIVE" } }, bad));
    assert.deepEqual(policiesOf(mesh), [STRICT]);
  });

  test(`a STRICT PeerAuthentication that always had ${what} is STRICT`, () => {
    const mesh = testMesh([pod("cart", "10.0.0.1"), peerAuthentication("p", { mtls: { mode: "STRICT" } }, bad)]);
    assert.deepEqual(policiesOf(mesh), [STRICT]);
    assert.equal(mesh.registry.problems.size, 1);
  });

  test(`a PERMISSIVE PeerAuthentication that always had ${what} opens nothing`, () => {
    const mesh = testMesh([
      pod("cart", "10.0.0.1"),
      peerAuthentication("mesh", { mtls: { mode: "STRICT" } }, { namespace: "istio-system" }),
      peerAuthentication("p", { mtls: { mode: "PERMISSIVE" } }, bad),
    ]);
    assert.deepEqual(policiesOf(mesh), [STRICT]);
  });
}

test("a policy that may be for trial only is enforced if that cannot be read", () => {
  const mesh = testMesh([
    authorization("p", { action: "DENY", rules: from("eve") }, { annotations: { "istio.io/dry-run": true } }),
  ]);
  assert.deepEqual(policyIn(mesh), ["deny", fromEve]);
  assert.equal(mesh.registry.policies.get(POLICY)?.dryRun, false);
});

test("a policy that cannot be read keeps its selector: only the workloads that it binds are closed", () => {
  const selector = { matchLabels: { app: "cart" } };
  const mesh = testMesh([
    pod("cart", "10.0.0.1", { app: "cart" }),
    pod("desk", "10.0.0.2", { app: "desk" }),
    authorization("p", { selector, action: "DENY", rules: [{}] }, { labels: { app: 1 } }),
  ]);
  assert.equal(mesh.registry.policies.get(POLICY)?.scope, "selector");
  assert.deepEqual(policiesOf(mesh), [POLICY]);
  assert.deepEqual(policiesOf(mesh, "desk"), []);
});

test("a policy that cannot be read is gone once it is deleted, whatever it was called", () => {
  for (const name of ["p", "Not_A_Name", "p".repeat(300)]) {
    const mesh = testMesh([authorization(name, { action: "DENY", rules: [{}] }, { labels: { app: 1 } })]);
    assert.equal(mesh.registry.policies.size, 1);
    mesh.remove(authorization(name, {}));
    assert.deepEqual([mesh.registry.policies.size, mesh.registry.problems.size], [0, 0]);
    // What it was before it was deleted must not come back.
    mesh.apply(authorization(name, { action: "ALLOW", rules: [{}] }, { labels: { app: 1 } }));
    assert.deepEqual([...mesh.registry.policies.entries()][0]?.[1].rules, []);
  }
});

test("a policy that moved to another revision does not come back when it cannot be read", () => {
  const mesh = testMesh([
    authorization("p", { action: "DENY", rules: [{}] }, { labels: { "istio.io/rev": "canary" } }),
  ]);
  mesh.apply(authorization("p", { action: "DENY", rules: [{}] }, { labels: { "istio.io/rev": "canary", app: 1 } }));
  assert.equal(mesh.registry.policies.size, 0);
});

test("a user's policy with the name of a converted one is enforced beside that", () => {
  for (const name of ["converted_peer_authentication_w", "istio_converted_static_strict"]) {
    const mesh = testMesh([
      pod("cart", "10.0.0.1", { app: "cart" }),
      peerAuthentication("w", {
        selector: { matchLabels: { app: "cart" } },
        portLevelMtls: { 80: { mode: "STRICT" } },
      }),
      peerAuthentication("mesh", { mtls: { mode: "STRICT" } }, { namespace: "istio-system" }),
      authorization(name, { action: "DENY", rules: from("eve") }, { namespace: "istio-system" }),
      authorization(name, { action: "DENY", rules: from("eve") }),
    ]);
    const users = [...mesh.registry.policies.entries()].filter(([, { scope }]) => scope !== "selector");
    assert.deepEqual(
      users.map(([, { namespace, action, rules }]) => [namespace, action, rules]),
      [
        ["istio-system", "deny", fromEve],
        ["shop", "deny", fromEve],
      ],
    );
    assert.notDeepEqual(mesh.registry.policies.get(STRICT)?.rules, fromEve);
    assert.equal(mesh.registry.problems.size, 2);
  }
});

test("a policy of a version that nobody reads is not passed over: its DENY holds", () => {
  const mesh = testMesh([
    object("security.istio.io/v9", "AuthorizationPolicy", { name: "p" }, { spec: { action: "DENY", rules: [{}] } }),
  ]);
  assert.deepEqual(policyIn(mesh), ["deny", everything]);
  assert.match(onlyProblem(mesh), /^apiVersion is "security.istio.io\/v9"; use security.istio.io\/v1 or /);
});

test("what sends traffic through a waypoint stays as it was if it cannot be read any more", () => {
  const use = { "istio.io/use-waypoint": "w" };
  const namespace = (metadata: object) =>
    object("v1", "Namespace", { name: "shop", namespace: undefined, ...metadata });
  const gateway = (labels: object, status: object) =>
    object("gateway.networking.k8s.io/v1", "Gateway", { name: "w", labels }, { status });
  const status = { addresses: [{ type: "IPAddress", value: "10.1.0.9" }] };
  const mesh = testMesh([
    pod("cart", "10.0.0.1"),
    namespace({ labels: use }),
    gateway({ "istio.io/waypoint-for": "all" }, status),
  ]);
  const waypoint = () => mesh.registry.workloads.get(podUid(clusterId("east"), "shop", "cart"))?.waypoint?.hbonePort;
  assert.equal(waypoint(), 15_008);
  mesh.apply(namespace({ labels: { ...use, team: "a b" } }));
  mesh.apply(gateway({ "istio.io/waypoint-for": "all" }, { addresses: "10.1.0.9" }));
  assert.equal(waypoint(), 15_008);
  assert.equal(mesh.registry.problems.size, 2);
  mesh.apply(namespace({ labels: {} }));
  assert.equal(waypoint(), undefined);
});

test("a policy without a name or a possible namespace is said to be no protection", () => {
  const nowhere: readonly KubeObject[] = [
    { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", spec: {} } as unknown as KubeObject,
    authorization("", { action: "DENY", rules: [{}] }),
    authorization("p", { action: "DENY", rules: [{}] }, { namespace: "Not A Namespace" }),
  ];
  for (const policy of nowhere) assert.match(onlyProblem(testMesh([policy])), /NOTHING that it denies is denied/);
});

const badSpecs: readonly (readonly [string, unknown, "allow" | "deny", unknown])[] = [
  ["a spec that is a list", [], "allow", []],
  ["a misspelt action", { actoin: "DENY", rules: from("eve") }, "allow", []],
  ["misspelt rules of a DENY", { action: "DENY", rule: from("eve") }, "deny", everything],
  ["a misspelt selector of a DENY", { action: "DENY", selectors: {}, rules: from("eve") }, "deny", fromEve],
  ["targetRefs that are a map", { targetRefs: { name: "w" }, rules: [{}] }, "allow", []],
  ["an action that is null", { action: null, rules: [{}] }, "allow", everything],
  ["a selector that is text, of an ALLOW", { selector: "app=cart", rules: [{}] }, "allow", []],
  ["a selector that is text, of a DENY", { action: "DENY", selector: "x", rules: from("eve") }, "deny", fromEve],
];
for (const [what, spec, action, rules] of badSpecs)
  test(`an AuthorizationPolicy with ${what} lets nobody through who would not have been`, () => {
    const mesh = testMesh([object("security.istio.io/v1", "AuthorizationPolicy", { name: "p" }, { spec })]);
    assert.deepEqual(policyIn(mesh), [action, rules]);
    assert.equal(mesh.registry.policies.get(POLICY)?.scope, "namespace");
    assert.equal(mesh.registry.problems.size, what.endsWith("null") ? 0 : 1);
  });

const cart = { matchLabels: { app: "cart" } };
/** Each beside a mesh-wide STRICT, or none. */
const badModes: readonly (readonly [string, unknown, "STRICT" | undefined, boolean])[] = [
  ["a spec that is text", "STRICT", undefined, true],
  ["a mode nobody knows", { mtls: { mode: "Strict" } }, undefined, true],
  ["misspelt mtls", { selector: cart, mtlss: { mode: "STRICT" } }, undefined, true],
  ["a STRICT port that is none", { selector: cart, portLevelMtls: { http: { mode: "STRICT" } } }, undefined, true],
  ["an open port that is none", { selector: cart, portLevelMtls: { http: { mode: "DISABLE" } } }, undefined, false],
  ["ports that are a list", { selector: cart, portLevelMtls: [80] }, undefined, true],
  ["a bad selector, PERMISSIVE", { selector: "x", mtls: { mode: "PERMISSIVE" } }, "STRICT", true],
  ["a bad selector, STRICT", { selector: "x", mtls: { mode: "STRICT" } }, undefined, true],
  ["a bad selector and a STRICT port", { selector: "x", portLevelMtls: { 80: { mode: "STRICT" } } }, undefined, true],
];
for (const [what, spec, mesh, closed] of badModes)
  test(`a PeerAuthentication with ${what} ${closed ? "closes" : "leaves open"}`, () => {
    const built = testMesh([
      pod("cart", "10.0.0.1", { app: "cart" }),
      ...(mesh ? [peerAuthentication("mesh", { mtls: { mode: mesh } }, { namespace: "istio-system" })] : []),
      object("security.istio.io/v1", "PeerAuthentication", { name: "p" }, { spec }),
    ]);
    assert.deepEqual(policiesOf(built), closed ? [STRICT] : []);
    assert.equal(built.registry.problems.size, 1);
  });

test("a PeerAuthentication in doubt that is older does not stand before one that closes", () => {
  const mesh = testMesh([
    pod("cart", "10.0.0.1"),
    peerAuthentication("old", { selector: "x" }, { creationTimestamp: "2026-01-01T00:00:00Z" }),
    peerAuthentication("new", { mtls: { mode: "STRICT" } }, { creationTimestamp: "2026-01-02T00:00:00Z" }),
  ]);
  assert.deepEqual(policiesOf(mesh), [STRICT]);
});

function policyIn({ registry }: TestMesh): readonly unknown[] {
  const policy = registry.policies.get(POLICY);
  return [policy?.action, policy?.rules];
}

const policiesOf = ({ registry }: TestMesh, name = "cart"): readonly string[] | undefined =>
  registry.workloads.get(podUid(clusterId("east"), "shop", name))?.policies;

function onlyProblem({ registry }: TestMesh): string {
  const problems = [...registry.problems.entries()].map(([, problem]) => problem);
  assert.deepEqual(
    problems.map(({ severity }) => severity),
    ["error"],
  );
  return problems[0]!.message;
}
