import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, podUid, policyName } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import type { PolicyRule } from "../../src/registry/model/policy.ts";
import type { RegistryOptions } from "../../src/registry/options.ts";
import { authorization, object, peerAuthentication, pod, testMesh, type TestMesh } from "./mesh.ts";

type Fields = Readonly<Record<string, unknown>>;
const ROOT = { namespace: "istio-system" };
const cartOnly = { selector: { matchLabels: { app: "cart" } } };
const policies = ({ registry }: TestMesh, name = "cart", home = "shop") =>
  registry.workloads.get(podUid(clusterId("east"), home, name))?.policies;
const names = ({ registry }: TestMesh) => [...registry.policies.entries()].map(([name]) => name).sort();

/** Whom a policy binds (contract ztunnel.md 5.7), and whether the pod `cart`, labelled app=cart, lists it. */
const scopes: readonly (readonly [string, KubeObject, string, boolean])[] = [
  ["without a selector in the root namespace: all", authorization("p", {}, ROOT), "global", false],
  ["without a selector: its namespace", authorization("p", {}), "namespace", false],
  ["with a selector: those it matches", authorization("p", cartOnly), "selector", true],
  [
    "with a selector that does not match: not them",
    authorization("p", { selector: { matchLabels: { app: "desk" } } }),
    "selector",
    false,
  ],
  [
    "with a selector of two labels, one of which is missing: not them",
    authorization("p", { selector: { matchLabels: { app: "cart", x: "y" } } }),
    "selector",
    false,
  ],
  [
    "with a selector in the root namespace: those it matches in any",
    authorization("p", cartOnly, ROOT),
    "selector",
    true,
  ],
  [
    "with a selector in another namespace: none of these",
    authorization("p", cartOnly, { namespace: "bank" }),
    "selector",
    false,
  ],
  [
    "with an empty selector: its namespace, since nobody can list it",
    authorization("p", { selector: {} }),
    "namespace",
    false,
  ],
];
for (const [what, written, scope, lists] of scopes)
  test(`a policy binds, ${what}`, () => {
    const mesh = testMesh([pod("cart", "10.0.0.1", { app: "cart" }), written]);
    const name = policyName(written.metadata.namespace!, "p");
    assert.equal(mesh.registry.policies.get(name)?.scope, scope);
    assert.deepEqual(policies(mesh), lists ? [name] : []);
  });

test("a workload lists its policies sorted, then those of its PeerAuthentications", () => {
  const mesh = testMesh([
    pod("cart", "10.0.0.1", { app: "cart" }),
    authorization("z", cartOnly),
    authorization("a", cartOnly),
    authorization("m", cartOnly, ROOT),
    peerAuthentication("mesh", { mtls: { mode: "STRICT" } }, ROOT),
  ]);
  assert.deepEqual(policies(mesh), [
    "istio-system/m",
    "shop/a",
    "shop/z",
    "istio-system/istio_converted_static_strict",
  ]);
});

test("a workload lists a policy as soon as its labels match, and no longer than they do", () => {
  const mesh = testMesh([authorization("p", cartOnly), pod("cart", "10.0.0.1", { app: "desk" })]);
  assert.deepEqual(policies(mesh), []);
  mesh.apply(pod("cart", "10.0.0.1", { app: "cart" }));
  assert.deepEqual(policies(mesh), ["shop/p"]);
  mesh.remove(authorization("p", cartOnly));
  assert.deepEqual(policies(mesh), []);
});

const dryRun = { annotations: { "istio.io/dry-run": "true" } };
/** What is never enforced here (contract ztunnel.md 5.7). */
const unsent: readonly (readonly [string, KubeObject, Partial<RegistryOptions>, boolean])[] = [
  ["for a waypoint that is not there", authorization("p", { targetRefs: [{ kind: "Gateway", name: "w" }] }), {}, true],
  ["for one target that is not there", authorization("p", { targetRef: { kind: "Gateway", name: "w" } }), {}, true],
  ["that audits", authorization("p", { action: "AUDIT", rules: [{}] }), {}, true],
  ["that asks another", authorization("p", { action: "CUSTOM", provider: { name: "x" }, rules: [{}] }), {}, true],
  ["to be tried, if clients cannot", authorization("p", { action: "DENY", rules: [{}] }, dryRun), {}, false],
  ["of another revision", authorization("p", { rules: [{}] }, { labels: { "istio.io/rev": "canary" } }), {}, false],
];
for (const [what, written, options, told] of unsent)
  test(`a policy ${what} is not sent${told ? ", and its author is told" : ""}`, () => {
    const mesh = testMesh([written], options);
    assert.deepEqual(names(mesh), []);
    assert.equal(mesh.registry.problems.size, told ? 1 : 0);
  });

