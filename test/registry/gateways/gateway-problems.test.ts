import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../../src/kube/object.ts";
import { authorization, pod, service, serviceEntry } from "../mesh.ts";
import { federated } from "../peers.ts";
import { cart, eastWest } from "../two-networks.ts";
import { ambientPod, gatewayMesh, USE, waypoint, WAYPOINT } from "./gateway-mesh.ts";

const problems = (...objects: readonly KubeObject[]): readonly string[] => said(gatewayMesh(objects));
const said = ({ configs }: ReturnType<typeof gatewayMesh>): readonly string[] =>
  [...configs.problems.entries()].map(([, { message }]) => message).sort();
const entry = (spec: object): KubeObject =>
  serviceEntry("api", { hosts: ["api.com"], ports: [{ number: 80, name: "http" }], ...spec }, USE);

test("what a waypoint carries is no problem", () => {
  const plain = service("plain", "10.1.0.3", { ports: [{ name: "dns", port: 53, protocol: "UDP" }] });
  assert.deepEqual(problems(waypoint(), cart("10.1.0.1", {}, USE), ambientPod("cart-1", "10.0.0.1"), plain), []);
});

test("an entry whose callers alone know where to go says so, once a waypoint stands between", () => {
  const open = entry({ addresses: ["10.2.0.1"], resolution: "NONE" });
  assert.deepEqual(problems(open), []);
  assert.deepEqual(problems(waypoint(), open), [
    "ServiceEntry shop/api goes through waypoint shop/w, but has resolution NONE, so only its callers know where their " +
      "connections are to go, and the waypoint refuses them; give it endpoints and resolution STATIC, or the label " +
      "istio.io/use-waypoint: none.",
  ]);
});

test("a port for UDP passes its waypoint by, and its Service says so", () => {
  const ports = [
    { name: "dns", port: 53, protocol: "UDP" },
    { name: "dns-tcp", port: 53, protocol: "TCP" },
    { name: "quic", port: 443, protocol: "UDP" },
  ];
  assert.deepEqual(problems(waypoint(), cart("10.1.0.1", { ports }, USE)), [
    "Service shop/cart goes through waypoint shop/w, which carries no UDP: what is sent to port 443 passes it by, and its " +
      "policies with it; guard that port by other means.",
  ]);
});

test("policies that are too much for all ports of a Service close it, and it says so; no gateway gets all of that", () => {
  const ports = (count: number) => Array.from({ length: count }, (_, at) => ({ name: `tcp-${at}`, port: at + 1 }));
  const principals = Array.from({ length: 2_000 }, (_, at) => `cluster.local/ns/shop/sa/caller-${at}`);
  const spec = {
    targetRefs: [{ group: "", kind: "Service", name: "cart" }],
    rules: [{ from: [{ source: { principals } }] }],
  };
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", { ports: ports(1_000) }, USE), authorization("guard", spec)]);
  const policies = () => mesh.configs.policies.get(`${WAYPOINT} shop/cart.shop.svc.cluster.local`)?.authorization;
  assert.deepEqual(policies(), [
    { name: "too-much-for-all-ports", action: "deny", dryRun: false, rules: [{ from: [], to: [], when: [] }] },
  ]);
  assert.deepEqual(said(mesh), [
    "Service shop/cart goes through waypoint shop/w, which denies all that is sent to it: each of its 1000 ports would " +
      "have all of its policies, more than 64 MiB; make the policies smaller, or the ports fewer.",
  ]);
  mesh.apply(cart("10.1.0.1", { ports: ports(100) }, USE));
  assert.deepEqual([policies()?.map(({ name }) => name), said(mesh)], [["shop/guard"], []]);
});

test("routes that are too many for all ports of a Service are answered with 500 where they are, and it says so", () => {
  const ports = Array.from({ length: 6 }, (_, at) => ({ name: `http-${at}`, port: at + 1 }));
  const mesh = gatewayMesh([waypoint(), cart("10.1.0.1", { ports }, USE)]);
  const own = mesh.served("shop/cart.shop.svc.cluster.local")!.ports[0]!.rules[0]!;
  for (const { backend } of mesh.served("shop/cart.shop.svc.cluster.local")!.ports)
    mesh.rules.set(backend, new Array<typeof own>(20_000).fill(own));
  mesh.graph.flush();
  const served = mesh
    .served("shop/cart.shop.svc.cluster.local")!
    .ports.map(({ rules }) => [rules.length, rules[0]?.action.kind]);
  assert.deepEqual(served, [...new Array<unknown>(5).fill([20_000, "forward"]), [1, "refuse"]]);
  assert.deepEqual(said(mesh), [
    "Service shop/cart goes through waypoint shop/w, which answers 500 on some of its ports: all of its ports together have " +
      "more than 100000 matches of routes; give the routes' parentRefs the ports that they are for.",
  ]);
});

test("shared endpoints without HBONE are out of reach of other networks, and their Service says so while there is a gateway", () => {
  const plain = [1, 2].map((at) => pod(`plain-${at}`, `10.0.0.${at}`, { app: "cart" }));
  const shared = [cart("10.1.0.1"), ...plain, ambientPod("cart-1", "10.0.0.9")];
  assert.deepEqual(problems(...shared), []);
  const mesh = gatewayMesh([eastWest("net1", []), ...shared]);
  mesh.hear("west", {}, federated("west"));
  assert.deepEqual(said(mesh), [
    "Service shop/cart is shared with other clusters, but 2 of its 3 endpoints take no HBONE, plain-1 among them, so no " +
      "call of another network reaches those; put the label istio.io/dataplane-mode: ambient on their namespace or pods.",
  ]);
  mesh.remove(...plain);
  assert.deepEqual(said(mesh), []);
});
