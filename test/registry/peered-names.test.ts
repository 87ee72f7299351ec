import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { networkId, type WorkloadUid } from "../../src/names.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import { bareWorkload } from "../../src/registry/workload-shape.ts";
import { clusterId } from "../../src/names.ts";
import { object } from "./mesh.ts";
import { CART, facts, federated, LOCAL_CART, peered, peerGateway, status } from "./peers.ts";
import { cart, cartPod, eastWest, system } from "./two-networks.ts";

const labels = (more: object = {}) => ({ labels: { "solo.io/service-scope": "global", ...more } });
const TAKEOVER = { "solo.io/service-takeover": "true" };
const uids = (all: readonly Workload[]): readonly string[] => all.map(({ uid }) => uid);
const WEST = "west/SplitHorizonWorkload/shop/cart/net-west/192.0.2.1";

test("a Service that is taken over leads to all clusters by its cluster-local name, its own network first", () => {
  const mesh = peered(["west"], [cart("10.1.0.1", {}, labels(TAKEOVER)), cartPod("cart-e", "10.0.0.1")]);
  mesh.hear(federated("west", { ports: [{ number: 81, name: "", protocol: "", targetPort: 81 }] }));
  assert.deepEqual(uids(mesh.endpoints(LOCAL_CART)), ["east//Pod/shop/cart-e", WEST]);
  const local = mesh.service(LOCAL_CART);
  assert.deepEqual(local?.addresses, [{ network: "net1", ip: "10.1.0.1" }]);
  assert.deepEqual(local?.loadBalancing?.preference, ["network"]);
  assert.deepEqual(local?.subjectAltNames, ["spiffe://cluster.local/ns/shop/sa/cart"]);
  assert.deepEqual(
    local?.ports.map(({ servicePort }) => servicePort),
    [80, 81],
  );
  mesh.apply(cart("10.1.0.1", {}, labels()));
  assert.deepEqual(uids(mesh.endpoints(LOCAL_CART)), ["east//Pod/shop/cart-e"]);
  assert.deepEqual(
    [mesh.service(LOCAL_CART)?.subjectAltNames, mesh.service(LOCAL_CART)?.loadBalancing],
    [[], undefined],
  );
});

test("with takeover the cluster-local name goes on when the Service itself is deleted, at an address of ours", () => {
  const mesh = peered(["west"], [cart("10.1.0.1", {}, labels(TAKEOVER)), cartPod("cart-e", "10.0.0.1")]);
  mesh.hear(federated("west", { takeover: true }));
  mesh.remove(cart(""));
  assert.deepEqual(uids(mesh.endpoints(LOCAL_CART)), [WEST]);
  assert.deepEqual(
    mesh.service(LOCAL_CART)?.addresses.map(({ network, ip }) => [network, /^(240\.240|2001:2)/.test(ip)]),
    [
      ["net1", true],
      ["net1", true],
    ],
  );
  assert.deepEqual(mesh.service(LOCAL_CART)?.loadBalancing?.preference, ["network"]);
  assert.deepEqual(mesh.service(LOCAL_CART)?.subjectAltNames, ["spiffe://cluster.local/ns/shop/sa/cart"]);
  mesh.apply(cart("10.1.0.1", {}, labels()));
  assert.deepEqual(mesh.service(LOCAL_CART)?.addresses, [{ network: "net1", ip: "10.1.0.1" }]);
  assert.deepEqual(uids(mesh.endpoints(LOCAL_CART)), ["east//Pod/shop/cart-e"], "our own Service says otherwise");
});

test("no peer takes over the name of a Service that we have and cannot read, or do not share", () => {
  const mesh = peered(["west"], [cart("oops")]);
  mesh.hear(federated("west", { takeover: true }));
  assert.equal(mesh.service(LOCAL_CART), undefined);
  mesh.apply(cart("10.1.0.1", {}, {}), cartPod("cart-e", "10.0.0.1"));
  assert.deepEqual(uids(mesh.endpoints(LOCAL_CART)), ["east//Pod/shop/cart-e"]);
  assert.deepEqual(uids(mesh.endpoints(CART)), [WEST], "the global name needs no Service of ours");
});

