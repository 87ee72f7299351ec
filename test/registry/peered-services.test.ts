import assert from "node:assert/strict";
import { test } from "mocha";
import { service } from "./mesh.ts";
import { byAddress, cart, cartPod } from "./two-networks.ts";
import { CART, facts, federated, HBONE, LOCAL_CART, peered, peerGateway, status } from "./peers.ts";

const SHARED = { labels: { "solo.io/service-scope": "global" } };

test("a service that only a peer has is known by its global name, at an address of our network", () => {
  const mesh = peered();
  mesh.hear(federated("west"));
  const found = mesh.service(CART);
  assert.ok(found);
  const { addresses, ...rest } = found;
  assert.deepEqual(rest, {
    key: CART,
    name: "cart",
    namespace: "shop",
    hostname: "cart.shop.mesh.internal",
    ports: [{ servicePort: 80, targetPort: 8080 }],
    subjectAltNames: ["spiffe://cluster.local/ns/shop/sa/cart"],
    waypoint: undefined,
    loadBalancing: { mode: "failover", preference: ["network"], healthPolicy: "only-healthy" },
    ipFamilies: "automatic",
    canonical: true,
  });
  assert.deepEqual(
    addresses.map(({ network, ip }) => [network, /^(240\.240\.|2001:2::)/.test(ip)]),
    [
      ["net1", true],
      ["net1", true],
    ],
  );
  assert.equal(mesh.service(LOCAL_CART), undefined, "the cluster-local name stays local");
  mesh.unhear(federated("west"));
  assert.deepEqual([mesh.service(CART), mesh.aggregates()], [undefined, []]);
});

test("all endpoints of a peer are one workload behind its gateway, with as much capacity as are ready", () => {
  const mesh = peered();
  mesh.hear(federated("west"));
  const uid = "west/SplitHorizonWorkload/shop/cart/net-west/192.0.2.1";
  assert.deepEqual(mesh.aggregates(), [
    {
      uid,
      name: "autogen.west.shop.cart",
      namespace: "shop",
      cluster: "west",
      network: "net-west",
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
      services: [{ service: CART, ports: [{ servicePort: 80, targetPort: 8080 }] }],
      waypoint: undefined,
      networkGateway: byAddress("192.0.2.1", "net-west"),
      applicationTunnel: undefined,
      policies: [],
      capacity: 3,
    },
  ]);
  const gateway = mesh.workload("NetworkGateway/net-west/192.0.2.1/15008");
  assert.deepEqual(
    [gateway?.addresses, gateway?.namespace, gateway?.serviceAccount, gateway?.trustDomain],
    [["192.0.2.1"], "istio-eastwest", "istio-eastwest", "cluster.local"],
  );
});

test("a peer without ready endpoints keeps its place, unhealthy, and is back at once", () => {
  const mesh = peered();
  const seen = () => mesh.aggregates().map(({ healthy, capacity }) => [healthy, capacity]);
  mesh.hear(federated("west", { ready: 0 }));
  assert.deepEqual(seen(), [[false, 4]]);
  mesh.hear(federated("west", { ready: 0, total: 0 }));
  assert.deepEqual(seen(), [[false, 0]]);
  mesh.hear(federated("west"));
  assert.deepEqual(seen(), [[true, 3]]);
});

test("our own endpoints serve the global name, with their own target ports, for peers call them by no other", () => {
  const mesh = peered(
    ["west"],
    [
      cart("10.1.0.1", { ports: [{ port: 80, targetPort: 9090, name: "http" }] }, SHARED),
      cartPod("cart-e", "10.0.0.1"),
    ],
  );
  assert.deepEqual(mesh.workload("east//Pod/shop/cart-e")?.services, [
    { service: CART, ports: [{ servicePort: 80, targetPort: 9090 }] },
    { service: LOCAL_CART, ports: [{ servicePort: 80, targetPort: 9090 }] },
  ]);
  assert.deepEqual(mesh.service(CART)?.subjectAltNames, [], "whom it expects are others, not ourselves");
  mesh.hear(federated("west"));
  assert.deepEqual(
    mesh.endpoints(CART).map(({ uid }) => uid),
    ["east//Pod/shop/cart-e", "west/SplitHorizonWorkload/shop/cart/net-west/192.0.2.1"],
  );
  assert.deepEqual(
    mesh.endpoints(LOCAL_CART).map(({ uid }) => uid),
    ["east//Pod/shop/cart-e"],
  );
  mesh.apply(cart("10.1.0.1", {}, {}));
  assert.deepEqual(
    mesh.endpoints(CART).map(({ uid }) => uid),
    ["west/SplitHorizonWorkload/shop/cart/net-west/192.0.2.1"],
    "what is not shared is no endpoint of the global name",
  );
});

