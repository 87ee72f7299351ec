import assert from "node:assert/strict";
import { test } from "mocha";
import { parse } from "yaml";
import { SERVICE_ENTRIES } from "../../src/kube/resource-types.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { applyRequest, type WantedObject } from "../../src/kube/wanted-object.ts";
import { object, service, serviceEntry } from "./mesh.ts";
import { facts, peerGateway, status } from "./peers.ts";
import { namedNetwork, peeringView } from "./peering-view.ts";
import { stored } from "./wanted-mesh.ts";

const ENTRY = "ServiceEntry istio-system/autogen.shop.cart";
const GLOBAL = { labels: { "solo.io/service-scope": "global" } };
const namespace = (name: string): KubeObject => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
const WEST = [namedNetwork("net1"), namespace("shop"), peerGateway("west")];

/** As an API server stores and shows what is written. */
function kept(wanted: WantedObject, status?: unknown, more: object = {}): KubeObject {
  const { metadata, ...rest } = applyRequest(wanted, "v1", "2026-01-01T00:00:00Z").body as unknown as KubeObject;
  const { name } = metadata;
  return {
    ...rest,
    metadata: { ...metadata, uid: `uid-of-${name}`, resourceVersion: "7", generation: 1, ...more },
    ...(status !== undefined && { status }),
  };
}

function view(...args: Parameters<typeof peeringView>) {
  const made = peeringView(...args);
  made.learn(facts("west"));
  made.report(status("west"));
  return made;
}

const specOf = (wanted: WantedObject | undefined): unknown => wanted?.fields?.["spec"];

test("what a peer shares is the ServiceEntry that guide 001 shows", () => {
  const { hear, wanted } = view([namedNetwork("net1"), peerGateway("west")]);
  hear("west", {
    namespace: "trustusbank-bank-mcp",
    name: "account-mcp",
    ports: [{ number: 8080, name: "http", protocol: "HTTP", targetPort: 8080 }],
    identities: ["spiffe://cluster.local/ns/trustusbank-bank-mcp/sa/account-mcp"],
  });
  const found = wanted.get("ServiceEntry istio-system/autogen.trustusbank-bank-mcp.account-mcp")!;
  const { apiVersion, kind, metadata, spec } = applyRequest(found, "v1", "").body as unknown as KubeObject;
  const { name, namespace } = metadata;
  assert.deepEqual({ apiVersion, kind, metadata: { name, namespace }, spec }, parse(GUIDE));
  assert.deepEqual(metadata.labels, {
    "admin.solo.io/segment": "default",
    "app.kubernetes.io/managed-by": "causeway",
    "solo.io/parent-service": "account-mcp",
    "solo.io/parent-service-namespace": "trustusbank-bank-mcp",
  });
});

const GUIDE = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: autogen.trustusbank-bank-mcp.account-mcp
  namespace: istio-system
spec:
  hosts:
    - account-mcp.trustusbank-bank-mcp.mesh.internal
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
    - name: port-8080
      number: 8080
      protocol: HTTP
      targetPort: 8080
  subjectAltNames:
    - spiffe://cluster.local/ns/trustusbank-bank-mcp/sa/account-mcp
  workloadSelector:
    labels:
      admin.solo.io/segment: default
      solo.io/parent-service: account-mcp
      solo.io/parent-service-namespace: trustusbank-bank-mcp
