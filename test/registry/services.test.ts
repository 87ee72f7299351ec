import assert from "node:assert/strict";
import { test } from "mocha";
import { serviceName } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import type { LoadBalancing, Service } from "../../src/registry/model/service.ts";
import { object, service, serviceEntry, testMesh, type TestMesh } from "./mesh.ts";

type Fields = Readonly<Record<string, unknown>>;
const CART = "cart.shop.svc.cluster.local";
const found = ({ registry }: TestMesh, host = CART, namespace = "shop"): Service | undefined =>
  registry.services.get(serviceName(namespace, host));
const kube = (spec: Fields = {}, metadata: Fields = {}) => service("cart", "10.1.0.1", spec, metadata);
const entry = (spec: Fields = {}, metadata: Fields = {}) =>
  serviceEntry(
    "api",
    { hosts: ["api.com"], addresses: ["10.2.0.1"], ports: [{ number: 80 }], resolution: "STATIC", ...spec },
    metadata,
  );
const namespace = (annotations: Fields): KubeObject =>
  object("v1", "Namespace", { name: "shop", namespace: undefined, annotations });

/** Rows of contract ztunnel.md 5.5, column Kubernetes Service. */
const kubeRows: readonly (readonly [string, KubeObject, Partial<Service>])[] = [
  [
    "has the name that DNS gives it",
    kube(),
    { name: "cart", namespace: "shop", hostname: CART as Service["hostname"] },
  ],
  ["is canonical", kube(), { canonical: true }],
  ["without an address has none", kube({ clusterIP: "None" }), { addresses: [] }],
  [
    "offers numbered targets and leaves named ones to each endpoint",
    kube({ ports: [{ port: 80, targetPort: 81 }, { port: 443, targetPort: "tls" }, { port: 22 }] }),
    {
      ports: [
        { servicePort: 80, targetPort: 81 },
        { servicePort: 443, targetPort: 0 },
        { servicePort: 22, targetPort: 22 },
      ],
    },
  ],
  [
    "lists ports of every protocol",
    kube({ ports: [{ port: 53, protocol: "UDP" }, { port: 80 }] }),
    {
      ports: [
        { servicePort: 80, targetPort: 80 },
        { servicePort: 53, targetPort: 53 },
      ],
    },
  ],
  ["of no stated family is automatic", kube(), { ipFamilies: "automatic" }],
  ["of IPv4 is so", kube({ ipFamilies: ["IPv4"] }), { ipFamilies: "ipv4" }],
  ["of IPv6 is so", kube({ ipFamilies: ["IPv6"] }), { ipFamilies: "ipv6" }],
  ["of both families is dual", kube({ ipFamilies: ["IPv6", "IPv4"] }), { ipFamilies: "dual" }],
  ["has no names beside its endpoints'", kube(), { subjectAltNames: [] }],
];
for (const [what, written, expected] of kubeRows)
  test(`a Service ${what}`, () => {
    const built = found(testMesh([written]));
    assert.ok(built);
    for (const [field, value] of Object.entries(expected))
      assert.deepEqual(built[field as keyof Service], value, field);
  });

test("a Service has its addresses of both families, in canonical form", () => {
  const built = found(testMesh([kube({ clusterIPs: ["10.1.0.1", "FD00:0::1"] })]));
  assert.deepEqual(
    built?.addresses.map(({ ip }) => ip),
    ["10.1.0.1", "fd00::1"],
  );
});

test("a Service that only renames another host is none of ours", () => {
  const { registry } = testMesh([kube({ type: "ExternalName", externalName: "example.com" })]);
  assert.deepEqual([registry.services.size, registry.problems.size], [0, 0]);
});

const balancing = (mode: LoadBalancing["mode"], preference: readonly string[], healthPolicy = "only-healthy") => ({
  mode,
  preference,
  healthPolicy,
});
const ZONE = balancing("failover", ["network", "region", "zone"]);
const NODE = balancing("failover", ["network", "region", "zone", "subzone", "node"]);
const annotated = (value: string) => ({ annotations: { "networking.istio.io/traffic-distribution": value } });