test("the address of a global name stays, whoever has the service", () => {
  const mesh = peered(["west", "north"]);
  mesh.hear(federated("west"));
  const first = mesh.service(CART)?.addresses;
  mesh.hear(federated("north"));
  mesh.unhear(federated("west"));
  mesh.apply(cart("10.1.0.1", {}, SHARED));
  assert.equal(first?.length, 2);
  assert.deepEqual(mesh.service(CART)?.addresses, first);
});

test("ports are all that any cluster has, and each cluster is an endpoint of its own only", () => {
  const mesh = peered(["north", "west"], [cart("10.1.0.1", { ports: [{ port: 80, name: "http" }] }, SHARED)]);
  const port = (number: number, protocol: string) => ({ number, name: "", protocol, targetPort: 0 });
  mesh.hear(
    federated("north", { ports: [port(80, "HTTP"), port(81, "HTTP")] }),
    federated("west", { ports: [port(81, "GRPC")] }),
  );
  assert.deepEqual(mesh.service(CART)?.ports, [
    { servicePort: 80, targetPort: 0 },
    { servicePort: 81, targetPort: 0 },
  ]);
  assert.deepEqual(
    mesh
      .aggregates()
      .map(({ cluster, services }) => [cluster, services[0]?.ports.map(({ servicePort }) => servicePort)]),
    [
      ["north", [80, 81]],
      ["west", [81]],
    ],
  );
  assert.match(mesh.problems().join("\n"), /PortConflict.*81.*GRPC.*west.*HTTP/);
});

test("identities count only in the peer's own trust domain, its waypoint's among them", () => {
  const mesh = peered([]);
  mesh.apply(peerGateway("west", { annotations: { "gateway.istio.io/trust-domain": "west.example" } }));
  mesh.learn(facts("west", { trustDomain: "west.example" }));
  const own = ["spiffe://west.example/ns/shop/sa/cart", "spiffe://west.example/ns/shop/sa/waypoint"];
  mesh.hear(
    federated("west", {
      identities: ["spiffe://cluster.local/ns/shop/sa/cart", own[0]!],
      waypoint: { namespace: "shop", name: "waypoint", identity: own[1]! },
    }),
  );
  assert.deepEqual(mesh.service(CART)?.subjectAltNames, own);
  assert.match(mesh.problems().join("\n"), /cluster west .* 1 .* trust domain west\.example/);
});

test("a port of the Gateway's listener leads in, else what the peer says of its doors, else 15008", () => {
  const mesh = peered();
  const ports = () =>
    mesh.aggregates().map(({ networkGateway }) => [networkGateway?.hbonePort, mesh.registry.networkGateways.size]);
  mesh.hear(federated("west"));
  assert.deepEqual(ports(), [[15_008, 1]]);
  const door = {
    serviceType: "loadbalancer",
    host: { kind: "ip", ip: "192.0.2.1" },
    hbonePort: 15_443,
    identity: "spiffe://cluster.local/ns/gateways/sa/door",
  } as const;
  mesh.learn(facts("west", { doors: [door] }));
  assert.deepEqual(ports(), [[15_443, 1]]);
  const gateway = mesh.workload("NetworkGateway/net-west/192.0.2.1/15443");
  assert.deepEqual([gateway?.namespace, gateway?.serviceAccount], ["gateways", "door"]);
  const listeners = [
    { name: "xds", port: 15_012, protocol: "TLS", tls: { mode: "Passthrough" } },
    { ...HBONE, port: 15_009 },
  ];
  mesh.apply(peerGateway("west", { listeners }));
  assert.deepEqual(ports(), [[15_009, 1]]);
});