`;

test("a service of our own that is shared has an entry without our own identities, and with those of others", () => {
  const cart = service("cart", "10.96.0.1", { ports: [{ name: "x", port: 80, targetPort: 8080 }] }, GLOBAL);
  const { hear, wanted } = view([...WEST, cart]);
  assert.deepEqual((specOf(wanted.get(ENTRY)) as Record<string, unknown>)["subjectAltNames"], undefined);
  assert.equal(wanted.get(ENTRY)!.annotations!["peering.causeway.dev/clusters"], "east");
  hear("west", { ports: [{ number: 81, name: "grpc", protocol: "GRPC", targetPort: 0 }] });
  const { subjectAltNames, ports } = specOf(wanted.get(ENTRY)) as Record<string, unknown>;
  assert.deepEqual(subjectAltNames, ["spiffe://cluster.local/ns/shop/sa/cart"]);
  assert.deepEqual(ports, [
    { name: "port-80", number: 80, protocol: "TCP", targetPort: 80 },
    { name: "port-81", number: 81, protocol: "GRPC", targetPort: 81 },
  ]);
  assert.equal(wanted.get(ENTRY)!.annotations!["peering.causeway.dev/clusters"], "east,west");
});

test("a service of a segment is named by it, and lists its aliases", () => {
  const segment = object(
    "admin.solo.io/v1alpha1",
    "Segment",
    { name: "gold", namespace: "istio-system" },
    { spec: { domain: "gold.example", aliases: [{ pattern: "{service}.apps.example" }] } },
  );
  const home = namedNetwork("net1", { "admin.solo.io/segment": "gold" });
  const { wanted } = view([segment, home, namespace("shop"), service("cart", "10.96.0.1", {}, GLOBAL)]);
  const entry = wanted.get("ServiceEntry istio-system/autogen.gold.shop.cart")!;
  const { hosts, workloadSelector } = specOf(entry) as Record<string, unknown>;
  assert.deepEqual(hosts, ["cart.shop.gold.example"]);
  assert.equal(entry.annotations!["solo.io/service-aliases"], "cart.apps.example");
  assert.equal((workloadSelector as { labels: Record<string, string> }).labels["admin.solo.io/segment"], "gold");
  assert.equal(wanted.get(ENTRY), undefined);
});

test("its addresses are in its status once it is there, and then there is rest", () => {
  const { hear, wanted, apply, registry } = view(WEST);
  hear("west");
  assert.equal(wanted.get(`${ENTRY} status`), undefined);
  apply(kept(wanted.get(ENTRY)!));
  const said = wanted.get(`${ENTRY} status`)!;
  const { addresses } = said.fields!["status"] as { readonly addresses: readonly { value: string; host: string }[] };
  const served = [...registry.services.entries()].find(([key]) => key === "shop/cart.shop.mesh.internal")![1];
  assert.deepEqual(
    addresses.map(({ value }) => value),
    served.addresses.map(({ ip }) => ip),
  );
  assert.ok(addresses.length === 2 && addresses.every(({ host }) => host === "cart.shop.mesh.internal"));
  apply(kept(wanted.get(ENTRY)!, { addresses: [...addresses].reverse() }));
  assert.deepEqual([wanted.get(ENTRY)!.found, wanted.get(`${ENTRY} status`)!.found], ["same", "same"]);
  // One that comes or goes at the peer is no reason to write.
  const before = wanted.get(ENTRY);
  hear("west", { ready: 1 });
  assert.equal(wanted.get(ENTRY), before);
});

test("a hand edit is written over, and what could not be taken back in parts is made anew", () => {
  const { hear, wanted, apply, remove } = view(WEST);
  hear("west");
  const own = kept(wanted.get(ENTRY)!);
  const spec = own["spec"] as object;
  apply({ ...own, spec: { ...spec, hosts: ["evil.example"] } });
  assert.deepEqual([wanted.get(ENTRY)!.found, wanted.get(ENTRY)!.gone], ["different", undefined]);
  const managedFields = [
    { manager: "kubectl-edit", operation: "Update", fieldsV1: { "f:spec": { "f:exportTo": {} } } },
  ];
  const edited = { ...own, metadata: { ...own.metadata, managedFields }, spec: { ...spec, exportTo: ["."] } };
  apply(edited);
  const { gone, resourceVersion } = wanted.get(ENTRY)!;
  assert.deepEqual([gone, resourceVersion], [true, "7"]);
  remove(edited);
  assert.deepEqual([wanted.get(ENTRY)!.found, wanted.get(ENTRY)!.gone], ["different", undefined]);
});

test("an entry goes with its service, and with the Gateway of its peer", () => {
  const { hear, forget, wanted, apply, remove, registry, graph } = view(WEST);
  hear("west");
  const own = kept(wanted.get(ENTRY)!);
  apply(own);
  forget("west");
  assert.deepEqual([wanted.get(ENTRY)!.gone, wanted.get(ENTRY)!.type], [true, SERVICE_ENTRIES]);
  hear("west");
  assert.equal(wanted.get(ENTRY)!.found, "same");
  remove(peerGateway("west"));
  registry.peers.federated.replace("west/", []);
  graph.flush();
  assert.equal(wanted.get(ENTRY)!.gone, true);
  remove(own);
  assert.equal(wanted.size, 0);
});

test("nothing goes before the peers that it is there for have said their first state", () => {
  const left = (name: string, clusters?: string): KubeObject => {
    const { wanted, hear } = view(WEST);
    hear("west", { name });
    const entry = kept(wanted.get(`ServiceEntry istio-system/autogen.shop.${name}`)!);
    const { "peering.causeway.dev/clusters": _, ...annotations } = entry.metadata.annotations!;
    const again = clusters === undefined ? {} : { "peering.causeway.dev/clusters": clusters };
    return { ...entry, metadata: { ...entry.metadata, annotations: { ...annotations, ...again } } };
  };
  const found = [left("a", "west"), left("b", "north"), left("c", "east"), left("d"), left("e", "gone,west")];
  const { wanted, report } = peeringView([...WEST, peerGateway("north", { addresses: ["192.0.2.9"] }), ...found]);
  const gone = (): readonly string[] =>
    ["a", "b", "c", "d", "e"].filter((name) => wanted.get(`ServiceEntry istio-system/autogen.shop.${name}`)?.gone);
  assert.deepEqual(gone(), ["c"]);
  report(status("west", { state: "syncing", everSynced: false }));
  assert.deepEqual(gone(), ["c"]);
  report(status("west"));
  assert.deepEqual(gone(), ["a", "c", "e"]);
  report(status("north"));
  assert.deepEqual(gone(), ["a", "b", "c", "d", "e"]);
});

test("after a restart an entry keeps what it says of a peer until that has said its state", () => {
  const cart = service("cart", "10.96.0.1", {}, GLOBAL);
  const before = view([...WEST, cart]);
  before.hear("west");
  const held = kept(before.wanted.get(ENTRY)!);
  const { wanted, hear, report, forget, learn } = peeringView([...WEST, cart, held]);
  learn(facts("west"));
  assert.equal(wanted.get(ENTRY)!.found, "same");
  assert.equal(specOf(wanted.get(ENTRY)), undefined);
  report(status("west"));
  assert.equal(wanted.get(ENTRY)!.found, "different", "its service is not there any more");
  hear("west");
  assert.equal(wanted.get(ENTRY)!.annotations!["peering.causeway.dev/clusters"], "east,west");
  forget("west");
  assert.equal(wanted.get(ENTRY)!.annotations!["peering.causeway.dev/clusters"], "east");
});

test("what another control plane left is taken over or collected, and what is somebody's own is neither", () => {
  const left = (name: string, spec: object): KubeObject =>
    object(
      "networking.istio.io/v1",
      "ServiceEntry",
      { name, namespace: "istio-system", uid: name, resourceVersion: "3" },
      { spec: { hosts: [`${name}.mesh.internal`], ...spec } },
    );
  const made = (parent: string): object => ({ workloadSelector: { labels: { "solo.io/parent-service": parent } } });
  const { hear, wanted } = view([
    ...WEST,
    left("autogen.shop.cart", made("cart")),
    left("autogen.shop.old", made("old")),
    left("autogen.mine", {}),
    left("mine", made("mine")),
  ]);
  hear("west");
  assert.deepEqual([wanted.get(ENTRY)!.found, wanted.get(ENTRY)!.gone], ["different", undefined]);
  assert.equal(wanted.get("ServiceEntry istio-system/autogen.shop.old")!.gone, true);
  assert.equal(wanted.get("ServiceEntry istio-system/autogen.mine"), undefined);
  assert.equal(wanted.get("ServiceEntry istio-system/mine"), undefined);
});

test("an entry that we made is nobody's wish: the services and endpoints stay those that peers told us of", () => {
  const { hear, wanted, apply, registry } = view([...WEST, service("cart", "10.96.0.1", {}, {})]);
  hear("west");
  const all = () => [[...registry.services.entries()], [...registry.workloads.entries()], registry.problems.size];
  const before = all();
  apply(kept(wanted.get(ENTRY)!, { addresses: [{ value: "240.240.9.9", host: "cart.shop.mesh.internal" }] }));
  const parent = { "solo.io/parent-service": "cart", "solo.io/parent-service-namespace": "shop", app: "cart" };
  apply(
    object(
      "networking.istio.io/v1",
      "WorkloadEntry",
      { name: "autogen.west.shop.cart", namespace: "istio-system", labels: parent, uid: "u" },
      { spec: { network: "net-west", labels: parent } },
    ),
  );
  assert.deepEqual(all(), before);
});

test("a global name that an older entry of a user has is not shown as ours, and a younger one changes nothing", () => {
  const claim = (creationTimestamp: string): KubeObject =>
    serviceEntry("mine", { hosts: ["cart.shop.mesh.internal"], resolution: "STATIC" }, { creationTimestamp });
  const { hear, wanted, apply } = view(WEST);
  hear("west", { createdMs: Date.parse("2026-01-02T00:00:00Z") });
  apply(claim("2026-01-03T00:00:00Z"));
  const held = kept(wanted.get(ENTRY)!);
  apply(held);
  assert.equal(wanted.get(ENTRY)!.found, "same");
  apply(claim("2026-01-01T00:00:00Z"));
  assert.equal(wanted.get(ENTRY)!.gone, true);
});

test("elsewhere, or under another name, an entry is what its author says", () => {
  const { registry } = view([
    ...WEST,
    serviceEntry("autogen.api", { hosts: ["api.example"], resolution: "STATIC" }),
    serviceEntry("autogenous", { hosts: ["b.example"], resolution: "STATIC" }, { namespace: "istio-system" }),
  ]);
  const hosts = Array.from(registry.services.entries(), ([, { hostname }]) => hostname).sort();
  assert.deepEqual(hosts, ["api.example", "b.example"]);
});

test("with objects turned off conditions are written, and nothing is made or collected", () => {
  const { hear, forget, wanted, apply } = view([...WEST, stored(peerGateway("west"))], {}, { objects: "off" });
  const other = view(WEST);
  other.hear("west");
  const keys = (): readonly string[] => [...wanted.entries()].map(([key]) => key);
  hear("west");
  assert.deepEqual(keys(), ["Gateway istio-eastwest/istio-remote-peer-west"]);
  apply(kept(other.wanted.get(ENTRY)!));
  forget("west");
  assert.deepEqual(keys(), ["Gateway istio-eastwest/istio-remote-peer-west"]);
});
