import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../../src/kube/object.ts";
import type { EastWestRoute } from "../../../src/registry/model/east-west-route.ts";
import type { FederatedService } from "../../../src/registry/model/federated-service.ts";
import { object, pod, service } from "../mesh.ts";
import { federated, peerGateway } from "../peers.ts";
import { cart, eastWest, GLOBAL, system, unready } from "../two-networks.ts";
import {
  ambientPod,
  EAST_WEST,
  gatewayMesh,
  USE,
  waypoint,
  waypointPod,
  waypointService,
  type GatewayMesh,
} from "./gateway-mesh.ts";

const LOCAL = "shop/cart.shop.svc.cluster.local";
const SHARED = "shop/cart.shop.mesh.internal";
const HTTP = { ports: [{ name: "http", port: 80, targetPort: 8080 }] };
const BOTH = { labels: { ...USE.labels, ...GLOBAL.labels } };
const WAYPOINT_BACKEND = "shop/w:15008";
const gateway = eastWest("net1", ["192.0.2.9"], {}, { name: "istio-eastwest", namespace: "istio-eastwest" });
const policy = (value: string) => ({ ...BOTH, annotations: { "peering.causeway.dev/waypoint-policy": value } });
const behindWaypoint = (metadata: object = BOTH): readonly KubeObject[] => [
  gateway,
  waypoint(),
  waypointService,
  cart("10.1.0.1", HTTP, metadata),
];

/** A Segment whose services have one more name each, and our cluster in it. */
const segmentWith = (pattern: string): readonly KubeObject[] => [
  object("v1", "Namespace", {
    name: "istio-system",
    namespace: undefined,
    labels: { "topology.istio.io/network": "net1", "admin.solo.io/segment": "blue" },
  }),
  object(
    "admin.solo.io/v1alpha1",
    "Segment",
    { name: "blue", namespace: "istio-system" },
    { spec: { domain: "blue.example", aliases: [{ pattern }] } },
  ),
];

const routeTo = ({ configs }: GatewayMesh, name = SHARED): EastWestRoute | undefined =>
  configs.eastWestRoutes.get(`${EAST_WEST} ${name}`);
const routes = ({ configs }: GatewayMesh): readonly string[] =>
  [...configs.eastWestRoutes.entries()].map(([key]) => key).sort();

test("other networks reach what is shared by its global and its own name, at the ztunnels of its endpoints here", () => {
  const mesh = gatewayMesh([
    gateway,
    cart("10.1.0.1", HTTP),
    service("private", "10.1.0.2", HTTP),
    ambientPod("cart-1", "10.0.0.1"),
  ]);
  assert.deepEqual(routes(mesh), [`${EAST_WEST} ${SHARED}`, `${EAST_WEST} ${LOCAL}`]);
  assert.deepEqual(routeTo(mesh), {
    gateway: EAST_WEST,
    service: SHARED,
    hostname: "cart.shop.mesh.internal",
    ports: [{ number: 80, direct: `${LOCAL}:80`, waypoint: undefined }],
    throughWaypoint: false,
    actedBy: [],
  });
  assert.deepEqual(routeTo(mesh, LOCAL)?.hostname, "cart.shop.svc.cluster.local");
  assert.deepEqual(mesh.ends(`${LOCAL}:80`, EAST_WEST), [["10.0.0.1:15008 1"]]);
  assert.equal(mesh.configs.backends.get(`${EAST_WEST} ${LOCAL}:80`)?.protocol, "tcp");
});

test("aliases and segments are entered by their names, too", () => {
  const segment = segmentWith("{service}.corp.example");
  const mesh = gatewayMesh([gateway, ...segment, cart("10.1.0.1", HTTP)]);
  const found = routes(mesh).map((key) => key.slice(EAST_WEST.length + 1));
  assert.deepEqual(found, ["shop/cart.corp.example", "shop/cart.shop.blue.example", LOCAL]);
});

