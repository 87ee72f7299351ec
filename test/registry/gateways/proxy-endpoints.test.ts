import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, networkId, serviceName } from "../../../src/names.ts";
import { SETTINGS } from "../../xds/envoy/samples.ts";
import { object, pod, service, serviceEntry } from "../mesh.ts";
import { facts, federated, peerGateway } from "../peers.ts";
import { cart, eastWest, GLOBAL, system, unready } from "../two-networks.ts";
import {
  ambientPod,
  gatewayMesh,
  node,
  USE,
  waypoint,
  WAYPOINT,
  waypointPod,
  waypointService,
} from "./gateway-mesh.ts";

const LOCAL = "shop/cart.shop.svc.cluster.local:80";
const SHARED = "shop/cart.shop.mesh.internal:80";
const HTTP = { ports: [{ name: "http", port: 80, targetPort: 8080 }] };
const BOTH = { labels: { ...USE.labels, ...GLOBAL.labels } };
const identity = (account: string, trustDomain = "cluster.local", namespace = "shop") => ({
  trustDomain,
  names: [`spiffe://${trustDomain}/ns/${namespace}/sa/${account}`],
});

test("an endpoint that speaks HBONE is reached through its ztunnel, which must prove to be it; any other as it is", () => {
  const plain = pod("cart-2", "fd00::2", { app: "cart" });
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", HTTP, USE), ambientPod("cart-1", "10.0.0.1"), plain]);
  assert.deepEqual(mesh.groups(LOCAL), [
    [
      {
        id: "east//Pod/shop/cart-1",
        weight: 1,
        locality: undefined,
        way: {
          kind: "tunnel",
          ip: "10.0.0.1",
          hbonePort: 15_008,
          authority: "10.0.0.1:8080",
          identity: identity("cart"),
        },
      },
      {
        id: "east//Pod/shop/cart-2",
        weight: 1,
        locality: undefined,
        way: { kind: "plain", ip: "fd00::2", port: 8080 },
      },
    ],
  ]);
});

test("the authority of an IPv6 endpoint has it in brackets", () => {
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", HTTP, USE), ambientPod("cart-1", "fd00::1")]);
  assert.deepEqual(mesh.ends(LOCAL), [["[fd00::1]:8080 in fd00::1:15008 1"]]);
});

test("what is not ready gets nothing, unless the service publishes it", () => {
  const gone = unready(ambientPod("cart-1", "10.0.0.1"));
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", HTTP, USE), gone]);
  assert.deepEqual(mesh.ends(LOCAL), []);
  mesh.apply(cart("10.1.0.1", { ...HTTP, publishNotReadyAddresses: true }, USE));
  assert.deepEqual(mesh.ends(LOCAL), [["10.0.0.1:8080 in 10.0.0.1:15008 1"]]);
});

test("each endpoint takes the port where it has it, and one that lacks it gets nothing of it", () => {
  const named = (name: string, ip: string, containerPort: number, portName: string) =>
    ambientPod(name, ip, { containers: [{ name: "c", ports: [{ name: portName, containerPort }] }] });
  const mesh = gatewayMesh([
    waypoint(),
    cart("10.1.0.1", { ports: [{ name: "http", port: 80, targetPort: "web" }] }, USE),
    named("cart-1", "10.0.0.1", 9001, "web"),
    named("cart-2", "10.0.0.2", 9002, "web"),
    named("cart-3", "10.0.0.3", 9003, "other"),
  ]);
  assert.deepEqual(mesh.ends(LOCAL), [["10.0.0.1:9001 in 10.0.0.1:15008 1", "10.0.0.2:9002 in 10.0.0.2:15008 1"]]);
});

test("entries count by their weight", () => {
  const endpoint = (address: string, weight: number) => ({ address, weight });
  const entry = serviceEntry(
    "api",
    {
      hosts: ["api.com"],
      addresses: ["10.2.0.1"],
      ports: [{ number: 80, name: "http" }],
      resolution: "STATIC",
      endpoints: [endpoint("10.7.0.1", 5), endpoint("10.7.0.2", 1)],
    },
    USE,
  );
  const mesh = gatewayMesh([waypoint(), entry]);
  assert.deepEqual(mesh.ends("shop/api.com:80"), [["10.7.0.1:80 5", "10.7.0.2:80 1"]]);
});

