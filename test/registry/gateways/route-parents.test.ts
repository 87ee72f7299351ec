import assert from "node:assert/strict";
import { test } from "mocha";
import { object, service, serviceEntry } from "../mesh.ts";
import { CART as GLOBAL_CART, peered } from "../peers.ts";
import { cart as sharedCart } from "../two-networks.ts";
import { backend, CART, httpRoute, problemsOf, routedMesh, toCart, verdictsOf, waypoint } from "./routes.ts";

type Fields = Readonly<Record<string, unknown>>;
const KEY = "HTTPRoute east/shop/r";
const rules = [{ backendRefs: [backend("cart-v1")] }];
const to = (...parentRefs: readonly Fields[]) => httpRoute("r", rules, { parentRefs });
const used = { labels: { "istio.io/use-waypoint": "wp" } };
const ported = service(
  "ported",
  "10.1.0.7",
  {
    ports: [
      { port: 80, name: "http" },
      { port: 8080, name: "web" },
      { port: 6379, name: "redis" },
      { port: 53, name: "dns", protocol: "UDP" },
    ],
  },
  used,
);
const toPorted = { ...toCart, name: "ported" };

for (const [name, ref, ports] of [
  ["a service is for all its ports that may speak HTTP", toPorted, ["80", "8080"]],
  ["one port is for that", { ...toPorted, port: 8080 }, ["8080"]],
  ["a section is for the port of that name", { ...toPorted, sectionName: "http" }, ["80"]],
] as const)
  test(`a route to ${name}`, () => {
    const mesh = routedMesh(ported, to(ref));
    const found = Array.from(mesh.registry.routes.rules.entries(), ([port]) => port);
    assert.deepEqual(
      found.map((port) => port.replace("shop/ported.shop.svc.cluster.local:", "")),
      ports,
    );
    assert.equal(verdictsOf(mesh, KEY)[0], "Accepted=True Accepted");
  });

for (const [name, ref, reason, message] of [
  [
    "a service that does not exist",
    { ...toCart, name: "ghost" },
    "NoMatchingParent",
    /Service shop\/ghost does not exist/,
  ],
  [
    "a port that is not there",
    { ...toPorted, port: 81 },
    "NoMatchingParent",
    /has no such port; it has 80, 8080, 6379, 53/,
  ],
  [
    "a section of a port that has another",
    { ...toPorted, port: 80, sectionName: "web" },
    "NoMatchingParent",
    /no such port/,
  ],
  ["a port that speaks no HTTP", { ...toPorted, port: 6379 }, "NoMatchingParent", /speaks Redis there, not HTTP/],
  [
    "a service of another namespace",
    { ...toCart, namespace: "bank" },
    "UnsupportedValue",
    /is in another namespace; routes for the callers/,
  ],
  ["a waypoint", { name: "wp" }, "NotAllowedByListeners", /Gateway shop\/wp is a waypoint/],
  [
    "a service without a waypoint",
    { ...toCart, name: "cart-v1" },
    "NoMatchingParent",
    /cart-v1 has no waypoint, so nobody does/,
  ],
  [
    "an entry that does not exist",
    { group: "networking.istio.io", kind: "ServiceEntry", name: "x" },
    "NoMatchingParent",
    /ServiceEntry shop\/x does not exist/,
  ],
] as const)
  test(`a route to ${name} is not accepted, and says why`, () => {
    const mesh = routedMesh(ported, to(ref));
    assert.equal(verdictsOf(mesh, KEY)[0], `Accepted=False ${reason}`);
    assert.match(problemsOf(mesh).join(), message);
    assert.equal(mesh.registry.routes.rules.get(CART), undefined);
  });

test("what belongs to Gateways at the edge, or to what nobody knows, is not ours to judge", () => {
  const mesh = routedMesh(to({ name: "edge" }, { group: "x.example", kind: "Mesh", name: "y" }));
  assert.equal(mesh.registry.routes.verdicts.size, 0);
  assert.deepEqual(problemsOf(mesh), []);
});

