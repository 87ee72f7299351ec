import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import type { WantedObject } from "../../src/kube/wanted-object.ts";
import { clusterId, networkId, type ServiceName, type WorkloadUid } from "../../src/names.ts";
import type { ServiceBinding, Workload } from "../../src/registry/model/workload.ts";
import { bareWorkload } from "../../src/registry/workload-shape.ts";
import { object } from "./mesh.ts";
import { facts, peerGateway, status } from "./peers.ts";
import { namedNetwork, peeringView } from "./peering-view.ts";

const HOME = namedNetwork("net1");
const specOf = (wanted: WantedObject | undefined): unknown => wanted?.fields?.["spec"];
const parent = (name: string): object => ({
  "admin.solo.io/segment": "default",
  "solo.io/parent-service": name,
  "solo.io/parent-service-namespace": "shop",
});

function full(gateway: KubeObject, said: Parameters<typeof facts>[1] = {}, mode: "full" | "summary" = "full") {
  const view = peeringView([HOME, gateway], {}, { objects: mode });
  view.learn(facts("west", said));
  view.report(status("west"));
  const keys = (kind: string): readonly string[] =>
    [...view.wanted.entries()].flatMap(([key]) => (key.startsWith(kind) ? [key.split("/")[1]!] : [])).sort();
  return { ...view, keys };
}

test("in full mode each service of a peer is one WorkloadEntry without an address, on the peer's network", () => {
  const { hear, wanted, keys } = full(peerGateway("west", { labels: { "topology.kubernetes.io/region": "eu" } }));
  hear("west");
  assert.deepEqual(keys("WorkloadEntry"), ["autogen.west.shop.cart"]);
  const { annotations, labels, fields } = wanted.get("WorkloadEntry istio-system/autogen.west.shop.cart")!;
  assert.deepEqual(fields!["spec"], {
    network: "net-west",
    labels: parent("cart"),
    ports: { "port-80": 8080 },
    weight: 3,
    locality: "eu",
  });
  assert.deepEqual(labels, { ...parent("cart"), "app.kubernetes.io/managed-by": "causeway" });
  assert.deepEqual(annotations, { "peering.causeway.dev/clusters": "west" });
});

test("in summary mode there are none, and those of a full one before are collected", () => {
  const { hear, keys, apply, wanted } = full(peerGateway("west"), {}, "summary");
  hear("west");
  assert.deepEqual(keys("WorkloadEntry"), []);
  const labels = { ...parent("cart"), "app.kubernetes.io/managed-by": "causeway" };
  const metadata = {
    name: "autogen.west.shop.cart",
    namespace: "istio-system",
    labels,
    uid: "u",
    resourceVersion: "5",
  };
  apply(object("networking.istio.io/v1", "WorkloadEntry", metadata, { spec: { network: "net-west" } }));
  const { gone, resourceVersion } = wanted.get("WorkloadEntry istio-system/autogen.west.shop.cart")!;
  assert.deepEqual([gone, resourceVersion], [true, "5"]);
});

test("pods of a peer on our own network are entries one by one, one for each service that they serve", () => {
  const { hear, wanted, keys, registry, graph } = full(peerGateway("west", { network: "net1" }), {
    network: networkId("net1"),
  });
  hear("west");
  hear("west", { name: "books" });
  const serve = (...hosts: readonly string[]): void => {
    const uid = "west//Pod/shop/cart-1" as WorkloadUid;
    const services = hosts.map((host): ServiceBinding => ({
      service: `shop/${host}.shop.mesh.internal` as ServiceName,
      ports: [{ servicePort: 80, targetPort: 8080 }],
    }));
    const pod: Workload = {
      ...bareWorkload(uid, "cart-1", "shop", clusterId("west"), "cluster.local"),
      ...{ network: networkId("net1"), addresses: ["10.9.0.1"], serviceAccount: "cart", services },
    };
    registry.peers.workloads.set(uid, pod);
    graph.flush();
  };
  serve("cart");
  const [one, ...others] = keys("WorkloadEntry");
  assert.deepEqual(others, []);
  assert.match(one!, /^autogenflat\.west\.shop\.cart-1\.[0-9a-f]{12}$/);
  const served = [...registry.workloads.entries()].find(([uid]) => uid.includes("autogenflat"))![1];
  assert.equal(one, served.name, "ztunnels know it by the same name");
  assert.deepEqual(specOf(wanted.get(`WorkloadEntry istio-system/${one!}`)), {
    address: "10.9.0.1",
    network: "net1",
    serviceAccount: "cart",
    labels: parent("cart"),
    ports: { "port-80": 8080 },
  });
  serve("books", "cart");
  const both = keys("WorkloadEntry");
  assert.ok(both.length === 2 && both.every((name) => /^autogenflat\.west\.shop\.cart-1\.[0-9a-f]{12}$/.test(name)));
  assert.deepEqual(
    both
      .map((name) => (specOf(wanted.get(`WorkloadEntry istio-system/${name}`)) as { labels: object }).labels)
      .sort(byText),
    [parent("books"), parent("cart")],
  );
});

const byText = (a: object, b: object): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

test("the nodes of a peer are one host, and each an entry behind it", () => {
  const doors = ["192.0.2.7", "192.0.2.8"].map(
    (ip) =>
      ({
        serviceType: "nodeport",
        host: { kind: "ip", ip },
        hbonePort: 30_015,
        identity: "spiffe://cluster.local/ns/istio-eastwest/sa/istio-eastwest",
      }) as const,
  );
  const annotations = { "peering.solo.io/preferred-data-plane-service-type": "nodeport" };
  const { wanted, keys } = full(peerGateway("west", { annotations }), { doors });
  assert.deepEqual(keys("WorkloadEntry"), ["autogen.node.west.192.0.2.7", "autogen.node.west.192.0.2.8"]);
  const node = specOf(wanted.get("WorkloadEntry istio-system/autogen.node.west.192.0.2.7")) as Record<string, unknown>;
  assert.deepEqual([node["address"], node["network"], node["ports"]], ["192.0.2.7", "net-west", { hbone: 30_015 }]);
  const service = specOf(wanted.get("ServiceEntry istio-system/autogen.node.west")) as Record<string, unknown>;
  assert.deepEqual(service["hosts"], ["node.istio-eastwest.west.mesh.internal"]);
  assert.deepEqual(service["workloadSelector"], { labels: node["labels"] });
  assert.deepEqual(service["subjectAltNames"], ["spiffe://cluster.local/ns/istio-eastwest/sa/istio-eastwest"]);
});

test("a cluster whose name no object can have is told apart by digits", () => {
  const { metadata, ...gateway } = peerGateway("West_1");
  const view = peeringView([HOME, { ...gateway, metadata: { ...metadata, name: "w" } }], {}, { objects: "full" });
  view.learn(facts("West_1"));
  view.report(status("West_1"));
  view.hear("West_1");
  const names = [...view.wanted.entries()].flatMap(([, { type, name }]) =>
    type.kind === "WorkloadEntry" ? [name] : [],
  );
  assert.equal(names.length, 1);
  assert.match(names[0]!, /^autogen\.west-1\.shop\.cart-[0-9a-f]{12}$/);
});