test("a policy to be tried is sent as that to clients that can", () => {
  const { registry } = testMesh([authorization("p", { action: "DENY", rules: [{}] }, dryRun)], {
    dryRunPolicies: true,
  });
  assert.equal(registry.policies.get(policyName("shop", "p"))?.dryRun, true);
  const enforced = testMesh([authorization("p", { action: "DENY", rules: [{}] })], { dryRunPolicies: true });
  assert.equal(enforced.registry.policies.get(policyName("shop", "p"))?.dryRun, false);
});

test("a policy labelled with our revision is ours", () => {
  const labels = { "istio.io/rev": "canary" };
  assert.deepEqual(names(testMesh([authorization("p", {}, { labels })], { revision: "canary" })), ["shop/p"]);
});

const one = (match: Fields): readonly PolicyRule[] => [{ clauses: [{ matches: [match] }] }];
const exact = (value: string) => ({ kind: "exact", value }) as const;
/** How what is written reads (contract ztunnel.md 5.7, strings and L4 keys). Each holds for both actions. */
const readings: readonly (readonly [string, Fields, readonly PolicyRule[]])[] = [
  ["a star alone is any", { from: [{ source: { principals: ["*"] } }] }, one({ principals: [{ kind: "presence" }] })],
  [
    "a star first is an ending",
    { from: [{ source: { principals: ["*/sa/a"] } }] },
    one({ principals: [{ kind: "suffix", value: "/sa/a" }] }),
  ],
  [
    "a star last is a beginning",
    { from: [{ source: { namespaces: ["a*"] } }] },
    one({ namespaces: [{ kind: "prefix", value: "a" }] }),
  ],
  ["no star is the very text", { from: [{ source: { notNamespaces: ["a"] } }] }, one({ notNamespaces: [exact("a")] })],
  [
    "a range loses its host bits",
    { from: [{ source: { ipBlocks: ["10.1.2.3/16"] } }] },
    one({ sourceIps: [{ ip: "10.1.0.0", prefixLength: 16 }] }),
  ],
  [
    "an address is a whole one",
    { from: [{ source: { notIpBlocks: ["10.1.2.3", "::1"] } }] },
    one({
      notSourceIps: [
        { ip: "10.1.2.3", prefixLength: 32 },
        { ip: "::1", prefixLength: 128 },
      ],
    }),
  ],
  [
    "a service account is of the policy's namespace",
    { from: [{ source: { serviceAccounts: ["a"] } }] },
    one({ serviceAccounts: [{ namespace: "shop", serviceAccount: "a" }] }),
  ],
  [
    "or of the one it names",
    { from: [{ source: { notServiceAccounts: ["b/a"] } }] },
    one({ notServiceAccounts: [{ namespace: "b", serviceAccount: "a" }] }),
  ],
  [
    "ports are text",
    { to: [{ operation: { ports: ["80"], notPorts: ["81"] } }] },
    one({ destinationPorts: [80], notDestinationPorts: [81] }),
  ],
  [
    "source.ip",
    { when: [{ key: "source.ip", values: ["10.0.0.1"] }] },
    one({ sourceIps: [{ ip: "10.0.0.1", prefixLength: 32 }] }),
  ],
  ["source.namespace", { when: [{ key: "source.namespace", notValues: ["a"] }] }, one({ notNamespaces: [exact("a")] })],
  [
    "source.principal",
    { when: [{ key: "source.principal", values: ["spiffe://td/a"] }] },
    one({ principals: [exact("td/a")] }),
  ],
  [
    "destination.ip",
    { when: [{ key: "destination.ip", values: ["10.0.0.1"] }] },
    one({ destinationIps: [{ ip: "10.0.0.1", prefixLength: 32 }] }),
  ],
  [
    "destination.port",
    { when: [{ key: "destination.port", values: ["80"], notValues: ["81"] }] },
    one({ destinationPorts: [80], notDestinationPorts: [81] }),
  ],
  [
    "from, to and each when all hold; items of one list suffice",
    {
      from: [{ source: { namespaces: ["a"] } }, { source: { namespaces: ["b"] } }],
      to: [{ operation: { ports: ["80"] } }],
      when: [
        { key: "source.principal", values: ["x"] },
        { key: "destination.port", values: ["80"] },
      ],
    },
    [
      {
        clauses: [
          { matches: [{ namespaces: [exact("a")] }, { namespaces: [exact("b")] }] },
          { matches: [{ destinationPorts: [80] }] },
          { matches: [{ principals: [exact("x")] }] },
          { matches: [{ destinationPorts: [80] }] },
        ],
      },
    ],
  ],
];
for (const action of ["ALLOW", "DENY"])
  for (const [what, rule, expected] of readings)
    test(`in an ${action} rule, ${what}`, () => {
      const { registry } = testMesh([authorization("p", { action, rules: [rule] })]);
      assert.deepEqual(registry.policies.get(policyName("shop", "p"))?.rules, expected);
      assert.equal(registry.problems.size, 0);
    });

