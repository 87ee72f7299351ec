import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { networkId } from "../../src/names.ts";
import { PeeredRegistries, type Shares, type SiteWords } from "../kits/peered-registries.ts";
import { object, pod } from "./mesh.ts";
import { CART, LOCAL_CART } from "./peers.ts";
import { cart, system, unready } from "./two-networks.ts";

const SHARED = { "solo.io/service-scope": "global" };
const TAKEOVER = { ...SHARED, "solo.io/service-takeover": "true" };
const shared = (spec: object = {}, labels: object = SHARED, metadata: object = {}): KubeObject =>
  cart("10.1.0.1", spec, { labels, ...metadata });
const pods = (count: number, first = 1): readonly KubeObject[] =>
  Array.from({ length: count }, (_each, at) =>
    pod(`cart-${first + at}`, `10.0.0.${first + at}`, { app: "cart" }, { serviceAccountName: "cart" }),
  );

const SITES: Readonly<Record<string, SiteWords>> = {
  a: { network: "net-a", doors: ["192.0.2.1"] },
  b: { network: "net-b", doors: ["192.0.2.2"] },
  c: { network: "net-c", doors: ["192.0.2.3"] },
};
const only = (...names: readonly string[]): Readonly<Record<string, SiteWords>> =>
  Object.fromEntries(names.map((name) => [name, SITES[name]!]));

/** Two or three sites that hear each other, with `cart` of some pods in each. */
function sites(counts: Readonly<Record<string, number>>, labels: object = SHARED, spec: object = {}): PeeredRegistries {
  const all = new PeeredRegistries(only(...Object.keys(counts)));
  for (const [name, count] of Object.entries(counts)) all.site(name).apply(shared(spec, labels), ...pods(count));
  all.linkAll();
  return all;
}

/** By cluster. */
const split = (shares: Shares): Readonly<Record<string, number>> => {
  const found: Record<string, number> = {};
  for (const [end, share] of Object.entries(shares)) {
    const cluster = end.split("/")[0]!;
    found[cluster] = Math.round(1_000 * ((found[cluster] ?? 0) + share)) / 1_000;
  }
  return found;
};

test("a name that only one cluster has is called from all others, without any object of theirs (T01)", () => {
  const all = new PeeredRegistries(only("a", "b"));
  all.site("b").apply(shared(), ...pods(2));
  all.link("a", "b");
  assert.deepEqual(split(all.calls("a", CART, 80)), { b: 1 });
});

test("calls stay in their own cluster while it has endpoints, leave when it has none, and come back (T02)", () => {
  const all = sites({ a: 2, b: 2 });
  const end = () => split(all.calls("a", CART, 80));
  assert.deepEqual(end(), { a: 1 });
  all.site("a").remove(...pods(2));
  all.settle();
  assert.deepEqual(end(), { b: 1 });
  all.site("a").apply(...pods(2).map(unready));
  all.settle();
  assert.deepEqual(end(), { b: 1 });
  all.site("a").apply(...pods(1));
  all.settle();
  assert.deepEqual(end(), { a: 1 });
});

test("with Any each cluster has the share of its ready endpoints, and one that has none has no share (T03)", () => {
  const annotations = { "networking.istio.io/traffic-distribution": "Any" };
  const all = sites({ a: 1, b: 3, c: 4 });
  for (const name of ["a", "b", "c"]) all.site(name).apply(shared({}, SHARED, { annotations }));
  all.settle();
  assert.deepEqual(split(all.calls("a", CART, 80)), { a: 0.125, b: 0.375, c: 0.5 });
  all.site("c").apply(...pods(4).map(unready));
  all.settle();
  assert.deepEqual(split(all.calls("a", CART, 80)), { a: 0.25, b: 0.75 });
});

test("with PreferRegion a near cluster goes before a far part of one's own network", () => {
  const all = new PeeredRegistries(only("a", "b", "c"));
  const spec = { annotations: { "networking.istio.io/traffic-distribution": "PreferRegion" } };
  for (const name of ["a", "b", "c"]) all.site(name).apply(shared({}, SHARED, spec), ...pods(1));
  all.link("a", "b", { labels: { "topology.kubernetes.io/region": "eu" } });
  all.link("a", "c", { labels: { "topology.kubernetes.io/region": "us" } });
  const from = (region: string) => split(all.calls("a", CART, 80, { locality: { region, zone: "", subzone: "" } }));
  assert.deepEqual([from("eu"), from("us")], [{ b: 1 }, { c: 1 }]);
});

