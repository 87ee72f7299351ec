import assert from "node:assert/strict";
import { test } from "mocha";
import { objectKey } from "../../../src/names.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import { authorization, object, service, serviceEntry } from "../mesh.ts";
import { gatewayMesh, USE, waypoint, waypointService, WAYPOINT } from "./gateway-mesh.ts";
import { EAST, guard, proxiedMesh, toCart, tokens, WP, type ProxiedMesh } from "./proxied.ts";

const names = (mesh: ProxiedMesh, ...at: Parameters<ProxiedMesh["policiesAt"]>): readonly string[] =>
  mesh.policiesAt(...at)?.authorization.map(({ name }) => name) ?? [];
const GATEWAY = { group: "gateway.networking.k8s.io", kind: "Gateway" };
const CLASS = { group: "gateway.networking.k8s.io", kind: "GatewayClass", name: "istio-waypoint" };
const gateway = (name: string, gatewayClassName: string): KubeObject =>
  object("gateway.networking.k8s.io/v1", "Gateway", { name }, { spec: { gatewayClassName } });

test("a policy binds the Service that it names, and no other at the same waypoint", () => {
  const mesh = proxiedMesh([service("desk", "10.96.0.2"), guard({ rules: [{}] })]);
  mesh.serve(WP, "shop", "desk.shop.svc.cluster.local");
  assert.deepEqual(names(mesh), ["shop/guard"]);
  assert.equal(mesh.policiesAt(WP, "shop", "desk.shop.svc.cluster.local"), undefined);
});

test("a policy binds the Service of its own namespace, not one of the same name elsewhere", () => {
  const mesh = proxiedMesh([
    service("cart", "10.96.0.2", {}, { namespace: "web" }),
    authorization("other", { ...toCart, rules: [{}] }, { namespace: "web" }),
    authorization(
      "abroad",
      { targetRefs: [{ kind: "Service", name: "cart", namespace: "shop" }] },
      { namespace: "web" },
    ),
  ]);
  mesh.serve(WP, "web", "cart.web.svc.cluster.local");
  assert.deepEqual(names(mesh), []);
  assert.deepEqual(names(mesh, WP, "web", "cart.web.svc.cluster.local"), ["web/other"]);
});

test("a policy for a Gateway binds all that it serves, and nothing of another", () => {
  const mesh = proxiedMesh([guard({ targetRefs: [{ ...GATEWAY, name: "wp" }] }), service("desk", "10.96.0.2")]);
  const other = objectKey(EAST, "shop", "other");
  mesh.serve(WP, "shop", "desk.shop.svc.cluster.local");
  mesh.serve(other, "shop", "desk.shop.svc.cluster.local");
  assert.deepEqual(names(mesh), ["shop/guard"]);
  assert.deepEqual(names(mesh, WP, "shop", "desk.shop.svc.cluster.local"), ["shop/guard"]);
  assert.deepEqual(names(mesh, other, "shop", "desk.shop.svc.cluster.local"), []);
});

test("a class of Gateways is bound from the root namespace only, and by its Gateways only", () => {
  const inRoot = { namespace: "istio-system" };
  const mesh = proxiedMesh([
    gateway("wp", "istio-waypoint"),
    authorization("mesh-wide", { targetRefs: [CLASS], rules: [{}] }, inRoot),
    guard({ targetRefs: [CLASS] }),
  ]);
  assert.deepEqual(names(mesh), ["istio-system/mesh-wide"]);
  mesh.apply(gateway("wp", "other"));
  assert.deepEqual(names(mesh), []);
});

test("a policy for a ServiceEntry binds its hosts", () => {
  const mesh = proxiedMesh([
    serviceEntry("api", { hosts: ["api.example"], addresses: ["240.0.0.1"], ports: [{ number: 80, name: "http" }] }),
    guard({ targetRefs: [{ group: "networking.istio.io", kind: "ServiceEntry", name: "api" }] }),
  ]);
  mesh.serve(WP, "shop", "api.example");
  assert.deepEqual(names(mesh, WP, "shop", "api.example"), ["shop/guard"]);
  assert.deepEqual(names(mesh), []);
});

test("a policy for a Service binds the name by which all clusters call it, too", () => {
  const labels = { "solo.io/service-scope": "global" };
  const mesh = proxiedMesh([service("cart", "10.96.0.1", {}, { labels }), guard({ rules: [{}] })], {
    peeringDiscovery: true,
  });
  mesh.serve(WP, "shop", "cart.shop.mesh.internal");
  assert.deepEqual(names(mesh, WP, "shop", "cart.shop.mesh.internal"), ["shop/guard"]);
});

test("denying policies come first, then names decide, and one that names a target twice is there once", () => {
  const rules = [{}];
  const mesh = proxiedMesh([
    authorization("b-allow", { ...toCart, rules }),
    authorization("a-allow", { ...toCart, rules }),
    authorization("z-deny", { targetRefs: [...toCart.targetRefs, { ...GATEWAY, name: "wp" }], action: "DENY", rules }),
  ]);
  assert.deepEqual(names(mesh), ["shop/z-deny", "shop/a-allow", "shop/b-allow"]);
});

test("a policy without targetRefs is ztunnel's, and no waypoint has it", () => {
  const mesh = proxiedMesh([authorization("all", { rules: [{}] })]);
  assert.equal(mesh.policiesAt(), undefined);
});

test("a change of one policy changes what holds for its Service alone", () => {
  const mesh = proxiedMesh([service("desk", "10.96.0.2"), guard({ rules: [{}] }), tokens({ jwtRules: [] })]);
  const desk = authorization("desk", { targetRefs: [{ kind: "Service", name: "desk" }] });
  mesh.serve(WP, "shop", "desk.shop.svc.cluster.local");
  mesh.apply(desk);
  const before = mesh.changes();
  mesh.apply(guard({ rules: [{ to: [{ operation: { methods: ["GET"] } }] }] }));
  assert.equal(mesh.changes() - before, 1);
  mesh.remove(guard({}));
  assert.equal(mesh.policiesAt(), undefined);
  assert.deepEqual(names(mesh, WP, "shop", "desk.shop.svc.cluster.local"), ["shop/desk"]);
});

test("what a waypoint serves is guarded as its policies say, by each of its names", () => {
  const labels = { ...USE.labels, "solo.io/service-scope": "global" };
  const { configs } = gatewayMesh([
    waypoint(),
    waypointService,
    service("cart", "10.96.0.1", {}, { labels }),
    guard({ rules: [{}] }),
    tokens({ jwtRules: [{ issuer: "i", jwksUri: "https://issuer.example/keys" }] }),
  ]);
  const found = Array.from(configs.policies.entries(), ([key, { authorization, authentication }]) => [
    key,
    ...[...authorization, ...authentication].map((policy) => policy.name),
  ]);
  assert.deepEqual(found.sort(), [
    [`${WAYPOINT} shop/cart.shop.mesh.internal`, "shop/guard", "shop/tokens"],
    [`${WAYPOINT} shop/cart.shop.svc.cluster.local`, "shop/guard", "shop/tokens"],
  ]);
});
