import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { object, service } from "./mesh.ts";
import { byAddress, cart, cartPod, eastWest, meshes, system, twoNetworks, unready } from "./two-networks.ts";

const HBONE = { name: "mesh", port: 15_008, protocol: "HBONE" };
const spec = (gatewayClassName: string, ...listeners: readonly object[]) => ({ spec: { gatewayClassName, listeners } });
const terminate = { tls: { mode: "Terminate" } };
const coalescedAt = (gateway: string, address: string): string =>
  `net2/SplitHorizonWorkload/${gateway}/${address}/shop/cart.shop.svc.cluster.local`;
const capacities = (both: ReturnType<typeof meshes>) =>
  both.coalesced().map(({ uid, capacity, healthy }) => [uid.split("/")[4], capacity, healthy]);

/** Which Gateways of another cluster lead into its network, and where (contract ztunnel.md 5.9). */
const rows: readonly (readonly [string, KubeObject, readonly string[]])[] = [
  ["of Istio's class with a listener that terminates", eastWest("net2", ["192.0.2.1"]), ["192.0.2.1:15008"]],
  ["once for each address", eastWest("net2", ["192.0.2.1", "192.0.2.2"]), ["192.0.2.1:15008", "192.0.2.2:15008"]],
  [
    "at the port of its listener",
    eastWest("net2", ["192.0.2.1"], spec("istio-east-west", { ...HBONE, port: 16_008, ...terminate })),
    ["192.0.2.1:16008"],
  ],
  [
    "of the product's class, also if it passes tunnels on",
    eastWest("net2", ["192.0.2.1"], spec("istio-eastwest", { ...HBONE, tls: { mode: "Passthrough" } })),
    ["192.0.2.1:15008"],
  ],
  [
    "not of Istio's class, if it passes tunnels on",
    eastWest("net2", ["192.0.2.1"], spec("istio-east-west", { ...HBONE, tls: { mode: "Passthrough" } })),
    [],
  ],
  [
    "not with a listener of another protocol",
    eastWest("net2", ["192.0.2.1"], spec("istio-east-west", { port: 15_008, protocol: "TLS", ...terminate })),
    [],
  ],
  ["not of another class", eastWest("net2", ["192.0.2.1"], spec("istio-remote", { ...HBONE, ...terminate })), []],
  ["not without the label of its network", eastWest("net2", ["192.0.2.1"], {}, { labels: {} }), []],
  ["not with the label of another network than its cluster's", eastWest("net3", ["192.0.2.1"]), []],
  ["not without an address", eastWest("net2", []), []],
  [
    "not at a name of its own cluster",
    eastWest("net2", [], { status: { addresses: [{ type: "Hostname", value: "eastwest.istio.svc.cluster.local" }] } }),
    [],
  ],
];
for (const [how, gateway, expected] of rows)
  test(`another cluster's gateway is a way into its network: ${how}`, () => {
    const both = twoNetworks();
    both.applyTo("west", gateway);
    assert.deepEqual(
      both.coalesced().map(({ networkGateway }) => {
        const to = networkGateway!.destination;
        return `${to.kind === "address" ? to.address.ip : to.hostname}:${networkGateway!.hbonePort}`;
      }),
      expected,
    );
  });

test("a gateway of another cluster is a workload with the identity of its Gateway, by the name that clients of istiod know", () => {
  const both = twoNetworks();
  const gateway = both.workload("NetworkGateway/net2/192.0.2.1/0");
  assert.deepEqual(
    [
      gateway?.cluster,
      gateway?.network,
      gateway?.addresses,
      gateway?.namespace,
      gateway?.serviceAccount,
      gateway?.tunnel,
    ],
    ["west", "net2", ["192.0.2.1"], "istio-gateways", "eastwest", "none"],
  );
  const annotations = { "gateway.istio.io/service-account": "edge" };
  both.applyTo("west", eastWest("net2", ["192.0.2.1"], {}, { annotations }));
  assert.equal(both.workload("NetworkGateway/net2/192.0.2.1/0")?.serviceAccount, "edge");
});