test("an alias that goes from one service to another in one step leads to the other from then on", () => {
  const segment = segmentWith("{labels['front']}.corp.example");
  const front = (name: string, ip: string, chosen: boolean) =>
    service(name, ip, HTTP, { labels: { ...GLOBAL.labels, ...(chosen ? { front: "shop" } : {}) } });
  const mesh = gatewayMesh([gateway, ...segment, front("a", "10.1.0.1", true), front("b", "10.1.0.2", false)]);
  for (const chosen of ["b", "a", "b"]) {
    mesh.apply(front("a", "10.1.0.1", chosen === "a"), front("b", "10.1.0.2", chosen === "b"));
    const direct = routeTo(mesh, "shop/shop.corp.example")?.ports[0]?.direct;
    assert.equal(direct, `shop/${chosen}.shop.svc.cluster.local:80`);
  }
});

test("without global names other clusters call what is global by its own name", () => {
  const mesh = gatewayMesh([gateway, cart("10.1.0.1", HTTP)], { peeringDiscovery: false });
  assert.deepEqual(routes(mesh), [`${EAST_WEST} ${LOCAL}`]);
});

test("nothing of other clusters is passed on, whether of a peer or behind a remote secret", () => {
  const mesh = gatewayMesh([gateway, cart("10.1.0.1", HTTP)]);
  mesh.hear("west", {}, federated("west"), federated("west", { name: "theirs" }));
  mesh.applyTo(
    "south",
    system("net3"),
    eastWest("net3", ["192.0.2.5"]),
    service("other", "10.3.0.1", HTTP, GLOBAL),
    cart("10.3.0.2", HTTP),
    ambientPod("cart-1", "10.9.0.1"),
  );
  assert.deepEqual(routes(mesh), [`${EAST_WEST} ${SHARED}`, `${EAST_WEST} ${LOCAL}`]);
  assert.ok(mesh.registry.workloadsByService.get(SHARED).length > 1);
  assert.deepEqual(mesh.ends(`${LOCAL}:80`, EAST_WEST), []);
});

test("only ready endpoints that speak HBONE, and that have the port, take what comes from other networks", () => {
  const named = (name: string, ip: string, portName: string) =>
    ambientPod(name, ip, { containers: [{ name: "c", ports: [{ name: portName, containerPort: 9000 }] }] });
  const mesh = gatewayMesh([
    gateway,
    cart("10.1.0.1", { ports: [{ name: "http", port: 80, targetPort: "web" }] }),
    named("cart-1", "10.0.0.1", "web"),
    unready(named("cart-2", "10.0.0.2", "web")),
    named("cart-3", "10.0.0.3", "other"),
    pod(
      "cart-4",
      "10.0.0.4",
      { app: "cart" },
      { containers: [{ name: "c", ports: [{ name: "web", containerPort: 1 }] }] },
    ),
  ]);
  assert.deepEqual(mesh.ends(`${LOCAL}:80`, EAST_WEST), [["10.0.0.1:15008 1"]]);
});

test("ports for UDP are not entered", () => {
  const ports = [
    { name: "dns", port: 53, protocol: "UDP" },
    { name: "web", port: 80 },
    { name: "a", port: 79 },
  ];
  const mesh = gatewayMesh([gateway, cart("10.1.0.1", { ports })]);
  assert.deepEqual(
    routeTo(mesh)?.ports.map(({ number }) => number),
    [79, 80],
  );
});

test("callers go to the proxies of the service's waypoint, found as clients find them", () => {
  const mesh = gatewayMesh([
    ...behindWaypoint(),
    waypointPod("w-1", "10.0.9.1"),
    unready(waypointPod("w-2", "10.0.9.2")),
  ]);
  assert.equal(routeTo(mesh)?.throughWaypoint, true);
  assert.deepEqual(routeTo(mesh)?.ports, [{ number: 80, direct: `${LOCAL}:80`, waypoint: WAYPOINT_BACKEND }]);
  assert.deepEqual(mesh.ends(WAYPOINT_BACKEND, EAST_WEST), [["10.0.9.1:15008 1"]]);
  const address = { type: "Hostname", value: "w.shop.svc.cluster.local" };
  mesh.apply(waypoint({}, { spec: { gatewayClassName: "istio-waypoint" }, status: { addresses: [address] } }));
  assert.deepEqual(mesh.ends(WAYPOINT_BACKEND, EAST_WEST), [["10.0.9.1:15008 1"]]);
  mesh.remove(waypointService);
  assert.deepEqual(mesh.ends(WAYPOINT_BACKEND, EAST_WEST), [["10.0.9.1:15008 1"]]);
  mesh.remove(waypointPod("w-1", "10.0.9.1"));
  assert.deepEqual(mesh.ends(WAYPOINT_BACKEND, EAST_WEST), [], "a waypoint without proxies is not passed by");
  assert.equal(routeTo(mesh)?.throughWaypoint, true);
});