const segment = (name: string, domain: string, aliases: readonly object[] = []): KubeObject =>
  object("admin.solo.io/v1alpha1", "Segment", { name, namespace: "istio-system" }, { spec: { domain, aliases } });
const inSegment = (name: string): KubeObject =>
  object("v1", "Namespace", {
    name: "istio-system",
    namespace: undefined,
    labels: { "topology.istio.io/network": "net1", "admin.solo.io/segment": name },
  });

test("clusters of one segment pool their services, and those of others do not", () => {
  const mesh = peered(["north", "west"], [segment("prod", "prod.example"), cart("10.1.0.1", {}, labels())]);
  mesh.learn(facts("west", { segment: "prod", domain: "prod.example" }));
  mesh.hear(federated("north"), federated("west", { segment: "prod" }));
  const by = (name: string) => mesh.endpoints(name).map(({ cluster }) => cluster);
  const PROD = "shop/cart.shop.prod.example";
  assert.deepEqual([by(CART), by(PROD)], [["north"], ["west"]]);
  mesh.apply(inSegment("prod"), cartPod("cart-e", "10.0.0.1"));
  assert.deepEqual([by(CART), by(PROD)], [["north"], ["east", "west"]]);
  mesh.apply(system("net1"));
  assert.deepEqual([by(CART), by(PROD)], [["east", "north"], ["west"]]);
});

test("what is for a segment only is known only within it", () => {
  const mesh = peered(["west"], [segment("prod", "prod.example")]);
  mesh.learn(facts("west", { segment: "prod", domain: "prod.example" }));
  mesh.hear(federated("west", { scope: "segment", segment: "prod" }));
  assert.equal(mesh.service("shop/cart.shop.prod.example"), undefined);
  mesh.apply(inSegment("prod"));
  assert.ok(mesh.service("shop/cart.shop.prod.example"));
});

test("what was for our segment stays while its peer changes segments, until the peer says of it what it is now", () => {
  const mesh = peered(["west"], [segment("prod", "prod.example"), inSegment("prod")]);
  mesh.learn(facts("west", { segment: "prod", domain: "prod.example" }));
  mesh.hear(federated("west", { scope: "segment", segment: "prod" }));
  mesh.learn(facts("west"));
  assert.deepEqual(mesh.aggregates().length, 1);
  mesh.hear(federated("west", { scope: "global" }));
  assert.deepEqual(mesh.aggregates().length, 1);
  mesh.hear(federated("west", { scope: "segment" }));
  assert.deepEqual(mesh.aggregates().length, 0);
});

for (const domain of [
  "cluster.local",
  "svc.cluster.local",
  "test.example",
  "a.test.example",
  "local",
  "internal",
  "com",
])
  test(`a peer that calls its services by ${domain}, which is not its own, is not believed`, () => {
    const mesh = peered(["west"], [segment("test", "test.example"), cart("10.1.0.1")]);
    mesh.learn(facts("west", { domain }));
    mesh.hear(federated("west"));
    assert.deepEqual(mesh.aggregates(), []);
    assert.match(mesh.problems().join("\n"), /Cluster west calls its services by the domain .* not its to have/);
  });

test("the names of a peer's segment count once we have that Segment, with that domain, and a problem says so until then", () => {
  const mesh = peered(["west"]);
  mesh.learn(facts("west", { segment: "prod", domain: "prod.example" }));
  mesh.hear(federated("west"));
  const PROD = "shop/cart.shop.prod.example";
  assert.equal(mesh.service(PROD), undefined);
  assert.match(mesh.problems().join("\n"), /create Segment prod with spec\.domain prod\.example in istio-system here/);
  mesh.apply(segment("prod", "other.example"));
  assert.equal(mesh.service(PROD), undefined);
  assert.match(mesh.problems().join("\n"), /has the domain prod\.example in cluster west and other\.example here/);
  mesh.apply(segment("prod", "prod.example"));
  assert.ok(mesh.service(PROD));
  assert.doesNotMatch(mesh.problems().join("\n"), /domain/);
});

