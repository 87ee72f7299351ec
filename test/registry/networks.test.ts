import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, networkId, podUid, type WorkloadUid } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { object, pod, service, testMesh, type TestMesh } from "./mesh.ts";

const west = clusterId("west");
const cart = podUid(clusterId("east"), "shop", "cart");

/** Says which network the cluster is on. */
const system = (network: string): KubeObject =>
  object("v1", "Namespace", {
    name: "istio-system",
    namespace: undefined,
    labels: { "topology.istio.io/network": network },
  });
const listener = { port: 15_008, protocol: "HBONE", tls: { mode: "Passthrough" } };
const gateway = (name: string, network: string, rest: object = {}, metadata: object = {}): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name, namespace: "istio-gateways", labels: { "topology.istio.io/network": network }, ...metadata },
    { spec: { gatewayClassName: "istio-remote", addresses: [{ value: "192.0.2.1" }], listeners: [listener] }, ...rest },
  );
const entry = (network: string): KubeObject =>
  object("networking.istio.io/v1", "WorkloadEntry", { name: "vm" }, { spec: { address: "10.9.0.1", network } });

function workload({ registry }: TestMesh, uid: string) {
  const found = registry.workloads.get(uid as WorkloadUid);
  assert.ok(found, `no workload ${uid}`);
  return found;
}
const VM = "east/networking.istio.io/WorkloadEntry/shop/vm";
const byAddress = (ip: string, network: string, hbonePort = 15_008) => ({
  destination: { kind: "address", address: { network: networkId(network), ip } },
  hbonePort,
});

test("the network of a cluster is a label of its system namespace, and that of its pods and services", () => {
  const mesh = testMesh([pod("cart", "10.0.0.1"), service("cart", "10.1.0.1")]);
  const networks = () => [
    workload(mesh, cart).network,
    [...mesh.registry.services.entries()][0]?.[1].addresses[0]?.network,
  ];
  assert.deepEqual(networks(), ["", ""]);
  mesh.apply(system("net1"));
  assert.deepEqual(networks(), ["net1", "net1"]);
  assert.equal(mesh.registry.networks.get(clusterId("east")), "net1");
});

test("the network is the system namespace's to say, also if the root namespace is another", () => {
  const root = object("v1", "Namespace", {
    name: "roots",
    namespace: undefined,
    labels: { "topology.istio.io/network": "wrong" },
  });
  const mesh = { trustDomain: "cluster.local", clusterDomain: "cluster.local", rootNamespace: "roots" };
  const built = testMesh([system("net1"), root, pod("cart", "10.0.0.1")], { mesh, systemNamespace: "istio-system" });
  assert.equal(workload(built, cart).network, "net1");
});

test("a network label on a pod or a node means nothing", () => {
  const labels = { "topology.istio.io/network": "net9" };
  const node = object("v1", "Node", { name: "n1", namespace: undefined, labels });
  const mesh = testMesh([node, pod("cart", "10.0.0.1", labels)]);
  assert.equal(workload(mesh, cart).network, "");
});

test("pods of another cluster are sent one by one only if they are on the local network", () => {
  const mesh = testMesh([system("net1")]);
  const remote = mesh.registry.intake(west);
  remote.set(pod("cart", "10.7.0.1", { app: "cart" }), "");
  remote.set(service("cart", "10.8.0.1"), "");
  remote.set(system("net2"), "");
  mesh.graph.flush();
  assert.equal(mesh.registry.workloads.size, 0);
  remote.set(system("net1"), "");
  mesh.graph.flush();
  const [sent] = [...mesh.registry.workloads.entries()].map(([, value]) => value);
  assert.deepEqual([sent?.cluster, sent?.network, sent?.services], ["west", "net1", []]);
  mesh.apply(system("net3"));
  assert.equal(mesh.registry.workloads.size, 0);
});

test("policies and entries are those of the local cluster alone", () => {
  const mesh = testMesh();
  const remote = mesh.registry.intake(west);
  remote.set(entry(""), "");
  remote.set(object("security.istio.io/v1", "AuthorizationPolicy", { name: "p" }, { spec: { rules: [{}] } }), "");
  remote.set(object("security.istio.io/v1", "PeerAuthentication", { name: "p" }), "");
  mesh.graph.flush();
  assert.deepEqual([mesh.registry.workloads.size, mesh.registry.policies.size], [0, 0]);
});

test("an entry on another network is reached through the gateway that stands for it", () => {
  const mesh = testMesh([entry("net2")]);
  assert.equal(workload(mesh, VM).networkGateway, undefined);
  mesh.apply(gateway("g", "net2"));
  assert.equal(workload(mesh, VM).network, "net2");
  assert.deepEqual(workload(mesh, VM).networkGateway, byAddress("192.0.2.1", "net2"));
});

test("a workload lists its own network's gateway too, if there is one", () => {
  const mesh = testMesh([system("net1"), pod("cart", "10.0.0.1"), gateway("g", "net1")]);
  assert.deepEqual(workload(mesh, cart).networkGateway, byAddress("192.0.2.1", "net1"));
});