const L7: readonly Fields[] = [
  { to: [{ operation: { hosts: ["a"] } }] },
  { to: [{ operation: { notHosts: ["a"] } }] },
  { to: [{ operation: { methods: ["GET"] } }] },
  { to: [{ operation: { notMethods: ["GET"] } }] },
  { to: [{ operation: { paths: ["/a"] } }] },
  { to: [{ operation: { notPaths: ["/a"] } }] },
  { from: [{ source: { requestPrincipals: ["a"] } }] },
  { from: [{ source: { notRequestPrincipals: ["a"] } }] },
  { from: [{ source: { remoteIpBlocks: ["10.0.0.1"] } }] },
  { from: [{ source: { notRemoteIpBlocks: ["10.0.0.1"] } }] },
  { when: [{ key: "request.headers[x]", values: ["a"] }] },
  { when: [{ key: "request.auth.claims[iss]", notValues: ["a"] }] },
  { when: [{ key: "connection.sni", values: ["a"] }] },
];
for (const rule of L7) {
  const written = JSON.stringify(rule);
  const with80: Fields = {
    ...rule,
    when: [...((rule["when"] as Fields[] | undefined) ?? []), { key: "destination.port", values: ["80"] }],
  };
  const on80 = one({ destinationPorts: [80] });
  test(`a DENY that needs HTTP denies without looking: ${written}`, () => {
    const mesh = testMesh([
      authorization("p", { action: "DENY", rules: [rule] }),
      authorization("q", { action: "DENY", rules: [with80] }),
    ]);
    assert.deepEqual(mesh.registry.policies.get(policyName("shop", "p"))?.rules, [{ clauses: [] }]);
    assert.deepEqual(mesh.registry.policies.get(policyName("shop", "q"))?.rules, on80);
    assert.deepEqual(
      [...mesh.registry.problems.entries()].map(([, { severity }]) => severity),
      ["warning", "warning"],
    );
  });

  test(`an ALLOW rule that needs HTTP allows nothing, and the others stay: ${written}`, () => {
    const { registry } = testMesh([
      authorization("p", { rules: [with80, { to: [{ operation: { ports: ["80"] } }] }] }),
    ]);
    assert.deepEqual(registry.policies.get(policyName("shop", "p"))?.rules, on80);
  });
}

test("no rule ever holds a match with nothing in it, which ztunnel takes for one that never holds", () => {
  const empties: readonly unknown[] = [
    {},
    { source: {} },
    { operation: {} },
    { source: { principals: [] } },
    { operation: { methods: ["GET"], ports: [] } },
  ];
  for (const action of ["ALLOW", "DENY"])
    for (const from of empties)
      for (const to of empties) {
        const rules = [{ from: [from], to: [to] }];
        const { registry } = testMesh([authorization("p", { action, rules })]);
        const built = registry.policies.get(policyName("shop", "p"))?.rules ?? [];
        for (const { clauses } of built)
          for (const { matches } of clauses) for (const match of matches) assert.notDeepEqual(match, {});
        // Everything, or more than was asked: never less.
        if (action === "DENY") assert.deepEqual(built, [{ clauses: [] }]);
        else assert.deepEqual(built, []);
      }
});