test("a gateway can be a host name, and is found by its namespace and that name", () => {
  const both = twoNetworks();
  const status = { addresses: [{ type: "Hostname", value: "lb.example.com" }] };
  both.applyTo("west", eastWest("net2", [], { status }));
  const [workload] = both.coalesced();
  assert.deepEqual(workload?.networkGateway, {
    destination: { kind: "hostname", namespace: "istio-gateways", hostname: "lb.example.com" },
    hbonePort: 15_008,
  });
  const gateway = both.workload("NetworkGateway/net2/lb.example.com/0");
  assert.deepEqual(
    [gateway?.namespace, gateway?.hostname, gateway?.addresses],
    ["istio-gateways", "lb.example.com", []],
  );
});

const declared = (ip: string, name = "to-west", labels: object = {}): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name, namespace: "istio-gateways", labels: { "topology.istio.io/network": "net2", ...labels } },
    { spec: { gatewayClassName: "istio-remote", addresses: [{ value: ip }], listeners: [HBONE] } },
  );

test("what the local cluster says of an address counts, and clients get one workload for it", () => {
  const both = twoNetworks();
  both.apply(declared("192.0.2.1"));
  const gateways = [...both.registry.workloads.entries()].filter(([uid]) => uid.startsWith("NetworkGateway/"));
  assert.deepEqual(
    gateways.map(([uid, { serviceAccount }]) => [uid, serviceAccount]),
    [["NetworkGateway/net2/192.0.2.1/15008", "to-west-istio-remote"]],
  );
  assert.deepEqual(
    both.coalesced().map(({ uid }) => uid),
    [coalescedAt("istio-gateways/to-west", "192.0.2.1")],
  );
});

test("a cluster is entered where the local cluster says, for it or for its network, and else by its own gateway", () => {
  const both = twoNetworks();
  const used = () => capacities(both).map(([address]) => address);
  both.apply(declared("192.0.2.5", "to-net2"));
  assert.deepEqual(used(), ["192.0.2.5"]);
  both.apply(declared("192.0.2.6", "to-west", { "topology.istio.io/cluster": "west" }));
  assert.deepEqual(used(), ["192.0.2.6"]);
  both.remove(declared("", "to-west"), declared("", "to-net2"));
  both.apply(declared("192.0.2.7", "to-north", { "topology.istio.io/cluster": "north" }));
  assert.deepEqual(used(), ["192.0.2.1"]);
  both.removeFrom("west", eastWest("net2", []));
  assert.deepEqual(used(), ["192.0.2.7"]);
});

test("a gateway of the local cluster is of the cluster that it says it leads to", () => {
  const both = twoNetworks();
  both.removeFrom("west", eastWest("net2", []));
  both.apply(declared("192.0.2.7"));
  assert.deepEqual(
    both.coalesced().map(({ cluster }) => cluster),
    ["east"],
  );
  both.apply(declared("192.0.2.7", "to-west", { "topology.istio.io/cluster": "west" }));
  assert.deepEqual(
    both.coalesced().map(({ cluster }) => cluster),
    ["west"],
  );
});

test("several gateways share the endpoints, and together have neither more nor fewer", () => {
  const both = twoNetworks();
  both.applyTo("west", eastWest("net2", ["192.0.2.1", "192.0.2.2"]));
  assert.deepEqual(capacities(both), [
    ["192.0.2.1", 1, true],
    ["192.0.2.2", 1, true],
  ]);
  for (const at of [3, 4, 5]) both.applyTo("west", cartPod(`cart-${at}`, `10.9.0.${at}`));
  const shares = capacities(both).map(([, capacity]) => capacity);
  assert.deepEqual([...shares].sort(), [2, 3]);
  both.applyTo("west", eastWest("net2", ["192.0.2.2"]));
  assert.deepEqual(capacities(both), [["192.0.2.2", 5, true]]);
});

test("a gateway for which no endpoint is left over stands for none", () => {
  const both = twoNetworks();
  both.removeFrom("west", cartPod("cart-2", ""));
  both.applyTo("west", eastWest("net2", ["192.0.2.1", "192.0.2.2", "192.0.2.3"]));
  assert.deepEqual(
    capacities(both).map(([, capacity]) => capacity),
    [1],
  );
});