/** Rows of contract ztunnel.md 5.5, load balancing; each with the namespace's annotation, if any. */
const balances: readonly (readonly [string, KubeObject, string | undefined, unknown])[] = [
  ["that says nothing", kube(), undefined, undefined],
  ["with PreferClose", kube({ trafficDistribution: "PreferClose" }), undefined, ZONE],
  ["with PreferSameZone", kube({ trafficDistribution: "PreferSameZone" }), undefined, ZONE],
  ["with PreferSameNode", kube({ trafficDistribution: "PreferSameNode" }), undefined, NODE],
  [
    "with a field that beats the annotation",
    kube({ trafficDistribution: "PreferClose" }, annotated("PreferSameNode")),
    undefined,
    ZONE,
  ],
  ["with an annotation", kube({}, annotated("PreferSameNode")), undefined, NODE],
  ["with an annotation in other letters", kube({}, annotated("preferCLOSE")), undefined, ZONE],
  ["whose namespace has one", kube(), "PreferClose", ZONE],
  ["with an annotation that beats the namespace's", kube({}, annotated("PreferSameNode")), "PreferClose", NODE],
  ["with a value that ends the search", kube({}, annotated("Any")), "PreferClose", undefined],
  [
    "that keeps traffic on the node",
    kube({ internalTrafficPolicy: "Local", trafficDistribution: "PreferClose" }),
    undefined,
    balancing("strict", ["node"]),
  ],
  ["that is not for one node", kube({ internalTrafficPolicy: "Cluster" }), undefined, undefined],
  [
    "that lists who is not ready",
    kube({ publishNotReadyAddresses: true }),
    undefined,
    balancing("unspecified", [], "allow-all"),
  ],
  [
    "that lists who is not ready, and prefers near ones",
    kube({ publishNotReadyAddresses: true, trafficDistribution: "PreferClose" }),
    undefined,
    { ...ZONE, healthPolicy: "allow-all" },
  ],
  [
    "that lists who is not ready, on the node",
    kube({ publishNotReadyAddresses: true, internalTrafficPolicy: "Local" }),
    undefined,
    balancing("strict", ["node"], "allow-all"),
  ],
  [
    "by hand without resolution",
    entry({ resolution: "NONE" }),
    "PreferClose",
    balancing("passthrough", [], "allow-all"),
  ],
  ["by hand", entry(), undefined, undefined],
  ["by hand with an annotation", entry({}, annotated("PreferClose")), undefined, ZONE],
  ["by hand whose namespace has one", entry(), "PreferSameNode", NODE],
];
for (const [what, written, ofNamespace, expected] of balances)
  test(`a service ${what} is balanced ${expected === undefined ? "as usual" : JSON.stringify(expected)}`, () => {
    const of = ofNamespace === undefined ? [] : [namespace(annotated(ofNamespace).annotations)];
    const built = found(testMesh([written, ...of]), written.kind === "Service" ? CART : "api.com");
    assert.ok(built);
    assert.deepEqual(built.loadBalancing, expected);
  });

/** Rows of contract ztunnel.md 5.5, column ServiceEntry. */
const entryRows: readonly (readonly [string, KubeObject, Partial<Service>])[] = [
  [
    "is called like the entry, under its host",
    entry(),
    { name: "api", hostname: "api.com" as Service["hostname"], ipFamilies: "automatic" },
  ],
  [
    "has the names of the entry",
    entry({ subjectAltNames: ["spiffe://td/ns/a/sa/b"] }),
    { subjectAltNames: ["spiffe://td/ns/a/sa/b"] },
  ],
  [
    "offers the target port, or else the number",
    entry({ ports: [{ number: 80, targetPort: 8080 }, { number: 443 }] }),
    {
      ports: [
        { servicePort: 80, targetPort: 8080 },
        { servicePort: 443, targetPort: 443 },
      ],
    },
  ],
  ["is canonical if it is the only one", entry(), { canonical: true }],
];
for (const [what, written, expected] of entryRows)
  test(`a service by hand ${what}`, () => {
    const built = found(testMesh([written]), "api.com");
    assert.ok(built);
    for (const [field, value] of Object.entries(expected))
      assert.deepEqual(built[field as keyof Service], value, field);
  });

