import assert from "node:assert/strict";
import { test } from "mocha";
import { serviceName } from "../../../src/names.ts";
import { proxyKey } from "../../../src/registry/model/proxy-service.ts";
import type { ProxyService } from "../../../src/registry/model/proxy-service.ts";
import type { ProxyEndpoint } from "../../../src/registry/model/proxy-backend.ts";
import { TestAuthority, derOf } from "../../kits/tls.ts";
import { proxyWorld } from "./proxy-world.ts";
import {
  backend,
  CART,
  CART_80,
  doubleTunnel,
  eastWest,
  GATEWAY,
  gateway,
  plain,
  port,
  rule,
  service,
  tunnel,
} from "./samples.ts";

const at = (name: string): string => proxyKey(GATEWAY, name);
const SERVICE = at(CART);

type World = ReturnType<typeof proxyWorld>;
type Kind = keyof World["resources"];
const KINDS: readonly Kind[] = ["listeners", "clusters", "routes", "endpoints", "secrets"];

async function world(...endpoints: readonly ProxyEndpoint[]): Promise<World> {
  const world = proxyWorld();
  const { root } = await TestAuthority.create();
  for (const trustDomain of ["cluster.local", "west.example"])
    world.trust.set(trustDomain, { trustDomain, roots: [derOf(root)] });
  world.gateways.set(GATEWAY, gateway());
  world.services.set(SERVICE, service([port(80), port(90, "tcp")]));
  world.backends.set(at(CART_80), backend());
  world.endpoints.set(at(CART_80), { gateway: GATEWAY, name: CART_80, groups: [endpoints] });
  world.graph.flush();
  return world;
}

const namesOf = ({ resources }: World, kind: Kind): readonly string[] =>
  [...resources[kind].entries()].map(([, { name }]) => name).sort();

/** What `change` brings to proxies, as `clusters cart`. */
function told({ graph, resources }: World, change: () => void): readonly string[] {
  const names: string[] = [];
  const watches = KINDS.map((kind) =>
    resources[kind].observe((batch) =>
      names.push(
        ...batch.map(({ before, after }) => `${after === undefined ? "-" : ""}${kind} ${(after ?? before)!.name}`),
      ),
    ),
  );
  change();
  graph.flush();
  for (const watch of watches) watch[Symbol.dispose]();
  return names.sort();
}

test("a waypoint gets a listener and a cluster for each port, and what the ways to its endpoints go through", async () => {
  const mesh = await world(tunnel(), doubleTunnel(), plain());
  const inbound = ["inbound|shop/cart.shop.svc.cluster.local|80", "inbound|shop/cart.shop.svc.cluster.local|90"];
  const hops = [
    "connect_originate|cluster.local",
    "inner_connect_originate|west.example|west.example",
    "outer_connect_originate|west.example",
  ];
  const outbound = "outbound|shop/cart.shop.svc.cluster.local|80";
  assert.deepEqual(namesOf(mesh, "listeners"), ["connect_terminate", ...inbound, ...hops].sort());
  assert.deepEqual(namesOf(mesh, "clusters"), [...inbound, ...hops, outbound].sort());
  assert.deepEqual(namesOf(mesh, "endpoints"), [outbound]);
  assert.deepEqual(namesOf(mesh, "routes"), ["connect", "http|shop/cart.shop.svc.cluster.local|80"]);
  assert.deepEqual(namesOf(mesh, "secrets"), ["trust", "trust|cluster.local", "trust|west.example"]);
  assert.deepEqual(mesh.refusals(), []);
});

test("a change of routes changes routes and nothing else", async () => {
  const mesh = await world(tunnel());
  const changed = told(mesh, () =>
    mesh.services.set(SERVICE, service([port(80, "http", [rule("other")]), port(90, "tcp")])),
  );
  assert.deepEqual(changed, ["routes http|shop/cart.shop.svc.cluster.local|80"]);
});

test("a change of policy changes the routes of HTTP; for TCP the listener, and the routes of tunnels", async () => {
  const mesh = await world(tunnel());
  const deny = { name: "shop/deny", action: "deny", dryRun: false, rules: [{ from: [], to: [], when: [] }] } as const;
  const policies = { gateway: GATEWAY, service: CART, authorization: [deny], authentication: [] };
  assert.deepEqual(
    told(mesh, () => mesh.policies.set(SERVICE, policies)),
    [
      "listeners inbound|shop/cart.shop.svc.cluster.local|90",
      "routes connect",
      "routes http|shop/cart.shop.svc.cluster.local|80",
    ],
  );
});