test("a link is one way: who is heard hears nothing (T08)", () => {
  const all = new PeeredRegistries(only("a", "b"));
  all.site("b").apply(shared(), ...pods(1));
  all.site("a").apply(cart("10.1.0.1", {}, { labels: SHARED, name: "pay" }));
  all.link("a", "b");
  assert.deepEqual(split(all.calls("a", CART, 80)), { b: 1 });
  const names = [...all.site("b").registry.services.entries()].map(([key]) => key);
  assert.deepEqual(names.sort(), [CART, LOCAL_CART]);
  all.unlink("a", "b");
  assert.equal(all.service("a", CART), undefined);
});

const segment = (name: string, domain: string, aliases: readonly object[]): KubeObject =>
  object("admin.solo.io/v1alpha1", "Segment", { name, namespace: "istio-system" }, { spec: { domain, aliases } });
const joins = (network: string, name?: string): KubeObject => {
  const { metadata } = system(network);
  const label = name === undefined ? {} : { "admin.solo.io/segment": name };
  return { ...system(network), metadata: { ...metadata, labels: { ...metadata.labels, ...label } } } as KubeObject;
};

test("clusters pool what they share within their segment, under its domain and all its aliases (T09)", () => {
  const aliases = [
    { pattern: "{service}.{namespace}.shop.example" },
    { pattern: "{labels['team']}.shop.example" },
    { pattern: "{annotations['dns']}.shop.example" },
    { pattern: "{service}-gold.shop.example", selector: { matchLabels: { tier: "gold" } } },
  ];
  const all = sites({ a: 1, b: 1, c: 1 });
  const segments = [segment("acme", "acme.internal", aliases), segment("globex", "globex.internal", [])];
  for (const name of ["a", "b", "c"]) {
    const words = { annotations: { dns: "basket" } };
    all.site(name).apply(...segments, shared({}, { ...SHARED, team: "cards", tier: "gold" }, words));
  }
  all.settle();
  const reached = (host: string) =>
    all
      .site("a")
      .registry.workloadsByService.get(`shop/${host}`)
      .map(({ cluster }) => cluster);
  const POOLED = ["a", "b", "c"];
  assert.deepEqual([...reached("cart.shop.mesh.internal")].sort(), POOLED);
  all.site("a").apply(joins("net-a", "acme"));
  all.site("b").apply(joins("net-b", "acme"));
  all.site("c").apply(joins("net-c", "globex"));
  all.settle();
  assert.deepEqual([...reached("cart.shop.mesh.internal")], []);
  const hosts = [
    "cart.shop.acme.internal",
    "cart.shop.shop.example",
    "cards.shop.example",
    "basket.shop.example",
    "cart-gold.shop.example",
  ];
  for (const host of hosts) {
    assert.deepEqual([...reached(host)].sort(), ["a", "b"], host);
    all.site("a").remove(...pods(1));
    all.settle();
    assert.deepEqual(split(all.calls("a", `shop/${host}`, 80)), { b: 1 }, host);
    all.site("a").apply(...pods(1));
    all.settle();
  }
  assert.deepEqual([...reached("cart.shop.globex.internal")], ["c"], "what others share is theirs, by their name");
  assert.equal(all.service("c", "shop/cart.shop.shop.example")?.hostname, "cart.shop.shop.example");
  for (const name of ["a", "b", "c"]) all.site(name).apply(joins(`net-${name}`));
  all.settle();
  assert.deepEqual([...reached("cart.shop.mesh.internal")].sort(), POOLED, "and without segments all is as before");
});

test("a cluster-local name moves to another cluster under its callers, down to its Service (T10)", () => {
  const all = sites({ a: 2, b: 2 }, TAKEOVER);
  const end = () => split(all.calls("a", LOCAL_CART, 80));
  assert.deepEqual(end(), { a: 1 });
  all.site("a").remove(...pods(2));
  all.settle();
  assert.deepEqual(end(), { b: 1 });
  all.site("a").remove(shared());
  all.settle();
  assert.deepEqual(end(), { b: 1 });
  assert.deepEqual(all.service("a", LOCAL_CART)?.addresses.length, 2);
  all.site("a").apply(shared({}, TAKEOVER), ...pods(1));
  all.settle();
  assert.deepEqual(end(), { a: 1 });
});

test("a waypoint of a name that was taken over has endpoints elsewhere to send to when none is left here (T10)", () => {
  const waypoint = object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name: "w" },
    {
      spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }] },
      status: { addresses: [{ type: "IPAddress", value: "10.1.0.9" }] },
    },
  );
  const all = sites({ a: 1, b: 1 }, { ...TAKEOVER, "istio.io/use-waypoint": "w" });
  all.site("a").apply(waypoint);
  all.site("a").remove(...pods(1));
  all.settle();
  assert.ok(all.service("a", LOCAL_CART)?.waypoint);
  assert.deepEqual(split(all.calls("a", LOCAL_CART, 80)), { b: 1 });
});