test("a peer that is reached by its nodes has a name that stands for them all", () => {
  const mesh = peered([]);
  mesh.apply(peerGateway("west", { annotations: { "peering.solo.io/preferred-data-plane-service-type": "nodeport" } }));
  mesh.hear(federated("west"));
  mesh.learn(facts("west"));
  assert.deepEqual(mesh.aggregates(), []);
  assert.match(mesh.problems().join("\n"), /prefers node ports, but cluster west names no node of it/);
  const node = (ip: string) =>
    ({
      serviceType: "nodeport",
      host: { kind: "ip", ip },
      hbonePort: 30_015,
      identity: "spiffe://cluster.local/ns/istio-eastwest/sa/istio-eastwest",
    }) as const;
  mesh.learn(facts("west", { doors: [node("192.0.2.7"), node("192.0.2.8")] }));
  const host = "node.istio-eastwest.west.mesh.internal";
  const cartOf = mesh.endpoints(CART);
  assert.deepEqual(
    cartOf.map(({ networkGateway }) => networkGateway),
    [{ destination: { kind: "hostname", namespace: "istio-eastwest", hostname: host }, hbonePort: 15_008 }],
  );
  assert.ok(mesh.workload(`NetworkGateway/net-west/${host}/15008`));
  const nodes = mesh.endpoints(`istio-eastwest/${host}`);
  assert.deepEqual(
    nodes.map(({ name, addresses, network, services, tunnel }) => [
      name,
      addresses,
      network,
      services[0]?.ports,
      tunnel,
    ]),
    ["192.0.2.7", "192.0.2.8"].map((ip) => [
      `autogen.node.west.${ip}`,
      [ip],
      "net-west",
      [{ servicePort: 15_008, targetPort: 30_015 }],
      "none",
    ]),
  );
  assert.deepEqual(mesh.service(`istio-eastwest/${host}`)?.ports, [{ servicePort: 15_008, targetPort: 0 }]);
  mesh.learn(facts("west", { doors: [node("192.0.2.8")] }));
  assert.equal(mesh.endpoints(`istio-eastwest/${host}`).length, 1, "a node that was cordoned is no way in");
});

test("endpoints are where the Gateway says, else where all of them are", () => {
  const mesh = peered();
  const seen = () => mesh.aggregates()[0]?.locality;
  const at = (zone: string, ready: number) => ({ region: "eu", zone, ready });
  mesh.hear(federated("west", { localities: [at("a", 1), at("b", 2)] }));
  assert.deepEqual(seen(), { region: "eu", zone: "", subzone: "" });
  mesh.hear(federated("west", { localities: [at("a", 1)] }));
  assert.equal(seen(), undefined, "two of three are nobody knows where");
  mesh.apply(peerGateway("west", { labels: { "topology.kubernetes.io/region": "us" } }));
  assert.deepEqual(seen(), { region: "us", zone: "", subzone: "" });
});

test("a peer on our own network is no way out of it, and somebody is told", () => {
  const mesh = peered([], [], { flatPeering: "off" });
  mesh.apply(peerGateway("west", { network: "net1" }));
  mesh.learn(facts("west", { network: "net1" as never }));
  mesh.hear(federated("west"));
  assert.deepEqual(mesh.aggregates(), []);
  assert.match(mesh.problems().join("\n"), /cluster west is on network "net1", as ours is/);
});

/** What a link can be in, and what that does to the endpoints behind it (contract peering.md 2.13). */
const states: readonly (readonly [string, Parameters<typeof status>[1], "kept" | "unhealthy" | "gone"])[] = [
  ["live", {}, "kept"],
  ["connecting, and never was there", { state: "connecting", everSynced: false }, "kept"],
  ["stale within its grace", { state: "stale", staleness: "within-grace" }, "kept"],
  ["stale, and its gateway is closed", { state: "stale", staleness: "within-grace", dataPlane: "closed" }, "unhealthy"],
  ["live, but its gateway is closed", { dataPlane: "closed" }, "kept"],
  ["stale for longer, to be retained", { state: "stale", staleness: "retain" }, "kept"],
  ["stale for longer, to be unhealthy", { state: "stale", staleness: "unhealthy" }, "unhealthy"],
  ["stale for longer, to be removed", { state: "stale", staleness: "remove" }, "gone"],
];
for (const [what, said, expected] of states)
  test(`what a peer said is ${expected} while its link is ${what}`, () => {
    const mesh = peered();
    mesh.hear(federated("west"));
    mesh.report(status("west", said));
    const seen = mesh.aggregates().map(({ healthy }) => healthy);
    assert.deepEqual(seen, { kept: [true], unhealthy: [false], gone: [] }[expected]);
    assert.equal(mesh.service(CART) === undefined, expected === "gone");
    mesh.report(status("west"));
    assert.deepEqual(
      mesh.aggregates().map(({ healthy }) => healthy),
      [true],
    );
  });

