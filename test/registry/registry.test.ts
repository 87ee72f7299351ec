import assert from "node:assert/strict";
import { test } from "mocha";
import { podUid, clusterId, policyName, serviceName, type PolicyName } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { authorization, object, peerAuthentication, pod, service, serviceEntry, testMesh } from "./mesh.ts";

const cart = podUid(clusterId("east"), "shop", "cart");
const cartService = serviceName("shop", "cart.shop.svc.cluster.local");
const messages = (mesh: ReturnType<typeof testMesh>) =>
  [...mesh.registry.problems.entries()].map(([, { object, field }]) => `${object}: ${field}`);

test("a pod is a workload of the services that select it, with its own target ports", () => {
  const named = [{ name: "web", port: 80, targetPort: "http" }];
  const { registry, remove } = testMesh([
    pod("cart", "10.0.0.1", { app: "cart" }, { containers: [{ ports: [{ name: "http", containerPort: 8080 }] }] }),
    service("cart", "10.1.0.1", { ports: named }),
  ]);
  assert.deepEqual(registry.workloads.get(cart)?.services, [
    { service: cartService, ports: [{ servicePort: 80, targetPort: 8080 }] },
  ]);
  assert.deepEqual(registry.services.get(cartService)?.ports, [{ servicePort: 80, targetPort: 0 }]);
  assert.equal(registry.workloadsByService.get(cartService).length, 1);
  assert.equal(registry.podsOnNode.get("east/n1/shop/cart").length, 1);
  remove(service("cart", ""));
  assert.deepEqual(registry.workloads.get(cart)?.services, []);
});

test("a pod that ended has no workload and no identity", () => {
  const mesh = testMesh([pod("cart", "10.0.0.1")]);
  const ended = { ...pod("cart", "10.0.0.1"), status: { phase: "Succeeded", podIPs: [{ ip: "10.0.0.1" }] } };
  mesh.apply(ended as KubeObject);
  assert.equal(mesh.registry.workloads.size, 0);
  assert.deepEqual(mesh.registry.podsOnNode.get("east/n1/shop/cart"), []);
});

test("a service entry without addresses gets one of each family, the same after a restart", () => {
  const entry = serviceEntry("api", {
    hosts: ["api.example.com"],
    ports: [{ number: 443, name: "tls" }],
    resolution: "DNS",
  });
  const name = serviceName("shop", "api.example.com");
  const first = testMesh([entry])
    .registry.services.get(name)
    ?.addresses.map(({ ip }) => ip);
  assert.match(first?.[0] ?? "", /^240\.240\./);
  assert.match(first?.[1] ?? "", /^2001:2::/);
  const again = testMesh([pod("x", "10.0.0.9"), entry]);
  assert.deepEqual(
    again.registry.services.get(name)?.addresses.map(({ ip }) => ip),
    first,
  );
  assert.deepEqual(
    [...again.registry.workloads.entries()].map(([, { hostname }]) => hostname).filter((text) => text !== ""),
    ["api.example.com"],
  );
});

test("an address chosen for a service moves an allocated one away, and a given-up one is not given out again", () => {
  const entry = (name: string) =>
    serviceEntry(name, { hosts: [`${name}.example.com`], ports: [{ number: 80 }], resolution: "DNS" });
  const mesh = testMesh([entry("api")]);
  const name = serviceName("shop", "api.example.com");
  const before = mesh.registry.services.get(name)!.addresses[0]!.ip;
  mesh.apply(service("cart", before));
  const after = mesh.registry.services.get(name)!.addresses[0]!.ip;
  assert.notEqual(after, before);
  assert.equal(mesh.registry.services.get(cartService)?.addresses[0]?.ip, before);
});

test("two services with one virtual address: the older keeps it, the other is told", () => {
  const mesh = testMesh([
    service("cart", "10.1.0.1", {}, { creationTimestamp: "2026-01-02T00:00:00Z" }),
    service("desk", "10.1.0.1", {}, { creationTimestamp: "2026-01-01T00:00:00Z" }),
  ]);
  assert.deepEqual(mesh.registry.services.get(cartService)?.addresses, []);
  assert.deepEqual(messages(mesh), ["Service shop/cart: spec.clusterIPs[10.1.0.1]"]);
});