test("an endpoint that comes or goes changes endpoints and nothing else", async () => {
  const mesh = await world(tunnel());
  const groups = [[tunnel(), tunnel("10.0.0.6")]];
  const changed = told(mesh, () => mesh.endpoints.set(at(CART_80), { gateway: GATEWAY, name: CART_80, groups }));
  assert.deepEqual(changed, ["endpoints outbound|shop/cart.shop.svc.cluster.local|80"]);
});

test("the last endpoint behind a hop takes the hop with it", async () => {
  const mesh = await world(tunnel(), doubleTunnel());
  const groups = [[tunnel()]];
  const changed = told(mesh, () => mesh.endpoints.set(at(CART_80), { gateway: GATEWAY, name: CART_80, groups }));
  assert.ok(changed.includes("-listeners outer_connect_originate|west.example"), changed.join());
  assert.ok(!changed.some((name) => name.includes("connect_originate|cluster.local")), changed.join());
});

test("nobody is sent to who could not prove to be the right one, and it is said why", async () => {
  const mesh = await world(tunnel(), doubleTunnel(), tunnel("10.0.0.8", []));
  const [refusal, ...others] = (mesh.trust.delete("west.example"), mesh.graph.flush(), mesh.refusals());
  assert.deepEqual(others, []);
  assert.match(refusal!.reason, /its endpoints of cluster\.local, west\.example are left out: no root vouches/);
  assert.ok(!namesOf(mesh, "listeners").some((name) => name.includes("west.example")));
  assert.ok(namesOf(mesh, "listeners").includes("connect_originate|cluster.local"));
});

test("what cannot be encoded stays as it was, and says so until it can be", async () => {
  const mesh = await world(tunnel());
  const broken = rule("HTTPRoute shop/cart rule 0 match 0");
  const match = { ...broken.match, path: { kind: "exact", value: "cart" } } as const;
  const changed = told(mesh, () =>
    mesh.services.set(SERVICE, service([port(80, "http", [{ ...broken, match }]), port(90, "tcp")])),
  );
  assert.deepEqual(changed, []);
  const [refusal] = mesh.refusals();
  assert.equal(refusal?.name, at("http|shop/cart.shop.svc.cluster.local|80"));
  assert.match(refusal.reason, /HTTPRoute shop\/cart rule 0 match 0/);
  told(mesh, () => mesh.services.set(SERVICE, service([port(80), port(90, "tcp")])));
  assert.deepEqual(mesh.refusals(), []);
});

test("an east-west gateway passes the control plane on where its Gateway has a port for it", async () => {
  const mesh = await world(plain());
  mesh.services.delete(SERVICE);
  const changed = told(mesh, () => {
    mesh.gateways.set(GATEWAY, gateway({ kind: "east-west", controlPlanePort: 15012 }));
    mesh.eastWestRoutes.set(SERVICE, eastWest());
  });
  for (const name of [
    "listeners control_plane",
    "clusters control_plane",
    "listeners connect_terminate",
    "routes connect",
  ])
    assert.ok(changed.includes(name), `${name} in ${changed.join()}`);
});

test("a service that leaves takes what is its own, and no other's", async () => {
  const mesh = await world(tunnel());
  const other: ProxyService = { ...service([port(80)], ["10.96.0.8"]), service: serviceName("shop", "pay.shop") };
  told(mesh, () => mesh.services.set(at(other.service), other));
  const changed = told(mesh, () => mesh.services.delete(at(other.service)));
  assert.deepEqual(changed, [
    "-clusters inbound|shop/pay.shop|80",
    "-listeners inbound|shop/pay.shop|80",
    "-routes http|shop/pay.shop|80",
    "routes connect",
  ]);
});

test("the same state is the same bytes, whatever came first", async () => {
  const one = await world(tunnel(), doubleTunnel());
  const other = await world(doubleTunnel());
  const roots = [...one.trust.entries()];
  for (const [name, domain] of roots) other.trust.set(name, domain);
  other.endpoints.set(at(CART_80), { gateway: GATEWAY, name: CART_80, groups: [[tunnel(), doubleTunnel()]] });
  other.graph.flush();
  for (const kind of KINDS)
    for (const [key, { version }] of one.resources[kind].entries())
      assert.equal(other.resources[kind].get(key)?.version, version, `${kind} ${key}`);
});
