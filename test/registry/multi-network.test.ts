import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import type { MeshConfig } from "../../src/registry/model/mesh.ts";
import { object, service } from "./mesh.ts";
import { byAddress, cart, cartPod, eastWest, system, twoNetworks, unready } from "./two-networks.ts";

const COALESCED = "net2/SplitHorizonWorkload/istio-gateways/eastwest/192.0.2.1/shop/cart.shop.svc.cluster.local";
const GATEWAY = "NetworkGateway/net2/192.0.2.1/0";
const WEST_CART = "spiffe://cluster.local/ns/shop/sa/";

test("endpoints on another network are one workload behind its gateway, with the capacity of all", () => {
  const both = twoNetworks();
  assert.deepEqual(both.workload(COALESCED), {
    uid: COALESCED,
    name: COALESCED,
    namespace: "shop",
    cluster: "west",
    network: "net2",
    addresses: [],
    hostname: "",
    tunnel: "hbone",
    nativeTunnel: false,
    trustDomain: "cluster.local",
    serviceAccount: "",
    node: "",
    canonicalName: "",
    canonicalRevision: "",
    workloadName: "",
    healthy: true,
    hostNetwork: false,
    locality: undefined,
    services: [{ service: "shop/cart.shop.svc.cluster.local", ports: [{ servicePort: 80, targetPort: 80 }] }],
    waypoint: undefined,
    networkGateway: byAddress("192.0.2.1", "net2"),
    applicationTunnel: undefined,
    policies: [],
    capacity: 2,
  });
  const uids = [...both.registry.workloads.entries()].map(([uid]) => uid).sort();
  assert.deepEqual(uids, [GATEWAY, "east//Pod/shop/cart-e", COALESCED]);
});

test("a global service has the addresses of all its clusters, each on its own network, and the ports of ours", () => {
  const both = twoNetworks();
  both.applyTo("west", cart("10.2.0.1", { ports: [{ port: 80 }, { port: 81 }] }));
  assert.deepEqual(both.cart()?.addresses, [
    { network: "net1", ip: "10.1.0.1" },
    { network: "net2", ip: "10.2.0.1" },
  ]);
  assert.deepEqual(both.cart()?.ports, [{ servicePort: 80, targetPort: 80 }]);
});

test("it is known by the accounts of all that answer behind gateways, ready or not, and by no others", () => {
  const both = twoNetworks();
  assert.deepEqual(both.cart()?.subjectAltNames, [`${WEST_CART}cart-1`, `${WEST_CART}cart-2`]);
  both.applyTo("west", unready(cartPod("cart-1", "10.9.0.1")));
  assert.equal(both.cart()?.subjectAltNames.length, 2);
  both.removeFrom("west", cartPod("cart-2", "10.9.0.2"));
  assert.deepEqual(both.cart()?.subjectAltNames, [`${WEST_CART}cart-1`]);
});

test("pods of another cluster on the local network are sent one by one, with its global services only", () => {
  const both = twoNetworks();
  both.applyTo("west", system("net1"), service("cart-admin", "10.2.0.2", { selector: { app: "cart" } }));
  assert.deepEqual(both.coalesced(), []);
  assert.deepEqual(
    both.workload("west//Pod/shop/cart-1")?.services.map(({ service }) => service),
    ["shop/cart.shop.svc.cluster.local"],
  );
  assert.deepEqual(both.cart()?.subjectAltNames, []);
});

/** Who says that a service of another cluster is global (contract ztunnel.md 5.9, peering.md 2.7). */
const namespace = (labels: object): KubeObject =>
  object("v1", "Namespace", { name: "shop", namespace: undefined, labels });
const rules = (...serviceScopeConfigs: MeshConfig["serviceScopeConfigs"]): MeshConfig => ({ serviceScopeConfigs });
const matching = (key: string, value: string) => ({ matchLabels: { pairs: [[key, value]] as const }, expressions: [] });
const scopes: readonly (readonly [string, object, object, MeshConfig, boolean])[] = [
  ["nobody", {}, {}, rules(), false],
  ["its label istio.io/global", { "istio.io/global": "true" }, {}, rules(), true],
  ["its label solo.io/service-scope", { "solo.io/service-scope": "global" }, {}, rules(), true],
  ["its namespace's label", {}, { "istio.io/global": "true" }, rules(), true],
  ["its namespace's scope", {}, { "solo.io/service-scope": "global" }, rules(), true],
  [
    "its namespace, but not itself",
    { "solo.io/service-scope": "cluster" },
    { "istio.io/global": "true" },
    rules(),
    false,
  ],
  ["its namespace, but it says false", { "istio.io/global": "false" }, { "istio.io/global": "true" }, rules(), false],
  ["itself, but not its namespace", { "istio.io/global": "true" }, { "istio.io/global": "false" }, rules(), true],
  ["a rule without selectors", {}, {}, rules({ scope: "global" }), true],
  ["a rule that says local", {}, {}, rules({ scope: "local" }), false],
  ["one of two rules", {}, {}, rules({ scope: "local" }, { scope: "global" }), true],
  [
    "a rule for services like it",
    { a: "b" },
    {},
    rules({ serviceSelector: matching("a", "b"), scope: "global" }),
    true,
  ],
  ["a rule for other services", { a: "c" }, {}, rules({ serviceSelector: matching("a", "b"), scope: "global" }), false],
  ["a rule for its namespace", {}, { a: "b" }, rules({ namespaceSelector: matching("a", "b"), scope: "global" }), true],
  [
    "a rule for its namespace and other services",
    {},
    { a: "b" },
    rules({ namespaceSelector: matching("a", "b"), serviceSelector: matching("x", "y"), scope: "global" }),
    false,
  ],
  ["a rule, but not itself", { "istio.io/global": "false" }, {}, rules({ scope: "global" }), false],
];
for (const [who, own, ofNamespace, config, expected] of scopes)
  test(`whether a service is shared follows from the word of ${who}`, () => {
    const both = twoNetworks();
    both.remove(cart(""));
    both.applyTo("west", namespace(ofNamespace), cart("10.2.0.1", {}, { labels: own }));
    both.registry.meshConfig.set("mesh", config);
    both.graph.flush();
    assert.equal(both.cart() !== undefined, expected);
    assert.equal(both.coalesced().length, expected ? 1 : 0);
    both.registry.meshConfig.delete("mesh");
    both.applyTo("west", cart("10.2.0.1"));
    assert.ok(both.cart(), "the mesh config changes while we run, and so do labels");
  });

test("a service that is global elsewhere but not here is left alone, and somebody is told", () => {
  const both = twoNetworks();
  both.apply(cart("10.1.0.1", {}, {}));
  assert.deepEqual([both.cart()?.addresses.length, both.cart()?.subjectAltNames, both.coalesced()], [1, [], []]);
  assert.deepEqual(both.problems(), [
    "Service shop/cart is global in cluster west, but not here, so callers here reach only their own; label it " +
      'istio.io/global: "true" here to join them.',
  ]);
});

test("a network without a gateway is out of reach, and the problem names it, the service and the way out", () => {
  const both = twoNetworks();
  both.removeFrom("west", eastWest("net2", []));
  assert.deepEqual(both.coalesced(), []);
  const [problem] = both.problems();
  assert.match(
    problem!,
    /^No gateway leads to network "net2", .* shop\/cart\.shop\.svc\.cluster\.local in cluster west/,
  );
  assert.match(problem!, /class istio-east-west .* topology\.istio\.io\/network/);
  both.applyTo("west", eastWest("net2", ["192.0.2.1"]));
  assert.deepEqual([both.coalesced().length, both.problems()], [1, []]);
});