const badServices: readonly (readonly [string, KubeObject])[] = [
  ["port 0", service("cart", "10.1.0.1", { ports: [{ port: 0 }] })],
  ["port 65536", service("cart", "10.1.0.1", { ports: [{ port: 65_536 }] })],
  ["an address that is none", service("cart", "10.1.0.999")],
  ["a label of 64 kB", service("cart", "10.1.0.1", {}, { labels: { app: "a".repeat(65_536) } })],
  [
    "10,000 ports",
    service("cart", "10.1.0.1", { ports: Array.from({ length: 10_000 }, (_, at) => ({ port: at + 1 })) }),
  ],
  ["a label that is a number", service("cart", "10.1.0.1", {}, { labels: { app: 1 } })],
  ["a __proto__ label", service("cart", "10.1.0.1", {}, { labels: JSON.parse('{"__proto__":"x"}') as object })],
  ["ports that are no list", service("cart", "10.1.0.1", { ports: "80" })],
];
for (const [what, bad] of badServices)
  test(`a Service with ${what} has no effect but one problem, until it is fixed`, () => {
    const mesh = testMesh([service("cart", "10.1.0.1")]);
    mesh.apply(bad);
    assert.equal(mesh.registry.services.size, 0);
    assert.equal(mesh.registry.problems.size, 1);
    mesh.apply(service("cart", "10.1.0.1"));
    assert.equal(mesh.registry.services.size, 1);
    assert.equal(mesh.registry.problems.size, 0);
  });

for (const ip of [
  "0.0.0.0",
  "127.0.0.1",
  "169.254.169.254",
  "224.0.0.1",
  "fe80::1",
  "fe80::1%eth0",
  "::1",
  "::ffff:127.0.0.1",
])
  test(`an endpoint slice with ${ip} is refused`, () => {
    const slice = (address: string) =>
      object(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        { name: "cart-1", labels: { "kubernetes.io/service-name": "cart" } },
        { addressType: "IPv4", ports: [{ name: "", port: 8080 }], endpoints: [{ addresses: [address] }] },
      );
    const mesh = testMesh([service("cart", "10.1.0.1", { selector: {} }), slice("::ffff:10.9.0.1")]);
    assert.deepEqual([...mesh.registry.workloads.entries()][0]?.[1].addresses, ["10.9.0.1"]);
    mesh.apply(slice(ip));
    assert.equal(mesh.registry.workloads.size, 0);
    assert.equal(mesh.registry.problems.size, 1);
  });

const matchesAll = [{ clauses: [] }];
const ruleTable: readonly (readonly [string, "ALLOW" | "DENY", unknown, unknown])[] = [
  ["an empty rule matches everything", "ALLOW", [{}], matchesAll],
  ["no rules match nothing", "ALLOW", [], []],
  ["an ALLOW that needs HTTP loses its rule", "ALLOW", [{ to: [{ operation: { methods: ["GET"] } }] }], []],
  ["a DENY that needs HTTP denies all", "DENY", [{ to: [{ operation: { methods: ["GET"] } }] }], matchesAll],
  [
    "a DENY keeps the L4 part of an operation",
    "DENY",
    [{ to: [{ operation: { methods: ["GET"], ports: ["80"] } }] }],
    [{ clauses: [{ matches: [{ destinationPorts: [80] }] }] }],
  ],
  ["an ALLOW by a bad CIDR allows nobody", "ALLOW", [{ from: [{ source: { ipBlocks: ["0.0.0.0/33"] } }] }], []],
  ["a DENY by a bad CIDR denies all", "DENY", [{ from: [{ source: { ipBlocks: ["0.0.0.0/33"] } }] }], matchesAll],
  ["an ALLOW by a star in the middle allows nobody", "ALLOW", [{ from: [{ source: { principals: ["a*b"] } }] }], []],
  [
    "an ALLOW with an unreadable exemption allows nobody",
    "ALLOW",
    [{ from: [{ source: { notPrincipals: ["a*b", "c"] } }] }],
    [],
  ],
  [
    "a DENY by a star in the middle denies all",
    "DENY",
    [{ from: [{ source: { principals: ["a*b", "c"] } }] }],
    matchesAll,
  ],
  ["a rule that is no map allows nothing", "ALLOW", [null], []],
  ["a field nobody knows allows nothing", "ALLOW", [{ form: [] }], []],
  [
    "spiffe:// is taken off principals",
    "DENY",
    [{ from: [{ source: { principals: ["spiffe://td/ns/a/sa/b"] } }] }],
    [{ clauses: [{ matches: [{ principals: [{ kind: "exact", value: "td/ns/a/sa/b" }] }] }] }],
  ],
  ["an empty source in a DENY denies all", "DENY", [{ from: [{ source: {} }] }], matchesAll],
  ["an empty source in an ALLOW allows nobody", "ALLOW", [{ from: [{ source: {} }] }], []],
];
for (const [what, action, rules, expected] of ruleTable)
  test(`authorization: ${what}`, () => {
    const { registry } = testMesh([authorization("p", { action, rules })]);
    const policy = registry.policies.get(policyName("shop", "p"));
    assert.equal(policy?.scope, "namespace");
    assert.deepEqual(policy.rules, expected);
  });

