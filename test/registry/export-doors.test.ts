import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { encodeClusterFacts } from "../../src/xds/types/cluster-facts.ts";
import { clusterId, networkId } from "../../src/names.ts";
import { object, pod, service, testMesh, type TestMesh } from "./mesh.ts";

const HBONE = { name: "hbone", port: 15008, protocol: "HBONE" };
const SERVICE_TYPE = "peering.solo.io/data-plane-service-type";

const gateway = (metadata: object = {}, spec: object = {}, addresses: readonly string[] = ["192.0.2.1"]): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name: "ew", ...metadata },
    {
      spec: { gatewayClassName: "istio-eastwest", listeners: [HBONE], ...spec },
      status: {
        addresses: addresses.map((value) => ({ type: /^[0-9.]+$/.test(value) ? "IPAddress" : "Hostname", value })),
      },
    },
  );
const byNodes = (type = "nodeport"): KubeObject => gateway({ annotations: { [SERVICE_TYPE]: type } });
const ewService = (spec: object = {}): KubeObject =>
  service(
    "ew",
    "10.1.0.9",
    { type: "NodePort", ports: [{ name: "hbone", port: 15008, nodePort: 30015 }], ...spec },
    { labels: { "gateway.networking.k8s.io/gateway-name": "ew" } },
  );
const node = (
  name: string,
  addresses: Readonly<Record<string, string>>,
  more: object = {},
  ready = "True",
): KubeObject =>
  object(
    "v1",
    "Node",
    { namespace: undefined, name },
    {
      spec: more,
      status: {
        addresses: Object.entries(addresses).map(([type, address]) => ({ type, address })),
        conditions: [{ type: "Ready", status: ready }],
      },
    },
  );
const ewPod = (name: string, nodeName: string): KubeObject =>
  pod(name, "10.0.0.1", { "gateway.networking.k8s.io/gateway-name": "ew" }, { nodeName });

const facts = ({ registry }: TestMesh) => registry.exports.facts.get(clusterId("east"))!;
const doors = (mesh: TestMesh): readonly string[] =>
  facts(mesh).doors.map(({ serviceType, host, hbonePort }) =>
    [serviceType, host.kind === "ip" ? host.ip : host.hostname, hbonePort].join(" "),
  );
const problems = ({ registry }: TestMesh): string =>
  [...registry.problems.entries()].map(([, { message }]) => message).join("\n");

test("the addresses of a load balancer are doors, by either spelling of the class; names of the cluster itself are not", () => {
  const mesh = testMesh([gateway({}, {}, ["192.0.2.1", "ew.example.com", "ew.shop.svc.cluster.local"])]);
  assert.deepEqual(doors(mesh), ["loadbalancer ew.example.com 15008", "loadbalancer 192.0.2.1 15008"]);
  assert.equal(facts(mesh).doors[0]?.identity, "spiffe://cluster.local/ns/shop/sa/ew");
  assert.ok(facts(mesh).features.includes("east-west-passes"));
  const upstream = {
    gatewayClassName: "istio-east-west",
    listeners: [{ ...HBONE, port: 15009, tls: { mode: "Terminate" } }],
  };
  mesh.apply(gateway({ annotations: { "gateway.istio.io/service-account": "door" } }, upstream));
  assert.deepEqual(doors(mesh), ["loadbalancer 192.0.2.1 15009"]);
  assert.equal(facts(mesh).doors[0]?.identity, "spiffe://cluster.local/ns/shop/sa/door");
  assert.ok(facts(mesh).features.includes("east-west-terminates"));
});

test("by node ports each node that is ready is a door: its external address, else its internal one", () => {
  const mesh = testMesh([
    byNodes(),
    ewService(),
    node("a", { InternalIP: "10.0.1.1", ExternalIP: "198.51.100.1" }),
    node("b", { InternalIP: "10.0.1.2" }),
    node("c", { InternalIP: "10.0.1.3" }, {}, "False"),
    node("d", { Hostname: "d" }),
  ]);
  assert.deepEqual(doors(mesh), ["nodeport 10.0.1.2 30015", "nodeport 198.51.100.1 30015"]);
  mesh.apply(node("a", { ExternalIP: "198.51.100.1" }, { unschedulable: true }));
  assert.deepEqual(doors(mesh), ["nodeport 10.0.1.2 30015"]);
  mesh.remove(node("b", {}));
  assert.deepEqual(doors(mesh), []);
  assert.match(problems(mesh), /Gateway shop\/ew offers node ports, but no node is ready and takes pods/);
  mesh.apply(byNodes("nodeport, loadbalancer"), node("b", { InternalIP: "10.0.1.2" }));
  assert.deepEqual(doors(mesh), ["loadbalancer 192.0.2.1 15008", "nodeport 10.0.1.2 30015"]);
});

test("under the traffic policy Local only nodes that run a ready pod of the gateway are doors", () => {
  const mesh = testMesh([
    byNodes(),
    ewService({ externalTrafficPolicy: "Local" }),
    node("a", { InternalIP: "10.0.1.1" }),
    node("b", { InternalIP: "10.0.1.2" }),
    ewPod("ew-1", "b"),
  ]);
  assert.deepEqual(doors(mesh), ["nodeport 10.0.1.2 30015"]);
  mesh.remove(ewPod("ew-1", "b"));
  assert.deepEqual(doors(mesh), []);
  assert.match(problems(mesh), /but no node that is ready runs a pod of it/);
});

test("a gateway that peers could not use is no door, and says why", () => {
  const reasons: readonly (readonly [KubeObject, RegExp])[] = [
    [
      gateway({ labels: { "topology.istio.io/network": "net2" } }),
      /says network "net2", but this cluster is on "net1"/,
    ],
    [gateway({}, { listeners: [] }), /has no listener of protocol HBONE/],
    [gateway({}, {}, ["ew.shop.svc.cluster.local"]), /has no address yet that other clusters could reach/],
    [byNodes(), /no Service labelled gateway.networking.k8s.io\/gateway-name: ew has a nodePort for 15008/],
  ];
  for (const [one, why] of reasons) {
    const mesh = testMesh([one], { network: networkId("net1") });
    assert.deepEqual(doors(mesh), []);
    assert.match(problems(mesh), why);
  }
  const odd = testMesh([byNodes("pigeon")]);
  assert.deepEqual(doors(odd), ["loadbalancer 192.0.2.1 15008"]);
  assert.match(problems(odd), /"pigeon", which nobody knows, so it has no effect; use loadbalancer or nodeport/);
});

test("of thousands of nodes peers are told of as many as they take", () => {
  const nodes = Array.from({ length: 1_500 }, (_, at) => node(`n${at}`, { InternalIP: `10.3.${at >> 8}.${at & 255}` }));
  const mesh = testMesh([byNodes(), ewService(), ...nodes]);
  assert.equal(doors(mesh).length, 1_000);
  assert.doesNotThrow(() => encodeClusterFacts(facts(mesh)));
});
