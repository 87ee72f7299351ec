import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../../src/kube/object.ts";
import { authorization, pod, service, serviceEntry } from "../mesh.ts";
import { unready } from "../two-networks.ts";
import { AMBIENT, gatewayMesh, USE, waypoint, WAYPOINT, type GatewayMesh } from "./gateway-mesh.ts";

const ALL = { labels: { "istio.io/waypoint-for": "all" } };
const ports = [
  { name: "http", port: 80, targetPort: 8080 },
  { name: "tcp", port: 90, targetPort: 9090 },
];
const web = service("web", "10.1.0.1", { selector: { app: "web" }, ports });
const webPod = (ip: string, spec: object = {}, name = "web-1"): KubeObject =>
  pod(name, ip, { app: "web", ...USE.labels }, { ...spec }, { annotations: AMBIENT });
const servedAt = (mesh: GatewayMesh, ip: string) => mesh.served(`shop/${ip}`);
const portsAt = (mesh: GatewayMesh, ip: string) =>
  servedAt(mesh, ip)?.ports.map(({ number, protocol }) => `${number} ${protocol}`);

test("a waypoint for workloads serves each by its own address, at the ports that services and containers name", () => {
  const containers = [
    {
      name: "c",
      ports: [
        { name: "grpc-admin", containerPort: 7070 },
        { name: "tcp-web", containerPort: 8080 },
      ],
    },
  ];
  const mesh = gatewayMesh([waypoint(ALL), web, webPod("10.0.0.1", { containers })]);
  assert.deepEqual(servedAt(mesh, "10.0.0.1")?.authorities, ["10.0.0.1"]);
  assert.deepEqual(portsAt(mesh, "10.0.0.1"), ["7070 http", "8080 detected", "9090 tcp"]);
  assert.deepEqual(mesh.ends("shop/10.0.0.1:8080"), [["10.0.0.1:8080 in 10.0.0.1:15008 1"]]);
  assert.equal(mesh.configs.backends.get(`${WAYPOINT} shop/10.0.0.1:8080`)?.protocol, "same");
});

test("who calls a workload by its address gets it, ready or not", () => {
  const mesh = gatewayMesh([waypoint(ALL), web, unready(webPod("10.0.0.1"))]);
  assert.deepEqual(mesh.ends("shop/10.0.0.1:8080"), [["10.0.0.1:8080 in 10.0.0.1:15008 1"]]);
});

test("policies of the Gateway hold for workloads that are called by their addresses", () => {
  const targetRefs = [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "w" }];
  const guard = authorization("guard", {
    targetRefs,
    action: "DENY",
    rules: [{ to: [{ operation: { methods: ["PUT"] } }] }],
  });
  const mesh = gatewayMesh([waypoint(ALL), web, webPod("10.0.0.1"), guard]);
  const held = mesh.configs.policies.get(`${WAYPOINT} shop/10.0.0.1`);
  assert.deepEqual(
    held?.authorization.map(({ name }) => name),
    ["shop/guard"],
  );
});

test("a waypoint for services serves no workload by its address", () => {
  const mesh = gatewayMesh([waypoint(), web, webPod("10.0.0.1")]);
  assert.equal(servedAt(mesh, "10.0.0.1"), undefined);
});

test("an address that several have, or that a service has, is nobody's own", () => {
  const entry = serviceEntry("api", {
    hosts: ["api.com"],
    addresses: ["10.0.0.2"],
    ports: [{ number: 80, name: "http" }],
    resolution: "STATIC",
  });
  const mesh = gatewayMesh([
    waypoint(ALL),
    web,
    entry,
    webPod("10.0.0.1", { hostNetwork: true }),
    webPod("10.0.0.2", {}, "web-2"),
    webPod("10.0.0.3", {}, "web-3"),
    webPod("10.0.0.3", {}, "web-4"),
  ]);
  const found = [...mesh.configs.services.entries()].map(([, { authorities }]) => authorities);
  assert.deepEqual(found, [["10.0.0.3"]]);
  mesh.remove(webPod("10.0.0.3", {}, "web-3"));
  assert.deepEqual(mesh.ends("shop/10.0.0.3:8080"), [["10.0.0.3:8080 in 10.0.0.3:15008 1"]]);
});

test("an address that goes from one pod to another in one step is the other's from then on", () => {
  for (const [before, after] of [
    ["web-1", "web-2"],
    ["web-2", "web-1"],
  ] as const) {
    const mesh = gatewayMesh([waypoint(ALL), web, webPod("10.0.0.1", {}, before), webPod("10.0.0.2", {}, after)]);
    for (const turn of ["set first", "delete first"]) {
      const moved = () => mesh.intake.set(webPod("10.0.0.1", {}, after), "");
      if (turn === "set first") moved();
      mesh.intake.delete(webPod("10.0.0.1", {}, before));
      if (turn === "delete first") moved();
      mesh.graph.flush();
      assert.deepEqual(mesh.groups("shop/10.0.0.1:8080")[0]?.[0]?.id, `east//Pod/shop/${after}`, turn);
      mesh.apply(webPod("10.0.0.1", {}, before), webPod("10.0.0.2", {}, after));
    }
  }
});
