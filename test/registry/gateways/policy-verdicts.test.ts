import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../../src/kube/object.ts";
import { clusterId } from "../../../src/names.ts";
import { federatedKey, type FederatedService } from "../../../src/registry/model/federated-service.ts";
import type { Problem } from "../../../src/registry/model/problem.ts";
import { authorization, object, service } from "../mesh.ts";
import { facts, federated, peerGateway, status } from "../peers.ts";
import { stored, wantedMesh } from "../wanted-mesh.ts";
import { guard, toCart, tokens } from "./proxied.ts";

const GATEWAY = "gateway.networking.k8s.io";
const gateway = (name: string, gatewayClassName = "istio-waypoint"): KubeObject =>
  object(
    `${GATEWAY}/v1`,
    "Gateway",
    { name },
    { spec: { gatewayClassName }, status: { addresses: [{ type: "IPAddress", value: "10.0.0.9" }] } },
  );
const USE = { "istio.io/use-waypoint": "wp" };
const cart = (labels: object = {}, annotations: object = {}): KubeObject =>
  service("cart", "10.96.0.1", {}, { labels: { ...USE, ...labels }, annotations });
const shared = (waypointPolicy: string): KubeObject =>
  cart({ "solo.io/service-scope": "global" }, { "peering.causeway.dev/waypoint-policy": waypointPolicy });