test("a route may have several parents, each with its own verdict", () => {
  const mesh = routedMesh(
    ported,
    to(toCart, { name: "edge" }, { ...toPorted, port: 80 }, { ...toCart, name: "ghost" }),
  );
  assert.deepEqual(verdictsOf(mesh, KEY), [
    ...["Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs"],
    ...["Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs"],
    ...["Accepted=False NoMatchingParent", "ResolvedRefs=True ResolvedRefs"],
  ]);
  assert.equal(mesh.registry.routes.rules.size, 2);
});

test("a route follows the waypoint of its service", () => {
  const mesh = routedMesh(to(toCart));
  const accepted = () => verdictsOf(mesh, KEY)[0];
  assert.equal(accepted(), "Accepted=True Accepted");
  mesh.apply({ ...waypoint, status: {} });
  assert.equal(accepted(), "Accepted=False NoMatchingParent");
  assert.match(problemsOf(mesh).join(), /asks for waypoint shop\/wp, which does not exist or has no address yet/);
  assert.equal(mesh.registry.routes.rules.size, 1, "it is there as soon as the waypoint is");
  mesh.apply(waypoint);
  assert.equal(accepted(), "Accepted=True Accepted");
});

test("a route to a ServiceEntry is for each of its hosts", () => {
  const entry = serviceEntry(
    "api",
    {
      hosts: ["api.example.com", "www.example.com"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      addresses: ["10.4.0.1"],
      resolution: "STATIC",
    },
    used,
  );
  const mesh = routedMesh(entry, to({ group: "networking.istio.io", kind: "ServiceEntry", name: "api" }));
  assert.deepEqual(Array.from(mesh.registry.routes.rules.entries(), ([port]) => port).sort(), [
    "shop/api.example.com:80",
    "shop/www.example.com:80",
  ]);
});

test("routes of other clusters have no effect", () => {
  const mesh = routedMesh();
  const other = mesh.registry.intake("west" as never);
  other.set(to(toCart), "");
  mesh.graph.flush();
  assert.equal(mesh.registry.routes.rules.size, 0);
});

test("a route holds for the global name of its service, too, where a reference to the service itself means all clusters", () => {
  const labels = { labels: { "solo.io/service-scope": "global", "istio.io/use-waypoint": "wp" } };
  const mesh = peered(["west"], [sharedCart("10.1.0.1", {}, labels), service("cart-v1", "10.1.0.2"), waypoint]);
  mesh.apply(httpRoute("r", [{ backendRefs: [backend("cart", { weight: 9 }), backend("cart-v1")] }]));
  const sentTo = (port: string) => {
    const [rule] = mesh.registry.routes.rules.get(port as typeof CART) ?? [];
    return rule?.action.kind === "forward" ? rule.action.backends.map(({ backend }) => backend) : [];
  };
  const v1 = "shop/cart-v1.shop.svc.cluster.local:80";
  assert.deepEqual(sentTo(CART), [CART, v1]);
  assert.deepEqual(sentTo(`${GLOBAL_CART}:80`), [`${GLOBAL_CART}:80`, v1]);
  mesh.apply(
    httpRoute("r", [
      {
        backendRefs: [backend("cart.shop.mesh.internal", { group: "networking.istio.io", kind: "Hostname" })],
      },
    ]),
  );
  assert.deepEqual(sentTo(CART), [`${GLOBAL_CART}:80`], "a Hostname leads from the local name to all clusters");
});

test("a namespace's waypoint is that of its services", () => {
  const mesh = routedMesh(to({ ...toCart, name: "cart-v1" }));
  assert.equal(verdictsOf(mesh, KEY)[0], "Accepted=False NoMatchingParent");
  mesh.apply(object("v1", "Namespace", { name: "shop", namespace: undefined, ...used }));
  assert.equal(verdictsOf(mesh, KEY)[0], "Accepted=True Accepted");
});