test("a host outside of the mesh is reached by its name, and the endpoints of its entry by theirs", () => {
  const entry = (name: string, spec: object) =>
    serviceEntry(
      name,
      { hosts: [`${name}.com`], ports: [{ number: 443, name: "tls" }], resolution: "DNS", ...spec },
      USE,
    );
  const endpoints = [{ address: "eu.b.com", ports: { tls: 8443 } }, { address: "192.0.2.77" }];
  const mesh = gatewayMesh([waypoint(), entry("a", {}), entry("b", { endpoints })]);
  assert.deepEqual(mesh.ends("shop/a.com:443"), [["a.com:443 1"]]);
  assert.deepEqual(mesh.ends("shop/b.com:443"), [["192.0.2.77:443 1", "eu.b.com:8443 1"]]);
});

test("no name leads a waypoint to the admin port of its own Envoy, however it is written", () => {
  const at = (name: string, endpoints: readonly object[], number = 80) =>
    serviceEntry(
      name,
      { hosts: [`${name}.com`], ports: [{ number, name: "http" }], resolution: "DNS", endpoints },
      USE,
    );
  const mesh = gatewayMesh([
    waypoint(),
    at("a", [{ address: "localhost", ports: { http: 15_000 } }, { address: "b.com" }]),
    at("c", [], 15_000),
  ]);
  assert.deepEqual(mesh.ends("shop/a.com:80"), [["b.com:80 1"]]);
  assert.deepEqual(mesh.ends("shop/c.com:15000"), []);
});

test("a waypoint never sends to its own pods what came to it", () => {
  const own = service("cart", "10.1.0.1", { selector: { "gateway.networking.k8s.io/gateway-name": "w" } }, USE);
  const mesh = gatewayMesh([
    waypoint(),
    waypointService,
    own,
    waypointPod("w-1", "10.0.9.1"),
    pod("twin", "10.0.9.2", { "gateway.networking.k8s.io/gateway-name": "w" }, { serviceAccountName: "other" }),
  ]);
  assert.deepEqual(mesh.ends(LOCAL), [["10.0.9.2:80 1"]]);
});

test("traffic that is to stay near goes to the waypoint's zone first, then its region, then anywhere", () => {
  const mesh = gatewayMesh([
    waypoint(),
    waypointPod("w-1", "10.0.9.1", { nodeName: "near" }),
    node("near", "r", "a"),
    node("region", "r", "b"),
    node("far", "s", "a"),
    cart("10.1.0.1", { ...HTTP, trafficDistribution: "PreferClose" }, USE),
    ambientPod("cart-1", "10.0.0.1", { nodeName: "far" }),
    ambientPod("cart-2", "10.0.0.2", { nodeName: "region" }),
    ambientPod("cart-3", "10.0.0.3", { nodeName: "near" }),
  ]);
  const ips = () => mesh.ends(LOCAL).map((group) => group.map((end) => end.split(":")[0]));
  assert.deepEqual(ips(), [["10.0.0.3"], ["10.0.0.2"], ["10.0.0.1"]]);
  mesh.apply(unready(ambientPod("cart-3", "10.0.0.3", { nodeName: "near" })));
  assert.deepEqual(ips(), [["10.0.0.2"], ["10.0.0.1"]]);
});

test("nothing is near to a waypoint whose place nobody knows, and none is on a node of its own", () => {
  const mesh = gatewayMesh([
    waypoint(),
    node("n1", "r", "a"),
    cart("10.1.0.1", { ...HTTP, trafficDistribution: "PreferSameNode" }, USE),
    ambientPod("cart-1", "10.0.0.1"),
    ambientPod("cart-2", "10.0.0.2", { nodeName: "elsewhere" }),
  ]);
  assert.equal(mesh.ends(LOCAL).length, 1);
  mesh.apply(cart("10.1.0.1", { ...HTTP, internalTrafficPolicy: "Local" }, USE));
  assert.equal(mesh.ends(LOCAL)[0]!.length, 2);
});

