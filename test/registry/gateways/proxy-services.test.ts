import assert from "node:assert/strict";
import { test } from "mocha";
import { ANY_REQUEST, NO_CHANGES, type HttpRule } from "../../../src/registry/model/http-rule.ts";
import type { BackendName } from "../../../src/registry/model/proxy-backend.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import { ruleTo } from "../../xds/envoy/samples.ts";
import { object, service, serviceEntry } from "../mesh.ts";
import { federated } from "../peers.ts";
import { cart } from "../two-networks.ts";
import { gatewayMesh, USE, waypoint, waypointService, type GatewayMesh } from "./gateway-mesh.ts";

const CART = "shop/cart.shop.svc.cluster.local";
const namespace = (labels: object): KubeObject =>
  object("v1", "Namespace", { name: "shop", namespace: undefined, labels });
const used = { "istio.io/use-waypoint": "w" };
const backend = (text: string): BackendName => text as BackendName;
const authorities = (mesh: GatewayMesh, name = CART) => mesh.served(name)?.authorities;

test("a waypoint serves a service by its addresses on the waypoint's network and by its host name", () => {
  const mesh = gatewayMesh([waypoint(), service("cart", "10.1.0.1", { clusterIPs: ["10.1.0.1", "fd00::1"] }, USE)]);
  assert.deepEqual(mesh.served(CART), {
    gateway: "east/shop/w",
    service: CART,
    hostname: "cart.shop.svc.cluster.local",
    authorities: ["10.1.0.1", "fd00::1", "cart.shop.svc.cluster.local"],
    ports: [
      {
        number: 80,
        protocol: "detected",
        rules: [ruleTo(backend(`${CART}:80`))],
        backend: `${CART}:80`,
      },
    ],
  });
});

test("services that ask for no waypoint, or for another, are none of it; nor is its own", () => {
  const mesh = gatewayMesh([
    waypoint(),
    waypointService,
    waypoint({ name: "other" }, { status: { addresses: [{ type: "IPAddress", value: "10.1.0.8" }] } }),
    namespace(used),
    service("cart", "10.1.0.1", {}, { labels: { "istio.io/use-waypoint": "other" } }),
    service("plain", "10.1.0.2", {}, { labels: { "istio.io/use-waypoint": "none" } }),
    service("mine", "10.1.0.3"),
  ]);
  const found = [...mesh.configs.services.entries()].map(([key]) => key).sort();
  assert.deepEqual(found, [
    "east/shop/other shop/cart.shop.svc.cluster.local",
    "east/shop/w shop/mine.shop.svc.cluster.local",
  ]);
});

test("a waypoint that is known by a host name serves what is sent to that name", () => {
  const address = { type: "Hostname", value: "w.shop.svc.cluster.local" };
  const mesh = gatewayMesh([waypoint({}, { status: { addresses: [address] } }), service("cart", "10.1.0.1", {}, USE)]);
  assert.deepEqual(authorities(mesh), ["10.1.0.1", "cart.shop.svc.cluster.local"]);
});

test("what a port speaks is read from its name or its appProtocol, and UDP is left out", () => {
  const ports = [
    { name: "http-web", port: 1 },
    { name: "grpc", port: 2 },
    { name: "a", port: 3, appProtocol: "kubernetes.io/h2c" },
    { name: "mongo", port: 4 },
    { name: "https", port: 5 },
    { name: "tcp-x", port: 6 },
    { name: "b", port: 7 },
    { name: "dns", port: 53, protocol: "UDP" },
    { name: "dns-tcp", port: 54, protocol: "UDP" },
    { name: "tcp-dns", port: 54, protocol: "TCP" },
  ];
  const mesh = gatewayMesh([waypoint(), service("cart", "10.1.0.1", { ports }, USE)]);
  const found = mesh.served(CART)!.ports.map(({ number, protocol, rules }) => `${number} ${protocol} ${rules.length}`);
  assert.deepEqual(found, [
    "1 http 1",
    "2 http 1",
    "3 http 1",
    "4 tcp 0",
    "5 tcp 0",
    "6 tcp 0",
    "7 detected 1",
    "54 tcp 0",
  ]);
});

test("a ServiceEntry says what its ports speak outright", () => {
  const ports = [
    { number: 80, name: "web", protocol: "HTTP" },
    { number: 443, name: "web-tls", protocol: "HTTPS" },
    { number: 81, name: "http", protocol: "TCP" },
    { number: 82, name: "x", protocol: "TCP" },
  ];
  const entry = serviceEntry(
    "api",
    { hosts: ["api.com"], addresses: ["10.2.0.1", "10.3.0.0/16"], ports, resolution: "STATIC" },
    USE,
  );
  const mesh = gatewayMesh([waypoint(), entry]);
  const served = mesh.served("shop/api.com")!;
  assert.deepEqual(served.authorities, ["10.2.0.1", "api.com"]);
  assert.deepEqual(
    served.ports.map(({ number, protocol }) => `${number} ${protocol}`),
    ["80 http", "81 http", "82 tcp", "443 tcp"],
  );
});

