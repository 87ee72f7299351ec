import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { object, pod, service, serviceEntry } from "./mesh.ts";
import { cart, cartPod, eastWest, GLOBAL, meshes, system, twoNetworks, unready } from "./two-networks.ts";

const addresses = (both: ReturnType<typeof meshes>) =>
  both.cart()?.addresses.map(({ network, ip }) => `${network}/${ip}`);
const west: readonly KubeObject[] = [
  system("net2"),
  eastWest("net2", ["192.0.2.1"]),
  cart("10.2.0.1"),
  cartPod("cart-1", "10.9.0.1"),
];

test("without a local cluster's own the first cluster by name says what the service is", () => {
  const three = meshes([], { allocateIps: false });
  three.applyTo("west", ...west);
  three.applyTo("north", system("net3"), cart("10.3.0.1", { ports: [{ port: 81 }] }));
  assert.deepEqual(addresses(three), ["net2/10.2.0.1", "net3/10.3.0.1"]);
  assert.deepEqual(three.cart()?.ports, [{ servicePort: 81, targetPort: 81 }]);
  three.leave("north");
  assert.deepEqual(three.cart()?.ports, [{ servicePort: 80, targetPort: 80 }]);
  three.leave("west");
  assert.deepEqual([three.registry.services.size, three.registry.workloads.size], [0, 0]);
});

test("a service that only others have gets an address of ours, or nobody here could call it", () => {
  const both = meshes();
  both.applyTo("west", ...west);
  const own = both.cart()?.addresses.filter(({ network }) => network === "net1") ?? [];
  assert.equal(own.length, 2);
  assert.match(own.map(({ ip }) => ip).join(" "), /^2001:2::\S+ 240\.240\.\d+\.\d+$/);
  both.apply(cart("10.1.0.1"));
  assert.deepEqual(addresses(both), ["net1/10.1.0.1", "net2/10.2.0.1"]);
  both.remove(cart(""));
  assert.deepEqual(
    both.cart()?.addresses.filter(({ network }) => network === "net1"),
    own,
  );
});

test("a ServiceEntry of ours for the name of a global service is joined with it, if it is global, too", () => {
  const entry = (metadata: object) =>
    serviceEntry(
      "cart",
      {
        hosts: ["cart.shop.svc.cluster.local"],
        addresses: ["10.5.0.1"],
        ports: [{ number: 80 }],
        resolution: "STATIC",
        subjectAltNames: ["spiffe://cluster.local/ns/x/sa/y"],
      },
      metadata as Readonly<Record<string, unknown>>,
    );
  const both = meshes([entry({})]);
  both.applyTo("west", ...west);
  assert.deepEqual(addresses(both), ["net1/10.5.0.1"]);
  both.apply(entry(GLOBAL));
  assert.deepEqual(addresses(both), ["net1/10.5.0.1", "net2/10.2.0.1"]);
  assert.deepEqual(both.cart()?.subjectAltNames, [
    "spiffe://cluster.local/ns/shop/sa/cart-1",
    "spiffe://cluster.local/ns/x/sa/y",
  ]);
});

/** What clusters that share a service can disagree about. */
const conflicts: readonly (readonly [string, KubeObject, RegExp])[] = [
  [
    "ports",
    cart("10.2.0.1", { ports: [{ port: 80 }, { port: 81 }] }),
    /has ports 80, 81 in cluster west and 80 in east/,
  ],
  ["addresses", cart("None"), /is headless in cluster west and not in east/],
  ["types", cart("", { type: "ExternalName" }), /global in cluster west, is an ExternalName there/],
];
for (const [what, theirs, expected] of conflicts)
  test(`clusters that differ in ${what} are a problem that names both`, () => {
    const both = twoNetworks();
    assert.deepEqual(both.problems(), []);
    both.applyTo("west", theirs);
    assert.equal(both.problems().length, 1);
    assert.match(both.problems()[0]!, expected);
    assert.deepEqual(both.cart()?.ports, [{ servicePort: 80, targetPort: 80 }]);
    both.applyTo("west", cart("10.2.0.1"));
    assert.deepEqual(both.problems(), []);
  });

test("an ExternalName of ours is never taken over by others", () => {
  const both = meshes([cart("", { type: "ExternalName", externalName: "example.com" })]);
  both.applyTo("west", ...west);
  assert.equal(both.cart(), undefined);
  assert.match(both.problems().join(), /global in cluster west, but an ExternalName here/);
});

test("a Service of ours that cannot be read is nobody else's", () => {
  const both = twoNetworks();
  both.apply(cart("oops"));
  assert.equal(both.cart(), undefined);
  assert.match(both.problems().join(), /global in cluster west, but the one here cannot be read/);
  both.apply(cart("10.1.0.1"));
  assert.equal(both.cart()?.addresses.length, 2);
  both.apply(cart("oops"));
  both.remove(cart(""));
  assert.ok(both.cart(), "once it is gone, it is theirs");
});