test("a global service is served from its own network first, and through the peer's gateway when nothing is left there", () => {
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", HTTP, BOTH), ambientPod("cart-1", "10.0.0.1")]);
  mesh.hear("west", {}, federated("west"));
  const through = `cart.shop.mesh.internal:80 through 192.0.2.1:15008 3`;
  assert.deepEqual(mesh.ends(SHARED), [["10.0.0.1:8080 in 10.0.0.1:15008 1"], [through]]);
  mesh.remove(ambientPod("cart-1", "10.0.0.1"));
  assert.deepEqual(mesh.ends(SHARED), [[through]]);
  mesh.apply(ambientPod("cart-1", "10.0.0.1"));
  assert.deepEqual(mesh.ends(SHARED), [["10.0.0.1:8080 in 10.0.0.1:15008 1"], [through]]);
});

test("the own network comes before a place in another one, however near that is", () => {
  const near = { ...BOTH, annotations: { "networking.istio.io/traffic-distribution": "PreferClose" } };
  const mesh = gatewayMesh([
    waypoint(),
    waypointPod("w-1", "10.0.9.1", { nodeName: "near" }),
    node("near", "r", "a"),
    node("far", "s", "b"),
    cart("10.1.0.1", HTTP, near),
    ambientPod("cart-1", "10.0.0.1", { nodeName: "far" }),
  ]);
  mesh.hear("west", {}, federated("west", { localities: [{ region: "r", zone: "a", ready: 3 }] }));
  mesh.hear("south", {}, federated("south"));
  assert.deepEqual(
    mesh.groups(SHARED).map(([first]) => first!.id.split("/")[0]),
    ["east", "west", "south"],
  );
});

test("through a gateway the outer tunnel expects the gateway, and the inner one whom the peer names of its own trust domain", () => {
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", HTTP, BOTH)]);
  mesh.apply(
    peerGateway("west", { annotations: { "gateway.istio.io/trust-domain": "west.test" } }),
    object("v1", "Namespace", { name: "shop", namespace: undefined, labels: USE.labels }),
  );
  mesh.registry.peers.facts.set(clusterId("west"), facts("west", { trustDomain: "west.test" }));
  const identities = ["spiffe://cluster.local/ns/shop/sa/spy", "spiffe://west.test/ns/shop/sa/cart"];
  const waypointThere = { namespace: "shop", name: "w", identity: "spiffe://west.test/ns/shop/sa/w" };
  const record = federated("west", { identities, waypoint: waypointThere });
  mesh.registry.peers.federated.set(`west/shop/cart` as never, record);
  mesh.graph.flush();
  const [[end] = []] = mesh.groups(SHARED);
  assert.deepEqual(end?.way, {
    kind: "double-tunnel",
    gateway: { kind: "ip", ip: "192.0.2.1" },
    hbonePort: 15_008,
    gatewayIdentity: identity("istio-eastwest", "west.test", "istio-eastwest"),
    authority: "cart.shop.mesh.internal:80",
    identity: {
      trustDomain: "west.test",
      names: ["spiffe://west.test/ns/shop/sa/cart", "spiffe://west.test/ns/shop/sa/w"],
    },
  });
});

test("a peer without a ready endpoint gets nothing, nor one without any where all count", () => {
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", HTTP, BOTH)]);
  mesh.hear("west", {}, federated("west", { ready: 0 }));
  assert.deepEqual(mesh.ends(SHARED), []);
  mesh.apply(cart("10.1.0.1", { ...HTTP, publishNotReadyAddresses: true }, BOTH));
  assert.deepEqual(mesh.ends(SHARED), [["cart.shop.mesh.internal:80 through 192.0.2.1:15008 4"]]);
  mesh.hear("west", {}, federated("west", { ready: 0, total: 0 }));
  assert.deepEqual(mesh.ends(SHARED), []);
});

test("an endpoint of a peer that names no identity is never dialled", () => {
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", HTTP, BOTH)]);
  mesh.hear("west", {}, federated("west", { identities: [] }));
  assert.deepEqual(mesh.ends(SHARED), []);
});

test("a name that was taken over works through the waypoint with no local pod, and after its Service is gone", () => {
  const taken = { labels: { ...BOTH.labels, "solo.io/service-takeover": "true" } };
  const mesh = gatewayMesh([
    waypoint(),
    object("v1", "Namespace", { name: "shop", namespace: undefined, labels: USE.labels }),
    cart("10.1.0.1", HTTP, taken),
    ambientPod("cart-1", "10.0.0.1"),
  ]);
  mesh.hear("west", {}, federated("west", { takeover: true }));
  const through = "cart.shop.svc.cluster.local:80 through 192.0.2.1:15008 3";
  assert.deepEqual(mesh.ends(LOCAL), [["10.0.0.1:8080 in 10.0.0.1:15008 1"], [through]]);
  mesh.remove(ambientPod("cart-1", "10.0.0.1"));
  assert.deepEqual(mesh.ends(LOCAL), [[through]]);
  mesh.remove(cart("10.1.0.1", HTTP, taken));
  assert.deepEqual(mesh.ends(LOCAL), [[through]]);
});