const west = (identity: string): FederatedService =>
  federated("west", { waypoint: { namespace: "shop", name: "x", identity } });

test("with `once` the waypoint is left out for callers whose cluster says that its waypoint has acted", () => {
  const mesh = gatewayMesh(behindWaypoint());
  assert.deepEqual(routeTo(mesh)?.actedBy, []);
  mesh.hear("west", {}, west("spiffe://cluster.local/ns/shop/sa/x"));
  mesh.hear("south", {}, federated("south"));
  assert.deepEqual(routeTo(mesh)?.actedBy, ["spiffe://cluster.local/ns/shop/sa/x"]);
  assert.deepEqual(routeTo(mesh, LOCAL)?.actedBy, ["spiffe://cluster.local/ns/shop/sa/x"]);
  mesh.hear("west", {}, federated("west"));
  assert.deepEqual(routeTo(mesh)?.actedBy, []);
});

test("a peer's word that a waypoint has acted counts for its own trust domain, and for the very service", () => {
  const mesh = gatewayMesh(behindWaypoint());
  mesh.hear("west", {}, west("spiffe://other.test/ns/shop/sa/x"));
  assert.deepEqual(routeTo(mesh)?.actedBy, []);
  mesh.apply(peerGateway("west", { annotations: { "gateway.istio.io/trust-domain": "other.test" } }));
  assert.deepEqual(routeTo(mesh)?.actedBy, ["spiffe://other.test/ns/shop/sa/x"]);
  mesh.registry.peers.federated.delete("west/shop/cart" as never);
  mesh.hear("west", {}, { ...west("spiffe://cluster.local/ns/shop/sa/x"), name: "reviews" });
  assert.deepEqual(routeTo(mesh)?.actedBy, []);
});

test("the waypoint of a cluster behind a remote secret has acted for its callers, too", () => {
  const mesh = gatewayMesh(behindWaypoint());
  mesh.applyTo(
    "west",
    system("net2"),
    eastWest("net2", ["192.0.2.5"]),
    waypoint({ name: "x" }),
    cart("10.2.0.1", HTTP, { labels: { ...GLOBAL.labels, "istio.io/use-waypoint": "x" } }),
  );
  assert.deepEqual(routeTo(mesh)?.actedBy, ["spiffe://cluster.local/ns/shop/sa/x"]);
});

for (const [value, throughWaypoint] of [
  ["source", false],
  ["destination", true],
  ["both", true],
] as const)
  test(`with waypoint-policy ${value} callers ${throughWaypoint ? "always" : "never"} go through the waypoint`, () => {
    const mesh = gatewayMesh(behindWaypoint(policy(value)));
    mesh.hear("west", {}, west("spiffe://cluster.local/ns/shop/sa/x"));
    assert.equal(routeTo(mesh)?.throughWaypoint, throughWaypoint);
    assert.deepEqual(routeTo(mesh)?.actedBy, []);
    assert.deepEqual(routeTo(mesh)?.ports[0]?.waypoint, throughWaypoint ? WAYPOINT_BACKEND : undefined);
  });

test("each east-west gateway has all of it, and one that goes takes its own with it", () => {
  const second = eastWest("net1", [], {}, { name: "second", namespace: "istio-eastwest" });
  const mesh = gatewayMesh([gateway, second, cart("10.1.0.1", HTTP), ambientPod("cart-1", "10.0.0.1")]);
  assert.equal(routes(mesh).length, 4);
  mesh.remove(second);
  assert.equal(routes(mesh).length, 2);
  assert.deepEqual(
    [...mesh.configs.endpoints.entries()].map(([key]) => key),
    [`${EAST_WEST} ${LOCAL}:80`],
  );
});