test("aliases of a segment are names of its peers' services, too, if both clusters have the same", () => {
  const aliases = [
    { pattern: "{service}.{namespace}.example.com" },
    { pattern: "{labels['team']}.example.org" },
    { pattern: "{annotations['dns']}.example.net" },
    { pattern: "{service}.vip.example.com", selector: { matchLabels: { tier: "gold" } } },
  ];
  const mesh = peered(["west"], [segment("prod", "prod.example", aliases), inSegment("prod")]);
  const digest = () => [...mesh.registry.exports.facts.entries()][0]![1].aliasesDigest;
  mesh.learn(facts("west", { segment: "prod", domain: "prod.example", aliasesDigest: digest() }));
  mesh.hear(
    federated("west", {
      segment: "prod",
      labels: [
        ["team", "cards"],
        ["tier", "gold"],
      ],
      annotations: [["dns", "pay"]],
    }),
  );
  const hosts = () => [...mesh.registry.services.entries()].map(([, { hostname }]) => hostname as string).sort();
  assert.deepEqual(hosts(), [
    "cards.example.org",
    "cart.shop.example.com",
    "cart.shop.prod.example",
    "cart.vip.example.com",
    "pay.example.net",
  ]);
  assert.deepEqual(
    mesh.aggregates().map(({ services }) => services.length),
    [5],
  );
  for (const [, { subjectAltNames, addresses }] of mesh.registry.services.entries())
    assert.deepEqual([subjectAltNames.length, addresses.length], [1, 2]);
  mesh.learn(facts("west", { segment: "prod", domain: "prod.example", aliasesDigest: "other" }));
  assert.deepEqual(hosts(), ["cart.shop.prod.example"]);
  assert.match(mesh.problems().join("\n"), /Segment prod of cluster west has other aliases here/);
});

test("of two services that want one alias the older has it, whoever shares it", () => {
  const aliases = [{ pattern: "shop.{labels['team']}.example" }];
  const mesh = peered(["west"], [segment("prod", "prod.example", aliases), inSegment("prod")]);
  const digest = [...mesh.registry.exports.facts.entries()][0]![1].aliasesDigest;
  mesh.learn(facts("west", { segment: "prod", domain: "prod.example", aliasesDigest: digest }));
  const of = (name: string, createdMs: number) =>
    federated("west", {
      name,
      createdMs,
      segment: "prod",
      labels: [["team", "a"]],
      identities: [`spiffe://cluster.local/ns/shop/sa/${name}`],
    });
  mesh.hear(of("cart", 5), of("basket", 9));
  const ALIAS = "shop/shop.a.example";
  assert.deepEqual(
    mesh.endpoints(ALIAS).map(({ name }) => name),
    ["autogen.west.shop.cart"],
  );
  assert.deepEqual(mesh.service(ALIAS)?.subjectAltNames, ["spiffe://cluster.local/ns/shop/sa/cart"]);
  assert.match(
    mesh.problems().join("\n"),
    /alias shop\.a\.example is that of Service cart, and is wanted by basket of west/,
  );
  mesh.unhear(of("cart", 5));
  assert.deepEqual(
    mesh.endpoints(ALIAS).map(({ name }) => name),
    ["autogen.west.shop.basket"],
  );
});

const waypoint = object(
  "gateway.networking.k8s.io/v1",
  "Gateway",
  { name: "w" },
  {
    spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }] },
    status: { addresses: [{ type: "IPAddress", value: "10.1.0.9" }] },
  },
);
const through = { "istio.io/use-waypoint": "w" };
const namespace = (more: object): KubeObject =>
  object("v1", "Namespace", { name: "shop", namespace: undefined, labels: more });

test("our own waypoint takes the global name, too, also with endpoints that are all elsewhere", () => {
  const mesh = peered(["west"], [waypoint, namespace(through)]);
  const taken = () => mesh.service(CART)?.waypoint?.destination;
  mesh.hear(federated("west"));
  const expected = { kind: "address", address: { network: "net1", ip: "10.1.0.9" } };
  assert.deepEqual(taken(), expected);
  mesh.apply(namespace({}));
  assert.equal(taken(), undefined);
  mesh.apply(cart("10.1.0.1", {}, labels(through)));
  assert.deepEqual(taken(), expected);
  assert.deepEqual(mesh.service(LOCAL_CART)?.waypoint?.destination, expected);
  mesh.apply(cart("10.1.0.1", {}, labels({ "istio.io/use-waypoint": "none" })), namespace(through));
  assert.equal(taken(), undefined, "the Service goes before its namespace");
});