const namespace = (labels: object): KubeObject =>
  ({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop", labels } }) as unknown as KubeObject;
const policy = stored(guard({ action: "DENY", rules: [{}] }));
const THEIRS = { namespace: "shop", name: "edge", identity: "spiffe://cluster.local/ns/shop/sa/edge" };

/** What is said of policy `guard`: its condition, and its problems. */
function said(objects: readonly KubeObject[], ...records: readonly FederatedService[]) {
  const mesh = wantedMesh([gateway("wp"), ...objects]);
  const { registry, graph, apply } = mesh;
  for (const record of records) {
    apply(peerGateway(record.cluster));
    registry.peers.facts.set(clusterId(record.cluster), facts(record.cluster));
    registry.peers.statuses.set(clusterId(record.cluster), status(record.cluster));
    registry.peers.federated.set(federatedKey(record), record);
  }
  graph.flush();
  const of = (kind: string, name: string) => {
    const [condition] = mesh.conditions(`${kind} shop/${name}`);
    const problems = Array.from(registry.problems.entries(), ([, problem]) => problem);
    const about = problems.filter(({ object }) => object === `${kind} shop/${name}`);
    return {
      verdict: `${condition?.type} ${condition?.status} ${condition?.reason}`,
      message: condition?.message ?? "",
      problems: about.map(({ severity, message }: Problem) => `${severity}: ${message}`),
    };
  };
  return { ...mesh, ...of("AuthorizationPolicy", "guard"), of };
}

test("a policy whose target is in another namespace names that", () => {
  const elsewhere = service("cart", "10.96.0.2", {}, { namespace: "web", labels: USE });
  const { verdict, message, problems } = said([elsewhere, policy]);
  assert.equal(verdict, "WaypointAccepted False TargetNotFound");
  assert.match(
    message,
    /^Service cart does not exist in namespace shop; there is one in namespace web, and a policy binds/,
  );
  assert.deepEqual(problems, [`warning: ${message} Nobody enforces it.`]);
});

test("a policy for an east-west gateway says that such a one enforces nothing", () => {
  const targetRefs = [{ group: GATEWAY, kind: "Gateway", name: "door" }];
  const { verdict, message } = said([gateway("door", "istio-eastwest"), stored(guard({ targetRefs }))]);
  assert.equal(verdict, "WaypointAccepted False Invalid");
  assert.match(message, /Gateway door is no waypoint, and passes on unopened/);
});

test("a Service that only peers have is guarded here if its namespace has a waypoint", () => {
  const bare = said([policy], federated("west"));
  assert.equal(bare.verdict, "WaypointAccepted False AncestorNotBound");
  assert.match(
    bare.message,
    /only, as cart\.shop\.mesh\.internal, and namespace shop has no waypoint; label the namespace/,
  );
  const guarded = said([namespace(USE), policy], federated("west"));
  assert.equal(guarded.verdict, "WaypointAccepted True Accepted");
  assert.match(guarded.message, /cart\.shop\.mesh\.internal, and has it enforced here by waypoint shop\/wp\.$/);
  const theirs = said([namespace(USE), policy], federated("west", { waypointPolicy: "destination" }));
  assert.equal(theirs.verdict, "WaypointAccepted False AncestorNotBound");
  assert.match(theirs.message, /to be guarded there/);
});

test("a policy for a Service that is not shared, or whose callers all pass its waypoint, says nothing of others", () => {
  for (const own of [cart(), shared("destination"), shared("both")]) {
    const { verdict, message, problems } = said([own, policy], federated("west", { waypoint: THEIRS }));
    assert.equal(verdict, "WaypointAccepted True Accepted");
    assert.equal(message, "Service cart has it enforced by waypoint shop/wp.");
    assert.deepEqual(problems, []);
  }
});

test("a policy that callers of other clusters may not meet says so in its status, as information", () => {
  const { verdict, message, problems } = said([shared("once"), policy]);
  assert.equal(verdict, "WaypointAccepted True Accepted");
  assert.match(
    message,
    /Service shop\/cart is shared with other clusters, and callers there that pass a waypoint of their own do not pass waypoint shop\/wp \(waypoint-policy once\): this policy does not hold for them; write the policy in their cluster, too/,
  );
  assert.equal(problems.length, 1);
  assert.match(problems[0]!, /^info: Service shop\/cart is shared/);
});

test("a policy that callers of a peer do not meet names the peer and its waypoint, once for all its targets", () => {
  const targetRefs = [...toCart.targetRefs, { group: GATEWAY, kind: "Gateway", name: "wp" }];
  const { problems, of } = said(
    [
      shared("once"),
      stored(guard({ targetRefs })),
      stored(tokens({ jwtRules: [{ issuer: "i", jwksUri: "https://a.example" }] })),
    ],
    federated("west", { waypoint: THEIRS }),
    federated("north"),
  );
  assert.equal(problems.length, 1);
  assert.match(
    problems[0]!,
    /^warning: .*\(waypoint-policy once\), as those of cluster west \(shop\/edge\): this policy/,
  );
  assert.equal(of("RequestAuthentication", "tokens").problems.length, 1);
});

test("a policy whose waypoint no caller of another cluster passes says that they are not checked", () => {
  const { problems } = said([shared("source"), policy]);
  assert.equal(problems.length, 1);
  assert.match(problems[0]!, /^warning: .*callers there do not pass waypoint shop\/wp \(waypoint-policy source\)/);
});

test("a policy for a Gateway names the shared Services that it serves, a few of them", () => {
  const targetRefs = [{ group: GATEWAY, kind: "Gateway", name: "wp" }];
  const labels = { ...USE, "solo.io/service-scope": "global" };
  const many = ["a", "b", "c", "d"].map((name, at) => service(name, `10.96.1.${at}`, {}, { labels }));
  const { message, problems } = said([...many, stored(guard({ targetRefs }))]);
  assert.match(message, /Service shop\/a, shop\/b, shop\/c and others are shared with other clusters/);
  assert.equal(problems.length, 1);
});

test("a policy for a Gateway whose shared Services differ in who passes it says so", () => {
  const targetRefs = [{ group: GATEWAY, kind: "Gateway", name: "wp" }];
  const desk = service("desk", "10.96.1.1", {}, { labels: { ...USE, "solo.io/service-scope": "global" } });
  const { problems } = said([shared("source"), desk, stored(guard({ targetRefs }))]);
  assert.equal(problems.length, 1);
  assert.match(
    problems[0]!,
    /^warning: Service shop\/cart, shop\/desk are shared .*some callers there do not pass waypoint shop\/wp \(waypoint-policy once or source\)/,
  );
});

for (const [what, spec, metadata, verdict, message] of [
  [
    "CUSTOM",
    { action: "CUSTOM", rules: [{}] },
    {},
    "True PartiallyInvalid",
    /wp\. spec\.action is CUSTOM, and there is no/,
  ],
  [
    "AUDIT",
    { action: "AUDIT", rules: [{}] },
    {},
    "False UnsupportedValue",
    /spec\.action is AUDIT, which waypoints here cannot/,
  ],
  [
    "a method that is a number",
    { rules: [{ to: [{ operation: { methods: [7] } }] }] },
    {},
    "True PartiallyInvalid",
    /methods\[0\] is 7, which no method matches; .*it allows nobody/,
  ],
  [
    "a dry run",
    { rules: [{}] },
    { annotations: { "istio.io/dry-run": "true" } },
    "True Accepted",
    /It is only tried \(metadata\.annotations\[istio\.io\/dry-run\]\)/,
  ],
  [
    "a target without a name",
    { targetRefs: [{ kind: "Service" }], rules: [{}] },
    {},
    "True PartiallyInvalid",
    /spec\.targetRefs\[0\] must have group, kind and name/,
  ],
] as const)
  test(`the status of a policy for waypoints with ${what} says what comes of it`, () => {
    const found = said([cart(), stored(guard(spec, metadata))]);
    assert.equal(found.verdict, `WaypointAccepted ${verdict}`);
    assert.match(found.message, message);
  });

for (const [what, spec, verdict, message] of [
  [
    "keys",
    { jwtRules: [{ issuer: "i", jwksUri: "https://a.example" }] },
    "True Accepted",
    /^Service cart has it enforced/,
  ],
  [
    "a bad URL",
    { jwtRules: [{ issuer: "i", jwksUri: "ftp://a" }] },
    "True PartiallyInvalid",
    /wp\. spec\.jwtRules\[0\]\.jwksUri must/,
  ],
  ["no rules", {}, "False UnsupportedValue", /spec\.jwtRules is empty, so no token is checked/],
  ["no target", { targetRefs: [] }, "False Invalid", /spec\.targetRefs is missing: ztunnels read no tokens/],
  [
    "a selector",
    { targetRefs: [], selector: { matchLabels: { app: "cart" } } },
    "False Invalid",
    /also a selector has none/,
  ],
] as const)
  test(`the status of a RequestAuthentication with ${what} says whether tokens are checked`, () => {
    const found = said([cart(), stored(tokens(spec))]).of("RequestAuthentication", "tokens");
    assert.equal(found.verdict, `WaypointAccepted ${verdict}`);
    assert.match(found.message, message);
  });

test("policies of other clusters and of manifests get no status, and do not hold", () => {
  const { registry, graph, wanted } = said([cart()]);
  const west = registry.intake(clusterId("west"));
  west.set(stored(authorization("guard", { ...toCart, rules: [{}] })), "");
  graph.flush();
  assert.deepEqual([...registry.policyInputs.authorization.entries()], []);
  assert.equal(wanted.get("AuthorizationPolicy shop/guard"), undefined);
});