test("a host that two namespaces have is told apart by address, and the name goes to one of them", () => {
  const entry = (home: string, ip: string, createdMs: string) =>
    serviceEntry(
      "api",
      { hosts: ["api.com"], addresses: [ip], ports: [{ number: 80, name: "http" }], resolution: "STATIC" },
      {
        namespace: home,
        creationTimestamp: createdMs,
        labels: { "istio.io/use-waypoint": "w", "istio.io/use-waypoint-namespace": "shop" },
      },
    );
  const listener = {
    name: "mesh",
    port: 15_008,
    protocol: "HBONE",
    allowedRoutes: { namespaces: { from: "All" } },
  };
  const open = waypoint(
    {},
    {
      spec: { gatewayClassName: "istio-waypoint", listeners: [listener] },
      status: { addresses: [{ type: "IPAddress", value: "10.1.0.9" }] },
    },
  );
  const mesh = gatewayMesh([
    open,
    entry("a", "10.2.0.1", "2026-01-02T00:00:00Z"),
    entry("b", "10.2.0.2", "2026-01-01T00:00:00Z"),
  ]);
  assert.deepEqual(authorities(mesh, "a/api.com"), ["10.2.0.1"]);
  assert.deepEqual(authorities(mesh, "b/api.com"), ["10.2.0.2", "api.com"]);
});

test("an address that the hosts of one entry share is the first one's, as no tunnel can be for two", () => {
  const entry = serviceEntry(
    "api",
    { hosts: ["b.com", "a.com", "*.c.com"], addresses: ["10.2.0.1"], ports: [{ number: 80 }], resolution: "STATIC" },
    USE,
  );
  const mesh = gatewayMesh([waypoint(), entry]);
  assert.deepEqual(
    ["a.com", "b.com", "*.c.com"].map((host) => authorities(mesh, `shop/${host}`)),
    [["10.2.0.1", "a.com"], ["b.com"], []],
  );
});

test("a global name is served with the protocols that its clusters agree on", () => {
  const mesh = gatewayMesh([waypoint(), namespace(used)]);
  mesh.hear("west", {}, federated("west"));
  const served = mesh.served("shop/cart.shop.mesh.internal")!;
  const vip = [...mesh.registry.services.get(served.service)!.addresses][0]!.ip;
  assert.deepEqual(served.authorities[0], vip);
  assert.ok(served.authorities.includes("cart.shop.mesh.internal"));
  assert.deepEqual(
    served.ports.map(({ number, protocol }) => `${number} ${protocol}`),
    ["80 http"],
  );
});

test("with waypoint-policy destination the caller's waypoint takes nothing of a service that is elsewhere", () => {
  const mesh = gatewayMesh([waypoint(), namespace(used)]);
  mesh.hear("west", {}, federated("west", { waypointPolicy: "destination" }));
  assert.equal(mesh.served("shop/cart.shop.mesh.internal"), undefined);
  for (const waypointPolicy of ["both", "source", "once"] as const) {
    mesh.hear("west", {}, federated("west", { waypointPolicy }));
    assert.ok(mesh.served("shop/cart.shop.mesh.internal"), waypointPolicy);
  }
});

test("routes take the place of the default rule, and go with what they say", () => {
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", { ports: [{ name: "http", port: 80 }] }, USE)]);
  const rule: HttpRule = {
    name: "HTTPRoute shop/cart rule 0 match 0",
    match: { ...ANY_REQUEST, method: "GET" },
    action: {
      kind: "forward",
      backends: [
        {
          backend: backend("shop/v2.shop.svc.cluster.local:8080"),
          weight: 1,
          requestHeaders: NO_CHANGES,
          responseHeaders: NO_CHANGES,
        },
      ],
      rewrite: undefined,
    },
    requestHeaders: NO_CHANGES,
    responseHeaders: NO_CHANGES,
    mirrors: [{ backend: backend("shop/shadow.shop.svc.cluster.local:80"), perMillion: 10 }],
    timeoutMs: undefined,
    retry: undefined,
  };
  const needed = () => [...mesh.configs.backends.entries()].map(([, { name }]) => name).sort();
  assert.deepEqual(needed(), [`${CART}:80`]);
  mesh.rules.set(backend(`${CART}:80`), [rule]);
  mesh.graph.flush();
  assert.deepEqual(mesh.served(CART)!.ports[0]!.rules, [rule]);
  assert.deepEqual(needed(), [
    `${CART}:80`,
    "shop/shadow.shop.svc.cluster.local:80",
    "shop/v2.shop.svc.cluster.local:8080",
  ]);
  assert.deepEqual(mesh.groups("shop/v2.shop.svc.cluster.local:8080"), []);
  mesh.rules.delete(backend(`${CART}:80`));
  mesh.graph.flush();
  assert.deepEqual(needed(), [`${CART}:80`]);
});