test("what is to be enforced at the destination passes no waypoint here, unless it is here that it ends", () => {
  const mesh = peered(["west"], [waypoint, namespace(through)]);
  const taken = () => mesh.service(CART)?.waypoint !== undefined;
  for (const [waypointPolicy, expected] of [
    ["once", true],
    ["source", true],
    ["both", true],
    ["destination", false],
  ] as const) {
    mesh.hear(federated("west", { waypointPolicy }));
    assert.equal(taken(), expected, waypointPolicy);
  }
  mesh.apply(
    cart("10.1.0.1", {}, { ...labels(), annotations: { "peering.causeway.dev/waypoint-policy": "destination" } }),
  );
  assert.equal(taken(), true);
});

test("clusters that want L7 to be enforced at different ends are a problem that names both", () => {
  const mesh = peered(["north", "west"]);
  mesh.hear(federated("north", { createdMs: 1 }), federated("west", { createdMs: 2, waypointPolicy: "destination" }));
  assert.match(mesh.problems().join("\n"), /is once in cluster north, which counts, and destination in west/);
  mesh.hear(federated("west"));
  assert.deepEqual(mesh.problems(), []);
});

const west = (network: string): readonly KubeObject[] => [
  system(network),
  eastWest(network, ["198.51.100.1"]),
  cart("10.2.0.1", {}, labels()),
  cartPod("cart-1", "10.9.0.1"),
  cartPod("cart-2", "10.9.0.2"),
];

test("a cluster behind a remote secret adds to the global name, and to the cluster-local one as ever", () => {
  const mesh = peered([], [cart("10.1.0.1", {}, labels()), cartPod("cart-e", "10.0.0.1")]);
  mesh.applyTo("west", ...west("net2"));
  const seen = (name: string) =>
    mesh.endpoints(name).map(({ cluster, capacity, services }) => [cluster, capacity, services.length]);
  assert.deepEqual(seen(CART), [
    ["east", undefined, 2],
    ["west", 2, 1],
  ]);
  assert.deepEqual(seen(LOCAL_CART), [
    ["east", undefined, 2],
    ["west", 2, 1],
  ]);
  const names = ["spiffe://cluster.local/ns/shop/sa/cart-1", "spiffe://cluster.local/ns/shop/sa/cart-2"];
  assert.deepEqual(mesh.service(CART)?.subjectAltNames, names);
});

for (const network of ["net2", "net1"])
  test(`a cluster on ${network} that is a peer, too, is heard as that once it has said all, and somebody is told`, () => {
    const mesh = peered([], [cart("10.1.0.1", {}, labels())]);
    mesh.applyTo("west", ...west(network));
    mesh.apply(peerGateway("west", { network: "net2" }));
    mesh.learn(facts("west", { network: networkId("net2") }));
    mesh.hear(federated("west", { ready: 7 }));
    mesh.report(status("west", { state: "syncing", everSynced: false }));
    assert.ok(mesh.endpoints(LOCAL_CART).length > 0, "until then the secret counts");
    mesh.report(status("west"));
    assert.deepEqual(
      mesh.endpoints(CART).map(({ capacity }) => capacity),
      [7],
    );
    assert.deepEqual(mesh.endpoints(LOCAL_CART), []);
    assert.deepEqual(mesh.workload("west//Pod/shop/cart-1"), undefined);
    assert.match(mesh.problems().join("\n"), /Cluster west is a peer and has a remote secret, too.* \(shadowed\)/);
    mesh.remove(peerGateway("west"));
    assert.ok(mesh.endpoints(LOCAL_CART).length > 0);
  });

const flat = (name: string, ip: string, said: Partial<Workload> = {}): Workload => {
  const uid = `west//Pod/shop/${name}` as WorkloadUid;
  const services = [{ service: CART as never, ports: [{ servicePort: 80, targetPort: 8080 }] }];
  return {
    ...bareWorkload(uid, name, "shop", clusterId("west"), "cluster.local"),
    network: networkId("net1"),
    addresses: [ip],
    tunnel: "hbone",
    serviceAccount: "cart",
    services,
    ...said,
  };
};