test("what a peer that is connected says and may not say is a problem", () => {
  const mesh = peered(["west"]);
  mesh.report(status("west", { reason: "ResourceRejected", message: "what it says of itself is refused: that" }));
  assert.match(
    mesh.problems().join("\n"),
    /Cluster west is connected, .*: what it says of itself is refused: that \(Res/,
  );
  mesh.report(status("west"));
  assert.deepEqual(mesh.problems(), []);
});

test("a peer whose Gateway goes is gone at once, whatever of it is still there", () => {
  const mesh = peered(["north", "west"]);
  mesh.hear(federated("north"), federated("west"));
  mesh.remove(peerGateway("west"));
  assert.deepEqual(
    mesh.aggregates().map(({ cluster }) => cluster),
    ["north"],
  );
  mesh.remove(peerGateway("north"));
  assert.equal(mesh.service(CART), undefined);
  assert.deepEqual([...mesh.registry.workloads.entries()], []);
});

test("traffic is spread as our own Service says, else as the oldest that shares it", () => {
  const mesh = peered(["north", "west"]);
  const seen = () => mesh.service(CART)?.loadBalancing?.preference;
  mesh.hear(federated("north", { createdMs: 5 }), federated("west", { createdMs: 9, distribution: "PreferClose" }));
  assert.deepEqual(seen(), ["network"]);
  mesh.hear(federated("north", { createdMs: 10 }));
  assert.deepEqual(seen(), ["network", "region", "zone"]);
  mesh.hear(federated("west", { createdMs: 9, distribution: "PreferRegion" }));
  assert.deepEqual(seen(), ["region"]);
  mesh.hear(federated("west", { createdMs: 9, distribution: "Any" }));
  assert.equal(seen(), undefined);
  mesh.apply(cart("10.1.0.1", {}, SHARED));
  assert.deepEqual(seen(), ["network"]);
  mesh.apply(cart("10.1.0.1", { trafficDistribution: "PreferClose" }, SHARED));
  assert.deepEqual(seen(), ["network", "region", "zone"]);
});

test("a spread that nobody knows is a problem, and no wish", () => {
  const mesh = peered();
  mesh.hear(federated("west", { distribution: "PreferMoon" }));
  assert.deepEqual(mesh.service(CART)?.loadBalancing?.preference, ["network"]);
  assert.match(mesh.problems().join("\n"), /cluster west .*traffic distribution/);
  const annotations = { "networking.istio.io/traffic-distribution": "PreferMoon" };
  mesh.apply(cart("10.1.0.1", {}, { ...SHARED, annotations }));
  assert.deepEqual(mesh.service(CART)?.loadBalancing?.preference, ["network"]);
  assert.match(mesh.problems().join("\n"), /traffic-distribution\] .* use PreferNetwork/);
});

test("a host that somebody wrote an entry for is theirs if the entry is older than the service", () => {
  const entry = (creationTimestamp: string) => ({
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name: "mine", namespace: "shop", creationTimestamp },
    spec: {
      hosts: ["cart.shop.mesh.internal"],
      addresses: ["10.5.0.1"],
      ports: [{ number: 80, name: "http" }],
      resolution: "STATIC",
    },
  });
  const mesh = peered();
  mesh.hear(federated("west", { createdMs: Date.parse("2026-01-01T00:00:00Z") }));
  mesh.apply(entry("2026-02-01T00:00:00Z") as never);
  assert.equal(mesh.service(CART)?.addresses.length, 2);
  assert.match(mesh.problems().join("\n"), /cart\.shop\.mesh\.internal belongs to Service cart/);
  mesh.apply(entry("2025-12-01T00:00:00Z") as never);
  assert.deepEqual(mesh.service(CART)?.addresses, [{ network: "net1", ip: "10.5.0.1" }]);
  assert.deepEqual(mesh.aggregates(), [], "what is theirs has no endpoints of peers");
  assert.match(mesh.problems().join("\n"), /cart\.shop\.mesh\.internal belongs to ServiceEntry mine/);
});

test("without peering nothing of a peer is known, and no service has a global name", () => {
  const mesh = peered(["west"], [cart("10.1.0.1", {}, SHARED), service("other", "10.1.0.2")], {
    peeringDiscovery: false,
  });
  mesh.hear(federated("west"));
  assert.deepEqual([...mesh.registry.services.entries()].map(([key]) => key).sort(), [
    LOCAL_CART,
    "shop/other.shop.svc.cluster.local",
  ]);
  assert.deepEqual(mesh.aggregates(), []);
});
