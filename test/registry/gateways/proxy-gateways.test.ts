import assert from "node:assert/strict";
import { test } from "mocha";
import type { ObjectKey } from "../../../src/names.ts";
import type { ProxyGateway } from "../../../src/registry/model/proxy-gateway.ts";
import { object } from "../mesh.ts";
import { eastWest, unready } from "../two-networks.ts";
import { gatewayMesh, node, waypoint, WAYPOINT, waypointPod, type GatewayMesh } from "./gateway-mesh.ts";

const gatewayOf = ({ configs }: GatewayMesh, key = WAYPOINT): ProxyGateway | undefined =>
  configs.gateways.get(key as ObjectKey);

test("a waypoint's proxies have an identity, a network and a port before the Gateway has any address", () => {
  const mesh = gatewayMesh([waypoint({}, { status: {} })]);
  assert.deepEqual(gatewayOf(mesh), {
    key: WAYPOINT,
    cluster: "east",
    namespace: "shop",
    name: "w",
    kind: "waypoint",
    serviceAccount: "w",
    trustDomain: "cluster.local",
    network: "net1",
    locality: undefined,
    hbonePort: 15_008,
    controlPlanePort: undefined,
  });
});

const gatewayClass = (name: string, controllerName: string) =>
  object("gateway.networking.k8s.io/v1", "GatewayClass", { name, namespace: undefined }, { spec: { controllerName } });

test("a class of the mesh controller makes waypoints, and no other class does", () => {
  const classed = (className: string) =>
    waypoint({}, { spec: { gatewayClassName: className, listeners: [] }, status: {} });
  const mesh = gatewayMesh([
    classed("ours"),
    gatewayClass("ours", "istio.io/mesh-controller"),
    gatewayClass("nginx", "nginx.org/gateway-controller"),
    gatewayClass("istio-remote", "istio.io/mesh-controller"),
  ]);
  assert.equal(gatewayOf(mesh)?.kind, "waypoint");
  for (const other of ["nginx", "istio-remote", "unknown"]) {
    mesh.apply(classed(other));
    assert.equal(gatewayOf(mesh), undefined, other);
  }
});

test("a class of our name that another controller has taken is programmed by that one, as it is deployed by it", () => {
  const mesh = gatewayMesh([waypoint(), eastWest("net1", [])]);
  const kinds = () => [WAYPOINT, "east/istio-gateways/eastwest"].map((key) => gatewayOf(mesh, key)?.kind);
  const taken = (name: string, controllerName: string) => mesh.apply(gatewayClass(name, controllerName));
  assert.deepEqual(kinds(), ["waypoint", "east-west"], "without a class its name says enough");
  taken("istio-waypoint", "istio.io/mesh-controller");
  taken("istio-east-west", "istio.io/eastwest-controller");
  assert.deepEqual(kinds(), ["waypoint", "east-west"]);
  taken("istio-waypoint", "example.com/waypoints");
  assert.deepEqual(kinds(), [undefined, "east-west"]);
  taken("istio-east-west", "example.com/gateways");
  assert.deepEqual(kinds(), [undefined, undefined]);
});

test("an east-west gateway leads to the control plane only by its label", () => {
  const key = "east/istio-gateways/eastwest";
  const mesh = gatewayMesh([eastWest("net1", [])]);
  assert.equal(gatewayOf(mesh, key)?.kind, "east-west");
  assert.equal(gatewayOf(mesh, key)?.controlPlanePort, undefined);
  for (const [said, port] of [
    ["15012", 15_012],
    ["99999", undefined],
    ["true", undefined],
  ] as const) {
    mesh.apply(
      eastWest(
        "net1",
        [],
        {},
        { labels: { "istio.io/expose-istiod": said }, annotations: { "gateway.istio.io/service-account": "ew" } },
      ),
    );
    assert.equal(gatewayOf(mesh, key)?.controlPlanePort, port, said);
    assert.equal(gatewayOf(mesh, key)?.serviceAccount, "ew");
  }
});

test("gateways of other clusters are programmed by their own control planes", () => {
  const mesh = gatewayMesh([]);
  mesh.applyTo("west", waypoint(), eastWest("net2", ["192.0.2.9"]));
  assert.deepEqual([...mesh.configs.gateways.entries()], []);
});

test("a gateway is where all of its ready pods are", () => {
  const mesh = gatewayMesh([waypoint(), node("n1", "r", "a"), node("n2", "r", "b"), waypointPod("w-1", "10.0.9.1")]);
  const place = () => gatewayOf(mesh)?.locality;
  assert.deepEqual(place(), { region: "r", zone: "a", subzone: "" });
  const second = waypointPod("w-2", "10.0.9.2", { nodeName: "n2" });
  mesh.apply(unready(second));
  assert.deepEqual(place(), { region: "r", zone: "a", subzone: "" });
  mesh.apply(second);
  assert.deepEqual(place(), { region: "r", zone: "", subzone: "" });
  mesh.remove(second, waypointPod("w-1", "10.0.9.1"));
  assert.equal(place(), undefined);
});