test("pods of a peer on our own network are endpoints one by one, as themselves, and no gateway is between", () => {
  const mesh = peered([]);
  mesh.apply(peerGateway("west", { network: "net1" }));
  mesh.learn(facts("west", { network: networkId("net1") }));
  mesh.hear(federated("west"));
  const write = (...all: readonly Workload[]) => {
    mesh.registry.peers.workloads.replace(
      "west/",
      all.map((each) => [each.uid, each]),
    );
    mesh.graph.flush();
  };
  write(flat("cart-1", "10.9.0.1"), flat("cart-2", "10.9.0.2", { services: [] }));
  const found = () =>
    mesh.endpoints(CART).map(({ name, addresses, networkGateway }) => [name, addresses, networkGateway]);
  const [first, ...others] = found();
  assert.match(String(first?.[0]), /^autogenflat\.west\.shop\.cart-1\.[0-9a-f]{12}$/);
  assert.deepEqual([first?.slice(1), others], [[["10.9.0.1"], undefined], []]);
  assert.deepEqual(mesh.service(CART)?.subjectAltNames, [], "who is called directly is known by its own name");
  write(flat("cart-1", "10.9.0.1", { network: networkId("net9") }));
  assert.deepEqual(found(), [], "an address on another network is out of reach");
  write(flat("cart-1", "10.9.0.1", { trustDomain: "other.example" }));
  assert.deepEqual(found(), [], "and so is who claims to be of another trust domain");
  write(flat("cart-1", "10.9.0.1"));
  mesh.report(status("west", { state: "stale", dataPlane: "closed", staleness: "within-grace" }));
  assert.deepEqual(found(), [], "and who was there before the network broke");
  mesh.report(status("west"));
  assert.equal(found().length, 1);
  mesh.learn(facts("west", { network: networkId("net9") }));
  assert.deepEqual(found(), [], "and whose own cluster says that it is elsewhere");
  assert.match(mesh.problems().join("\n"), /but the cluster itself says another/);
});

test("single pods of peers can be turned off", () => {
  const mesh = peered([], [], { flatPeering: "off" });
  mesh.apply(peerGateway("west", { network: "net1" }));
  mesh.learn(facts("west", { network: networkId("net1") }));
  mesh.hear(federated("west"));
  const one = flat("cart-1", "10.9.0.1");
  mesh.registry.peers.workloads.set(one.uid, one);
  mesh.graph.flush();
  assert.deepEqual(mesh.endpoints(CART), []);
});

test("a peer on our own network cannot have the address of one of our pods, whoever was there first", () => {
  const mesh = peered([]);
  mesh.apply(peerGateway("west", { network: "net1" }));
  mesh.learn(facts("west", { network: networkId("net1") }));
  mesh.hear(federated("west"));
  const write = (...all: readonly Workload[]) => {
    mesh.registry.peers.workloads.replace(
      "west/",
      all.map((each) => [each.uid, each]),
    );
    mesh.graph.flush();
  };
  write(flat("cart-1", "10.0.0.1"), flat("cart-2", "10.9.0.2"));
  assert.equal(mesh.endpoints(CART).length, 2);
  mesh.apply(cartPod("cart-e", "10.0.0.1"));
  assert.deepEqual(
    mesh.endpoints(CART).flatMap(({ addresses }) => addresses),
    ["10.9.0.2"],
  );
  assert.match(
    mesh.problems().join("\n"),
    /Pod shop\/cart-1 of cluster west has the address 10\.0\.0\.1, as one of our own/,
  );
  write(flat("cart-1", "10.0.0.1"));
  assert.deepEqual(mesh.endpoints(CART), []);
  write();
  write(flat("cart-1", "10.0.0.1"));
  assert.deepEqual(mesh.endpoints(CART), [], "nor one that claims it after");
  mesh.remove(cartPod("cart-e", ""));
  assert.equal(mesh.endpoints(CART).length, 1);
});

test("without addresses to give a global name is a problem, and one for all of them", () => {
  const mesh = peered(["west"], [], { allocateIps: false });
  mesh.hear(federated("west"), federated("west", { name: "pay" }));
  assert.deepEqual(
    mesh.problems().filter((message) => message.includes("cannot be called")),
    [
      "cart.shop.mesh.internal and 1 more cannot be called: there is no address for it, as PILOT_ENABLE_IP_AUTOALLOCATE is false.",
    ],
  );
});