test("a service by hand has the addresses and ranges that were given, these without their host bits", () => {
  const built = found(
    testMesh([entry({ addresses: ["10.2.0.1", "10.3.4.5/16", "2001:DB8::/32", "10.9.0.1/32"] })]),
    "api.com",
  );
  assert.deepEqual(built?.addresses, [
    { network: "", ip: "10.2.0.1" },
    { network: "", ip: "10.3.0.0", prefixLength: 16 },
    { network: "", ip: "2001:db8::", prefixLength: 32 },
    { network: "", ip: "10.9.0.1" },
  ]);
});

test("one address that is none takes the whole entry away, with one problem", () => {
  const { registry } = testMesh([entry({ addresses: ["10.2.0.1", "10.3.0.0/33"] })]);
  assert.equal(registry.services.size, 0);
  assert.deepEqual(
    [...registry.problems.entries()].map(([, { field }]) => field),
    ["spec.addresses[1]"],
  );
});

test("each host of an entry is a service; wildcards too", () => {
  const mesh = testMesh([entry({ hosts: ["A.com", "*.b.com", "a.com"] })]);
  assert.deepEqual([...mesh.registry.services.entries()].map(([name]) => name).sort(), ["shop/*.b.com", "shop/a.com"]);
});

for (const host of ["*", "a.*.com", "*a.com", "a b.com", "", "a..com", "-", "a/b", "a\nb", "10.0.0.1", "a.com."])
  test(`a host ${JSON.stringify(host)} is refused`, () => {
    const { registry } = testMesh([entry({ hosts: [host] })]);
    assert.deepEqual([registry.services.size, registry.problems.size], [0, 1]);
  });

const day = (at: number): Fields => ({ creationTimestamp: `2026-01-0${at}T00:00:00Z` });
const claim = (name: string, host: string, at: number, home = "shop") =>
  serviceEntry(
    name,
    { hosts: [host], addresses: [`10.4.0.${at}`], ports: [{ number: 80 }], resolution: "STATIC" },
    { namespace: home, ...day(at) },
  );

test("a Kubernetes Service keeps its host from an older entry, which is told", () => {
  const mesh = testMesh([kube({}, day(5)), claim("api", CART, 1)]);
  assert.equal(found(mesh)?.name, "cart");
  assert.deepEqual(
    [...mesh.registry.problems.entries()].map(([, { object, field }]) => [object, field]),
    [["ServiceEntry shop/api", "spec.hosts"]],
  );
  mesh.remove(kube());
  assert.equal(found(mesh)?.name, "api");
  assert.equal(mesh.registry.problems.size, 0);
});

test("a host in several namespaces is canonical in the oldest, unless a Kubernetes Service has it", () => {
  const canonical = (mesh: TestMesh) =>
    [...mesh.registry.services.entries()].flatMap(([name, { canonical }]) => (canonical ? [name] : []));
  const mesh = testMesh([claim("a", "x.com", 3, "ns-a"), claim("b", "x.com", 2, "ns-b")]);
  assert.deepEqual(canonical(mesh), ["ns-b/x.com"]);
  mesh.apply(claim("c", CART, 1, "ns-c"), kube({}, day(9)));
  assert.deepEqual(canonical(mesh).sort(), ["ns-b/x.com", `shop/${CART}`]);
});

test("a headless service by hand and a wildcard resolved by clients have no address of ours", () => {
  const { registry } = testMesh([entry({ addresses: [], hosts: ["*.b.com"], resolution: "NONE" })]);
  assert.deepEqual(registry.services.get(serviceName("shop", "*.b.com"))?.addresses, []);
});