test("an address of another kind beside the first is the same way again, and not another one", () => {
  const both = twoNetworks();
  both.applyTo("west", eastWest("net2", ["192.0.2.1", "2001:db8::1"]));
  assert.deepEqual(capacities(both), [["192.0.2.1", 2, true]]);
});

test("endpoints are behind the gateway of their own cluster, and of any if theirs has none", () => {
  const three = twoNetworks();
  const north = [system("net2"), cart("10.3.0.1"), cartPod("cart-n", "10.8.0.1")];
  three.applyTo("north", ...north);
  assert.deepEqual(capacities(three), [["192.0.2.1", 3, true]]);
  three.applyTo("north", eastWest("net2", ["192.0.2.9"]));
  assert.deepEqual(capacities(three), [
    ["192.0.2.1", 2, true],
    ["192.0.2.9", 1, true],
  ]);
  three.applyTo("north", unready(cartPod("cart-n", "10.8.0.1")));
  assert.deepEqual(capacities(three), [
    ["192.0.2.1", 2, true],
    ["192.0.2.9", 1, false],
  ]);
});

test("workloads on the local network name a gateway that the local cluster has, and no other's own", () => {
  const both = twoNetworks();
  both.applyTo("west", system("net1"), eastWest("net1", ["192.0.2.1"]));
  assert.equal(both.workload("east//Pod/shop/cart-e")?.networkGateway, undefined);
  const toOurselves = declared("192.0.2.5", "to-us", { "topology.istio.io/network": "net1" });
  both.apply(toOurselves);
  assert.deepEqual(both.workload("east//Pod/shop/cart-e")?.networkGateway, byAddress("192.0.2.5", "net1"));
});

test("an entry on another network goes through that network's own gateway, and its service is known by its account", () => {
  const both = twoNetworks();
  const entry = { address: "10.9.9.9", network: "net2", labels: { app: "vm" }, serviceAccount: "vm-sa" };
  both.apply(
    service("vm", "10.1.0.7"),
    object("networking.istio.io/v1", "WorkloadEntry", { name: "vm" }, { spec: entry }),
  );
  const vm = both.workload("east/networking.istio.io/WorkloadEntry/shop/vm");
  assert.deepEqual([vm?.addresses, vm?.networkGateway], [["10.9.9.9"], byAddress("192.0.2.1", "net2")]);
  const services = new Map<string, readonly string[]>(
    [...both.registry.services.entries()].map(([key, { subjectAltNames }]) => [key, subjectAltNames]),
  );
  assert.deepEqual(services.get("shop/vm.shop.svc.cluster.local"), ["spiffe://cluster.local/ns/shop/sa/vm-sa"]);
});

test("the trust domain of what is behind a gateway is what the gateway says", () => {
  const both = twoNetworks();
  const annotations = { "gateway.istio.io/trust-domain": "west.example" };
  both.applyTo("west", eastWest("net2", ["192.0.2.1"], {}, { annotations }));
  assert.equal(both.workload("NetworkGateway/net2/192.0.2.1/0")?.trustDomain, "west.example");
  assert.equal(both.coalesced()[0]?.trustDomain, "west.example");
  assert.deepEqual(both.cart()?.subjectAltNames, [
    "spiffe://west.example/ns/shop/sa/cart-1",
    "spiffe://west.example/ns/shop/sa/cart-2",
  ]);
  assert.equal(both.workload("east//Pod/shop/cart-e")?.trustDomain, "cluster.local");
});

test("a gateway that leads nowhere is a problem that says why", () => {
  const both = meshes();
  both.applyTo("west", system("net2"), eastWest("net3", ["192.0.2.1"]));
  assert.deepEqual(both.problems(), [
    'Gateway istio-gateways/eastwest of cluster west says network "net3", but its cluster is on "net2", so it is no way into its network.',
  ]);
  both.applyTo("west", eastWest("net2", []));
  assert.match(both.problems().join(), /has no address in its status yet/);
  both.applyTo("west", eastWest("net2", ["192.0.2.1"]));
  assert.deepEqual(both.problems(), []);
});