test("each cluster has its own ports and target ports, named ones too, and is called for no others (T11)", () => {
  const all = new PeeredRegistries(only("a", "b"));
  const containers = [{ ports: [{ name: "web", containerPort: 9_090 }] }];
  const named = pod("cart-1", "10.0.0.1", { app: "cart" }, { serviceAccountName: "cart", containers });
  const web = { port: 80, name: "http", targetPort: "web" };
  all.site("a").apply(shared({ ports: [{ port: 80, name: "http", targetPort: 8_080 }] }), ...pods(1));
  all.site("b").apply(shared({ ports: [web, { port: 90, name: "grpc" }] }), named);
  all.linkAll();
  assert.deepEqual(all.calls("a", CART, 80), { "a/shop/cart-1:8080": 1 });
  assert.deepEqual(all.calls("a", CART, 90), { "b/shop/cart-1:90": 1 }, "a port that only the other has");
  all.site("a").remove(...pods(1));
  all.settle();
  assert.deepEqual(all.calls("a", CART, 80), { "b/shop/cart-1:9090": 1 });
  assert.deepEqual(all.calls("b", CART, 90), { "b/shop/cart-1:90": 1 });
});

test("on a flat network pods are called one by one, and those that went while nobody heard are gone after (T13)", () => {
  const flat: Readonly<Record<string, SiteWords>> = {
    a: { network: "net", doors: ["192.0.2.1"] },
    b: { network: "net", doors: ["192.0.2.2"] },
    c: { network: "net", doors: ["192.0.2.3"] },
  };
  const all = new PeeredRegistries(flat);
  for (const [at, name] of ["a", "b", "c"].entries()) all.site(name).apply(shared(), ...pods(1, 1 + 10 * at));
  all.linkAll();
  const ends = () => Object.keys(all.calls("a", CART, 80)).sort();
  assert.deepEqual(ends(), ["a/shop/cart-1:80", "b/shop/cart-11:80", "c/shop/cart-21:80"]);
  const workloads = [...all.site("a").registry.workloads.entries()].map(([, workload]) => workload);
  assert.ok(workloads.every(({ networkGateway }) => networkGateway === undefined));
  all.cut("a", "b");
  all.site("b").remove(...pods(1, 11));
  all.site("b").apply(...pods(1, 12));
  all.settle();
  assert.deepEqual(
    ends(),
    ["a/shop/cart-1:80", "b/shop/cart-11:80", "c/shop/cart-21:80"],
    "nothing is removed on a guess",
  );
  all.heal("a", "b");
  assert.deepEqual(ends(), ["a/shop/cart-1:80", "b/shop/cart-12:80", "c/shop/cart-21:80"]);
});

test("clusters of different trust domains expect each other's identities, and no others", () => {
  const b: SiteWords = { ...SITES["b"]!, trustDomain: "b.example" };
  const all = new PeeredRegistries({ ...only("a"), b });
  all.site("b").apply(shared(), ...pods(1));
  all.link("a", "b");
  assert.deepEqual(split(all.calls("a", CART, 80)), { b: 1 });
  assert.deepEqual(all.service("a", CART)?.subjectAltNames, ["spiffe://b.example/ns/shop/sa/cart"]);
});

test("what one peer said no other peer hears", () => {
  const all = new PeeredRegistries(only("a", "b", "c"));
  all.site("c").apply(shared(), ...pods(1));
  all.link("b", "c");
  all.link("a", "b");
  assert.deepEqual([split(all.calls("b", CART, 80)), all.service("a", CART)], [{ c: 1 }, undefined]);
});

test("a peer whose gateway is closed as well as its control plane is left by its callers, and found again", () => {
  const all = sites({ a: 0, b: 1, c: 1 });
  const end = () => split(all.calls("a", CART, 80));
  assert.deepEqual(end(), { b: 0.5, c: 0.5 });
  all.cut("a", "b");
  assert.deepEqual(end(), { b: 0.5, c: 0.5 }, "a control plane that is away is no reason");
  all.cut("a", "b", { dataPlane: "closed" });
  assert.deepEqual(end(), { c: 1 });
  all.heal("a", "b");
  assert.deepEqual(end(), { b: 0.5, c: 0.5 });
});

test("a global name has addresses on the network of its callers only", () => {
  const all = sites({ a: 0, b: 1 });
  assert.ok(all.service("a", CART)!.addresses.every(({ network }) => network === networkId("net-a")));
});