test("a scope that nobody knows shares nothing, and is a problem", () => {
  const both = twoNetworks();
  both.applyTo("west", cart("10.2.0.1", {}, { labels: { "solo.io/service-scope": "planet" } }));
  assert.deepEqual(addresses(both), ["net1/10.1.0.1"]);
  assert.match(both.problems().join(), /service-scope\] is "planet"/);
});

const gateway = (metadata: object = {}): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name: "w", ...metadata },
    { spec: { gatewayClassName: "istio-waypoint" }, status: { addresses: [{ type: "IPAddress", value: "10.2.0.9" }] } },
  );
const behindWaypoint = (more: object = {}): KubeObject =>
  cart("10.2.0.1", {}, { labels: { ...GLOBAL.labels, "istio.io/use-waypoint": "w" }, ...more });

test("the waypoint that takes a service's traffic on another network may answer for it (operations.md 3.2)", () => {
  const both = twoNetworks();
  both.applyTo("west", gateway(), behindWaypoint());
  assert.deepEqual(
    both.cart()?.subjectAltNames.filter((name) => name.endsWith("/w")),
    ["spiffe://cluster.local/ns/shop/sa/w"],
  );
  both.applyTo("west", gateway({ annotations: { "gateway.istio.io/service-account": "way" } }));
  assert.ok(both.cart()?.subjectAltNames.includes("spiffe://cluster.local/ns/shop/sa/way"));
  assert.equal(both.cart()?.waypoint, undefined);
});

test("nobody is sent to a waypoint that is behind a gateway, and nobody around one that is not", () => {
  const both = meshes();
  both.applyTo("west", ...west, gateway(), behindWaypoint());
  assert.equal(both.cart()?.waypoint, undefined);
  both.applyTo("west", system("net1"));
  assert.deepEqual(both.cart()?.waypoint?.destination, {
    kind: "address",
    address: { network: "net1", ip: "10.2.0.9" },
  });
});

test("a waypoint that callers here would pass by is a problem, unless a gateway leads to it", () => {
  const both = twoNetworks();
  both.applyTo("west", gateway(), behindWaypoint());
  assert.deepEqual(both.problems(), []);
  both.applyTo("west", system("net1"), eastWest("net1", ["192.0.2.1"]));
  assert.deepEqual(both.problems(), [
    "Service shop/cart has a waypoint in cluster west and none in east, so callers here pass it by; give it one here, too.",
  ]);
});

/** Where traffic goes first when a service is on several networks (contract peering.md 3.2). */
const spreads: readonly (readonly [string, object, object, string | undefined])[] = [
  ["stays in its own network", {}, {}, "network"],
  ["goes anywhere if the Service says Any", {}, { "networking.istio.io/traffic-distribution": "Any" }, undefined],
  ["stays near if it says PreferClose", { trafficDistribution: "PreferClose" }, {}, "network,region,zone"],
  [
    "stays in its own network if it says so",
    {},
    { "networking.istio.io/traffic-distribution": "PreferNetwork" },
    "network",
  ],
  ["stays on its node if it must", { internalTrafficPolicy: "Local" }, {}, "node"],
];
for (const [what, spec, annotations, expected] of spreads)
  test(`traffic to a service on two networks ${what}`, () => {
    const both = twoNetworks();
    both.apply(cart("10.1.0.1", spec, { ...GLOBAL, annotations }));
    assert.equal(both.cart()?.loadBalancing?.preference.join(), expected);
  });

test("a service on one network is spread as it was, however many clusters have it", () => {
  const both = twoNetworks();
  both.applyTo("west", system("net1"));
  assert.equal(both.cart()?.loadBalancing, undefined);
});

test("endpoints that are not ready do not count, while there are others", () => {
  const both = twoNetworks();
  const counted = () => both.coalesced().map(({ capacity, healthy }) => [capacity, healthy]);
  both.applyTo("west", unready(cartPod("cart-1", "10.9.0.1")));
  assert.deepEqual(counted(), [[1, true]]);
  both.applyTo("west", unready(cartPod("cart-2", "10.9.0.2")));
  assert.deepEqual(counted(), [[2, false]]);
  both.removeFrom("west", cartPod("cart-1", ""), cartPod("cart-2", ""));
  assert.deepEqual(counted(), []);
});