test("a peer that is entered by its nodes gets the same share, however many nodes it has", () => {
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", HTTP, BOTH), ambientPod("cart-1", "10.0.0.1")]);
  mesh.apply(peerGateway("west", { annotations: { "peering.solo.io/preferred-data-plane-service-type": "nodeport" } }));
  const door = (ip: string) => ({
    serviceType: "nodeport" as const,
    host: { kind: "ip" as const, ip },
    hbonePort: 30_008,
    identity: "spiffe://cluster.local/ns/istio-eastwest/sa/istio-eastwest",
  });
  mesh.registry.peers.facts.set(
    clusterId("west"),
    facts("west", { network: networkId("net-west"), doors: [door("192.0.2.7"), door("192.0.2.8")] }),
  );
  mesh.registry.peers.federated.set("west/shop/cart" as never, federated("west"));
  mesh.graph.flush();
  mesh.apply(cart("10.1.0.1", HTTP, { ...BOTH, annotations: { "networking.istio.io/traffic-distribution": "Any" } }));
  assert.deepEqual(mesh.ends(SHARED), [
    [
      "10.0.0.1:8080 in 10.0.0.1:15008 60",
      "cart.shop.mesh.internal:80 through 192.0.2.7:30008 90",
      "cart.shop.mesh.internal:80 through 192.0.2.8:30008 90",
    ],
  ]);
});

test("pods of a cluster behind a remote secret are reached by the cluster-local name through that cluster's gateway", () => {
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", HTTP, BOTH)], { peeringDiscovery: false });
  mesh.applyTo(
    "west",
    system("net2"),
    eastWest("net2", ["192.0.2.5"]),
    cart("10.2.0.1", HTTP),
    ambientPod("cart-1", "10.9.0.1"),
    ambientPod("cart-2", "10.9.0.2"),
  );
  assert.deepEqual(mesh.ends(LOCAL), [["cart.shop.svc.cluster.local:80 through 192.0.2.5:15008 2"]]);
});

test("a backend speaks what its port says, and as its settings say", () => {
  const ports = ["grpc", "http", "tcp", "x"].map((name, at) => ({ name, port: at + 1 }));
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", { ports }, USE)]);
  const protocols = [1, 2, 3, 4].map(
    (port) => mesh.configs.backends.get(`${WAYPOINT} shop/cart.shop.svc.cluster.local:${port}`)?.protocol,
  );
  assert.deepEqual(protocols, ["http2", "same", "tcp", "same"]);
  const service = serviceName("shop", "cart.shop.svc.cluster.local");
  const settings = { ...SETTINGS, maxConnections: 5 };
  mesh.settings.set(service, {
    homes: ["shop"],
    rules: [{ namespace: "shop", exportTo: ["*"], all: settings, ports: [] }],
  });
  mesh.graph.flush();
  assert.deepEqual(mesh.configs.backends.get(`${WAYPOINT} ${service}:2`)?.settings, settings);
});

test("one endpoint that comes or goes changes the endpoints of its own service, and nothing else", () => {
  const services = ["cart", "reviews"].map((name, at) =>
    service(
      name,
      `10.1.0.${at + 1}`,
      {
        ports: [
          { name: "a", port: 1 },
          { name: "b", port: 2 },
        ],
      },
      USE,
    ),
  );
  const mesh = gatewayMesh([waypoint(), ...services, ambientPod("cart-1", "10.0.0.1")]);
  const changed: string[] = [];
  for (const collection of Object.values(mesh.configs))
    collection.observe((batch: readonly { readonly key: string }[]) => changed.push(...batch.map(({ key }) => key)));
  mesh.apply(ambientPod("cart-2", "10.0.0.2"));
  assert.deepEqual(
    changed.sort(),
    [1, 2].map((port) => `${WAYPOINT} shop/cart.shop.svc.cluster.local:${port}`),
  );
});