test("an action that nobody knows denies all; a targetRef is not for ztunnel", () => {
  const { registry } = testMesh([
    authorization("typo", { action: "Deny", rules: [] }),
    authorization("l7", { targetRefs: [{ kind: "Gateway", name: "w" }], rules: [{}] }),
  ]);
  assert.deepEqual(
    [...registry.policies.entries()].map(([key, { action, rules }]) => [key, action, rules]),
    [["shop/typo", "deny", matchesAll]],
  );
});

const strict = "istio-system/istio_converted_static_strict" as PolicyName;
const converted = "shop/converted_peer_authentication_w" as PolicyName;
const modeTable: readonly (readonly [
  string,
  string | undefined,
  Record<string, string>,
  string,
  readonly PolicyName[],
])[] = [
  ["PERMISSIVE", undefined, {}, "PERMISSIVE", []],
  ["STRICT", undefined, {}, "PERMISSIVE", [strict]],
  ["UNSET", undefined, {}, "STRICT", [strict]],
  ["DISABLE", undefined, {}, "STRICT", []],
  ["PERMISSIVE", "some strict", { 80: "STRICT" }, "STRICT", [converted]],
  ["STRICT", "all strict", { 80: "STRICT" }, "PERMISSIVE", [strict]],
  ["STRICT", "some open", { 80: "DISABLE", 81: "STRICT" }, "PERMISSIVE", [converted]],
  ["UNSET", "some open", { 80: "PERMISSIVE" }, "STRICT", [converted]],
  ["UNSET", "disabled", { 80: "DISABLE" }, "STRICT", [converted]],
  ["UNSET", "all strict", { 80: "STRICT" }, "STRICT", [strict]],
  ["UNSET", "some strict", { 80: "STRICT" }, "PERMISSIVE", [converted]],
];
for (const [mode, what, ports, parent, expected] of modeTable)
  test(`mutual TLS: ${mode} under ${parent}${what ? `, ports ${what}` : ""} attaches ${expected.join() || "nothing"}`, () => {
    const portLevelMtls = Object.fromEntries(Object.entries(ports).map(([port, mode]) => [port, { mode }]));
    const { registry } = testMesh([
      pod("cart", "10.0.0.1", { app: "cart" }),
      peerAuthentication("ns", { mtls: { mode: parent } }),
      peerAuthentication("w", { selector: { matchLabels: { app: "cart" } }, mtls: { mode }, portLevelMtls }),
    ]);
    const { policies } = registry.workloads.get(cart)!;
    assert.deepEqual(policies, expected);
    for (const policy of policies) assert.equal(registry.policies.get(policy)?.action, "deny");
  });

test("a namespace's waypoint is its services', and a gateway's class and routes are heeded", () => {
  const gateway = (labels: object) =>
    object(
      "gateway.networking.k8s.io/v1",
      "Gateway",
      { name: "w", labels },
      {
        spec: { gatewayClassName: "istio-waypoint", listeners: [{ port: 15_008, protocol: "HBONE" }] },
        status: { addresses: [{ type: "Hostname", value: "w.shop.svc.cluster.local" }] },
      },
    );
  const namespace = object("v1", "Namespace", { name: "shop", labels: { "istio.io/use-waypoint": "w" } });
  const mesh = testMesh([namespace, gateway({}), service("cart", "10.1.0.1"), pod("cart", "10.0.0.1")]);
  assert.equal(mesh.registry.services.get(cartService)?.waypoint?.hbonePort, 15_008);
  assert.equal(mesh.registry.workloads.get(cart)?.waypoint, undefined);
  mesh.apply(gateway({ "istio.io/waypoint-for": "workload" }));
  assert.equal(mesh.registry.services.get(cartService)?.waypoint, undefined);
  assert.equal(mesh.registry.workloads.get(cart)?.waypoint?.hbonePort, 15_008);
});

test("a cluster that leaves takes all of its own", () => {
  const mesh = testMesh([
    pod("cart", "10.0.0.1"),
    service("cart", "10.1.0.1"),
    service("bad", "x"),
    authorization("p", {}),
  ]);
  mesh.intake.clear();
  mesh.graph.flush();
  const { workloads, services, policies, problems } = mesh.registry;
  assert.deepEqual([workloads.size, services.size, policies.size, problems.size], [0, 0, 0, 0]);
});