/** How a Gateway stands for net2 (contract ztunnel.md 5.9). */
const gateways: readonly (readonly [string, KubeObject, unknown])[] = [
  [
    "at its status address rather than its spec's",
    gateway("g", "net2", { status: { addresses: [{ type: "IPAddress", value: "192.0.2.9" }] } }),
    byAddress("192.0.2.9", "net2"),
  ],
  [
    "by a host name",
    gateway("g", "net2", { status: { addresses: [{ type: "Hostname", value: "lb.example.com" }] } }),
    {
      destination: { kind: "hostname", namespace: "istio-gateways", hostname: "lb.example.com" },
      hbonePort: 15_008,
    },
  ],
  [
    "on the port of its HBONE listener",
    gateway("g", "net2", {
      spec: {
        gatewayClassName: "istio-remote",
        addresses: [{ value: "192.0.2.1" }],
        listeners: [
          { port: 80, protocol: "HTTP" },
          { port: 16_008, protocol: "HBONE" },
        ],
      },
    }),
    byAddress("192.0.2.1", "net2", 16_008),
  ],
  [
    "not without an HBONE listener",
    gateway("g", "net2", {
      spec: {
        gatewayClassName: "istio-remote",
        addresses: [{ value: "192.0.2.1" }],
        listeners: [{ port: 443, protocol: "TLS" }],
      },
    }),
    undefined,
  ],
  [
    "not of another class",
    gateway("g", "net2", {
      spec: { gatewayClassName: "istio-east-west", addresses: [{ value: "192.0.2.1" }], listeners: [listener] },
    }),
    undefined,
  ],
  ["not without a network", gateway("g", "net2", {}, { labels: {} }), undefined],
  [
    "not without an address",
    gateway("g", "net2", { spec: { gatewayClassName: "istio-remote", listeners: [listener] } }),
    undefined,
  ],
];
for (const [how, written, expected] of gateways)
  test(`a remote gateway is a way into its network ${how}`, () => {
    assert.deepEqual(workload(testMesh([entry("net2"), written]), VM).networkGateway, expected);
  });

test("of two gateways into one network the first by name counts, and both are workloads with their own identity", () => {
  const annotations = { "gateway.istio.io/service-account": "edge" };
  const second = { addresses: [{ type: "IPAddress", value: "192.0.2.2" }] };
  const mesh = testMesh([
    entry("net2"),
    gateway("b", "net2", { status: second }, { annotations }),
    gateway("a", "net2", {}),
  ]);
  assert.deepEqual(workload(mesh, VM).networkGateway, byAddress("192.0.2.1", "net2"));
  const [a, b] = ["192.0.2.1", "192.0.2.2"].map((ip) => workload(mesh, `NetworkGateway/net2/${ip}/15008`));
  assert.deepEqual(
    [a, b].map((each) => [each?.name, each?.namespace, each?.serviceAccount, each?.network, each?.addresses]),
    [
      ["NetworkGateway/net2/192.0.2.1/15008", "istio-gateways", "a-istio-remote", "net2", ["192.0.2.1"]],
      ["NetworkGateway/net2/192.0.2.2/15008", "istio-gateways", "edge", "net2", ["192.0.2.2"]],
    ],
  );
  assert.equal(a?.tunnel, "none");
  mesh.remove(gateway("a", "net2"));
  assert.deepEqual(workload(mesh, VM).networkGateway, byAddress("192.0.2.2", "net2"));
});

/** What a peer's gateway must not make of us (contract operations.md 4.4, 26). */
for (const value of ["a\nb", "300.1.1.1", "http://x", "fe80::1%eth0"])
  test(`a gateway at ${JSON.stringify(value)} is refused, and the problem names the field`, () => {
    const status = { addresses: [{ type: "Hostname", value }] };
    const mesh = testMesh([entry("net2"), gateway("g", "net2", { status })]);
    assert.equal(workload(mesh, VM).networkGateway, undefined);
    assert.deepEqual(
      [...mesh.registry.problems.entries()].map(([, { field }]) => field),
      ["status.addresses[0].value"],
    );
  });

for (const port of [0, 70_000, "80"])
  test(`a gateway with a listener on port ${port} is refused`, () => {
    const spec = { gatewayClassName: "istio-remote", addresses: [{ value: "192.0.2.1" }] };
    const bad = gateway("g", "net2", { spec: { ...spec, listeners: [{ ...listener, port }] } });
    const mesh = testMesh([entry("net2"), bad]);
    assert.equal(workload(mesh, VM).networkGateway, undefined);
    assert.equal(mesh.registry.problems.size, 1);
  });

test("a namespace that names another network than its cluster's is a problem, and has no effect", () => {
  const namespace = (name: string, network: string) =>
    object("v1", "Namespace", { namespace: undefined, name, labels: { "topology.istio.io/network": network } });
  const mesh = testMesh([
    namespace("istio-system", "net1"),
    namespace("shop", "net2"),
    namespace("other", "net1"),
    pod("a", "10.0.0.1"),
  ]);
  assert.equal(mesh.registry.workloads.get(podUid(clusterId("east"), "shop", "a"))?.network, "net1");
  const problems = () => [...mesh.registry.problems.entries()].map(([, { message }]) => message);
  assert.equal(problems().length, 1);
  assert.match(problems()[0]!, /of namespace shop is "net2", but the cluster is on "net1", and so are its pods/);
  mesh.apply(namespace("shop", "net1"));
  assert.deepEqual(problems(), []);
});