test("ten thousand rules are all there, and say no more than twenty things", () => {
  const rules = Array.from({ length: 10_000 }, () => ({ from: [{ source: { ipBlocks: ["0.0.0.0/33"] } }] }));
  const { registry } = testMesh([authorization("p", { action: "DENY", rules })]);
  assert.equal(registry.policies.get(policyName("shop", "p"))?.rules.length, 10_000);
  assert.equal(registry.problems.size, 20);
});

test("what a PeerAuthentication cannot do is said", () => {
  const ports = { portLevelMtls: { 80: { mode: "STRICT" } } };
  const mesh = testMesh([
    peerAuthentication("ns", ports),
    peerAuthentication("w", { ...cartOnly, mtls: { mode: "STRICT" } }, ROOT),
  ]);
  assert.deepEqual([...mesh.registry.problems.entries()].map(([, { object, field }]) => `${object}: ${field}`).sort(), [
    "PeerAuthentication istio-system/w: spec.selector",
    "PeerAuthentication shop/ns: spec.portLevelMtls",
  ]);
});

test("of PeerAuthentications of one level the oldest counts", () => {
  const at = (day: number) => ({ creationTimestamp: `2026-01-0${day}T00:00:00Z` });
  const strict = ["istio-system/istio_converted_static_strict"];
  for (const [older, younger, expected] of [
    ["STRICT", "PERMISSIVE", strict],
    ["PERMISSIVE", "STRICT", []],
  ] as const) {
    const level = (where: Fields, spec: Fields) => [
      peerAuthentication("young", { ...spec, mtls: { mode: younger } }, { ...where, ...at(2) }),
      peerAuthentication("old", { ...spec, mtls: { mode: older } }, { ...where, ...at(1) }),
    ];
    for (const objects of [level(ROOT, {}), level({}, {}), level({}, cartOnly)])
      assert.deepEqual(policies(testMesh([pod("cart", "10.0.0.1", { app: "cart" }), ...objects])), expected);
  }
});

test("a converted policy denies plain text to the ports that are STRICT, and none but those that are open", () => {
  const rulesOf = (mode: string, portLevelMtls: Fields) =>
    testMesh([peerAuthentication("w", { ...cartOnly, mtls: { mode }, portLevelMtls })]).registry.policies.get(
      policyName("shop", "converted_peer_authentication_w"),
    )?.rules;
  const plain = { notPrincipals: [{ kind: "presence" }] };
  assert.deepEqual(rulesOf("PERMISSIVE", { 81: { mode: "STRICT" }, 80: { mode: "STRICT" }, 82: { mode: "DISABLE" } }), [
    { clauses: [{ matches: [{ ...plain, destinationPorts: [80] }] }] },
    { clauses: [{ matches: [{ ...plain, destinationPorts: [81] }] }] },
  ]);
  assert.deepEqual(rulesOf("STRICT", { 80: { mode: "PERMISSIVE" }, 81: { mode: "DISABLE" }, 82: { mode: "STRICT" } }), [
    {
      clauses: [
        { matches: [plain] },
        { matches: [{ notDestinationPorts: [80] }] },
        { matches: [{ notDestinationPorts: [81] }] },
      ],
    },
  ]);
});

test("a policy for a waypoint that is not there is a problem, as its status says, until it is", () => {
  const target = { group: "gateway.networking.k8s.io", kind: "Gateway", name: "gate" };
  const mesh = testMesh([authorization("p", { targetRefs: [target], rules: [{}] })]);
  const problems = () =>
    Array.from(mesh.registry.problems.entries(), ([, { field, message }]) => `${field}: ${message}`);
  assert.deepEqual(problems(), ["spec.targetRefs: Gateway gate does not exist in namespace shop. Nobody enforces it."]);
  const spec = {
    gatewayClassName: "istio-waypoint",
    listeners: [{ name: "mesh", port: 15008, protocol: "HBONE" }],
  };
  const status = { addresses: [{ type: "IPAddress", value: "10.0.0.9" }] };
  mesh.apply(object("gateway.networking.k8s.io/v1", "Gateway", { name: "gate", namespace: "shop" }, { spec, status }));
  assert.deepEqual(problems(), []);
});