const node = (name: string, region: string, zone: string): KubeObject =>
  object("v1", "Node", {
    name,
    namespace: undefined,
    labels: { "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone },
  });

/** On which nodes the two endpoints are, and where they are together. */
const localities: readonly (readonly [string, string, string, object | undefined])[] = [
  ["the zone", "n1", "n1", { region: "r1", zone: "a", subzone: "" }],
  ["the region", "n1", "n2", { region: "r1", zone: "", subzone: "" }],
  ["nothing", "n1", "n3", undefined],
  ["nothing, if one is nowhere", "n1", "unknown", undefined],
];
for (const [what, first, second, expected] of localities)
  test(`endpoints on another network are together where they share ${what}`, () => {
    const both = twoNetworks();
    both.applyTo("west", node("n1", "r1", "a"), node("n2", "r1", "b"), node("n3", "r2", "a"));
    both.applyTo("west", cartPod("cart-1", "10.9.0.1", { nodeName: first }));
    both.applyTo("west", cartPod("cart-2", "10.9.0.2", { nodeName: second }));
    assert.deepEqual(
      both.coalesced().map(({ locality }) => locality),
      [expected],
    );
  });

test("pods that a slice names are endpoints, and bare addresses only where no tunnel must end", () => {
  const slice = object(
    "discovery.k8s.io/v1",
    "EndpointSlice",
    { name: "cart-x", labels: { "kubernetes.io/service-name": "cart" } },
    {
      ports: [{ name: "", port: 8080 }],
      endpoints: [{ addresses: ["10.9.1.1"] }, { addresses: ["10.9.0.7"], targetRef: { kind: "Pod", name: "extra" } }],
    },
  );
  const both = meshes([cart("10.1.0.1")]);
  both.applyTo("west", ...west, cart("10.2.0.1", { selector: undefined }), pod("extra", "10.9.0.7"), slice);
  assert.deepEqual(
    both.coalesced().map(({ capacity }) => capacity),
    [1],
  );
  assert.deepEqual(both.cart()?.subjectAltNames, ["spiffe://cluster.local/ns/shop/sa/extra"]);
  both.applyTo("west", system("net1"));
  const bare = both.workload("west/discovery.k8s.io/EndpointSlice/shop/cart-x/10.9.1.1");
  assert.deepEqual(
    bare?.services.map(({ service, ports }) => [service, ports]),
    [["shop/cart.shop.svc.cluster.local", [{ servicePort: 80, targetPort: 8080 }]]],
  );
});

test("a target port that each endpoint names is one that clients can take", () => {
  const both = twoNetworks();
  both.apply(cart("10.1.0.1", { ports: [{ port: 80, targetPort: "http" }] }));
  assert.deepEqual(both.coalesced()[0]?.services[0]?.ports, [{ servicePort: 80, targetPort: 80 }]);
});

test("addresses that two services of different clusters have on one network go to ours", () => {
  const both = meshes([service("pay", "10.1.0.5")]);
  both.applyTo("west", system("net1"), cart("10.1.0.5"));
  const held = [...both.registry.services.entries()].map(([key, { addresses }]) => [key, addresses.length]);
  assert.deepEqual(new Map(held as [string, number][]).get("shop/pay.shop.svc.cluster.local"), 1);
  assert.match(both.problems().join(), /address 10\.1\.0\.5 belongs to Service east\/shop\/pay/);
});

test("without multi-network other clusters are as if they were not there, and gateways still lead away", () => {
  const objects = [
    cart("10.1.0.1"),
    cartPod("cart-e", "10.0.0.1"),
    object(
      "networking.istio.io/v1",
      "WorkloadEntry",
      { name: "vm" },
      { spec: { address: "10.9.9.9", network: "net2" } },
    ),
  ];
  const both = meshes(objects, { multiNetwork: false });
  const remote = object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name: "to-west", labels: { "topology.istio.io/network": "net2" } },
    {
      spec: {
        gatewayClassName: "istio-remote",
        addresses: [{ value: "192.0.2.8" }],
        listeners: [{ port: 15_008, protocol: "HBONE" }],
      },
    },
  );
  both.apply(remote);
  both.applyTo("west", ...west);
  both.applyTo("flat", system("net1"), cart("10.4.0.1"), cartPod("cart-f", "10.0.0.9"));
  assert.deepEqual([...both.registry.workloads.entries()].map(([uid]) => uid).sort(), [
    "NetworkGateway/net2/192.0.2.8/15008",
    "east//Pod/shop/cart-e",
    "east/networking.istio.io/WorkloadEntry/shop/vm",
  ]);
  assert.deepEqual([addresses(both), both.problems()], [["net1/10.1.0.1"], []]);
  const vm = both.workload("east/networking.istio.io/WorkloadEntry/shop/vm");
  assert.equal(vm?.networkGateway?.hbonePort, 15_008);
});

test("a cluster that is read anew, and holds what it held, changes nothing", () => {
  const both = twoNetworks();
  const seen: string[] = [];
  both.registry.workloads.observe((batch) => seen.push(...batch.map(({ key }) => key)));
  both.registry.services.observe((batch) => seen.push(...batch.map(({ key }) => key)));
  both.registry.problems.observe((batch) => seen.push(...batch.map(({ key }) => key)));
  const all = [...west, cartPod("cart-2", "10.9.0.2")];
  both.registry.intake(clusterId("west")).clear();
  both.applyTo("west", ...all);
  assert.deepEqual(seen, []);
  both.applyTo("west", unready(cartPod("cart-2", "10.9.0.2")));
  assert.deepEqual(seen, [
    "net2/SplitHorizonWorkload/istio-gateways/eastwest/192.0.2.1/shop/cart.shop.svc.cluster.local",
  ]);
});
