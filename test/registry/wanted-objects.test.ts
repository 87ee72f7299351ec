import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { object, service, serviceEntry } from "./mesh.ts";
import { stored, statusAfter, wantedMesh } from "./wanted-mesh.ts";

const labels = { "istio.io/use-waypoint": "wp" };
const waypoint = (metadata = {}, listeners: readonly unknown[] = []): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name: "wp", ...metadata },
    { spec: { listeners }, status: { addresses: [{ type: "IPAddress", value: "10.0.0.9" }] } },
  );
const namespace = (name: string, metadata = {}): KubeObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, ...metadata },
});
const cart = (metadata = {}): KubeObject => stored(service("cart", "10.96.0.1", {}, metadata));
const entry = (spec: Record<string, unknown>, metadata = {}, status?: unknown): KubeObject =>
  stored(serviceEntry("api", { hosts: ["api.example"], resolution: "STATIC", ...spec }, metadata), status);

test("a service says whether it has the waypoint that it asks for, and why not", () => {
  const { apply, verdicts, conditions } = wantedMesh([cart({ labels })]);
  const KEY = "Service shop/cart";
  assert.deepEqual(verdicts(KEY), ["istio.io/WaypointBound=False WaypointIsNotReady"]);
  assert.match(conditions(KEY)[0]!.message, /asks for waypoint shop\/wp, which does not exist or has no address yet/);
  apply(waypoint());
  assert.deepEqual(verdicts(KEY), ["istio.io/WaypointBound=True WaypointAccepted"]);
  apply(waypoint({ labels: { "istio.io/waypoint-for": "workload" } }));
  assert.deepEqual(verdicts(KEY), ["istio.io/WaypointBound=False UnsupportedTrafficType"]);
});

test("a waypoint that does not admit the namespace is named in the service's status", () => {
  const elsewhere = { ...labels, "istio.io/use-waypoint-namespace": "infra" };
  const { verdicts } = wantedMesh([cart({ labels: elsewhere }), waypoint({ namespace: "infra" })]);
  assert.deepEqual(verdicts("Service shop/cart"), ["istio.io/WaypointBound=False AttachmentDenied"]);
});

test("a namespace's waypoint shows at its services and workload entries, where it is for them", () => {
  const vm = stored(
    object("networking.istio.io/v1", "WorkloadEntry", { name: "vm" }, { spec: { address: "10.1.1.1" } }),
  );
  const { apply, verdicts } = wantedMesh([namespace("shop", { labels }), waypoint(), cart(), vm]);
  assert.deepEqual(verdicts("Service shop/cart"), ["istio.io/WaypointBound=True WaypointAccepted"]);
  assert.deepEqual(verdicts("WorkloadEntry shop/vm"), []);
  apply(waypoint({ labels: { "istio.io/waypoint-for": "all" } }));
  assert.deepEqual(verdicts("WorkloadEntry shop/vm"), ["istio.io/WaypointBound=True WaypointAccepted"]);
});

test("nothing is written to a service that asks for nothing and of which nothing was said", () => {
  const { wanted } = wantedMesh([cart(), waypoint()]);
  assert.equal(wanted.size, 0);
});

test("a service that no longer asks for a waypoint loses our condition, and only that", () => {
  const { apply, wanted } = wantedMesh([cart({ labels }), waypoint()]);
  const KEY = "Service shop/cart";
  const other = { type: "LoadBalancerPortsError", status: "False" };
  const { conditions } = statusAfter(wanted.get(KEY)!) as { readonly conditions: readonly object[] };
  const status = { conditions: [...conditions, other] };
  apply({ ...cart({ labels }), status });
  assert.equal(wanted.get(KEY)?.found, "same");
  apply({ ...cart(), status });
  const { found, conditions: left, othersConditions } = wanted.get(KEY)!;
  assert.deepEqual([found, left, othersConditions], ["different", [], undefined]);
  apply({ ...cart(), status: { conditions: [other] } });
  assert.equal(wanted.get(KEY), undefined);
});

test("hosts without an address get theirs into the status of their entry", () => {
  const { registry, apply, wanted } = wantedMesh([entry({ hosts: ["a.example", "b.example"] })]);
  const KEY = "ServiceEntry shop/api";
  const { fields, found } = wanted.get(KEY)!;
  const { addresses } = fields!["status"] as { readonly addresses: readonly { value: string; host: string }[] };
  assert.deepEqual(
    addresses.map(({ host }) => host),
    ["a.example", "a.example", "b.example", "b.example"],
  );
  const served = [...registry.services.entries()].flatMap(([, { hostname, addresses: at }]) =>
    at.map(({ ip }) => `${hostname} ${ip}`),
  );
  assert.deepEqual(addresses.map(({ host, value }) => `${host} ${value}`).sort(), served.sort());
  assert.match(addresses[0]!.value, /^240\.240\./);
  assert.equal(found, "different");
  apply(entry({ hosts: ["a.example", "b.example"] }, {}, { addresses: [...addresses].reverse() }));
  assert.equal(wanted.get(KEY)!.found, "same");
});

test("addresses that a status names stay, and only hosts without get new ones", () => {
  const addresses = [{ value: "240.240.7.7", host: "a.example" }];
  const { wanted } = wantedMesh([entry({ hosts: ["a.example", "b.example"] }, {}, { addresses })]);
  const status = wanted.get("ServiceEntry shop/api")!.fields!["status"] as { readonly addresses: readonly object[] };
  assert.deepEqual(status.addresses[0], addresses[0]);
  assert.equal(status.addresses.length, 3);
});

test("an entry that is given addresses loses those that we gave it", () => {
  const addresses = [{ value: "240.240.7.7", host: "api.example" }];
  const { apply, wanted } = wantedMesh([entry({}, {}, { addresses })]);
  const KEY = "ServiceEntry shop/api";
  apply(entry({ addresses: ["10.5.5.5"] }, {}, { addresses }));
  assert.deepEqual([wanted.get(KEY)?.fields, wanted.get(KEY)?.found], [undefined, "different"]);
  apply(entry({ addresses: ["10.5.5.5"] }, {}, {}));
  assert.equal(wanted.get(KEY), undefined);
});

test("without allocation no address is written, and none that is there is taken away", () => {
  const { apply, wanted } = wantedMesh([entry({})], { allocateIps: false });
  const KEY = "ServiceEntry shop/api";
  assert.equal(wanted.get(KEY), undefined);
  const addresses = [{ value: "240.240.7.7", host: "api.example" }];
  apply(entry({}, {}, { addresses }));
  assert.deepEqual([wanted.get(KEY)?.found, wanted.get(KEY)?.fields], ["same", { status: { addresses } }]);
});

test("a wildcard host says that it needs a waypoint, until it has one", () => {
  const spec = { hosts: ["*.example"], resolution: "NONE" };
  const { apply, verdicts } = wantedMesh([entry(spec)]);
  const KEY = "ServiceEntry shop/api";
  assert.deepEqual(verdicts(KEY), ["istio.io/WaypointMissing=True NoWaypointForWildcardService"]);
  apply(waypoint(), entry(spec, { labels }));
  assert.deepEqual(verdicts(KEY), ["istio.io/WaypointBound=True WaypointAccepted"]);
});

test("every namespace gets the roots, but those without workloads and those that are going", () => {
  const { graph, roots, apply, wanted } = wantedMesh(
    ["shop", "kube-system", "kube-public", "kube-node-lease", "local-path-storage"].map((name) => namespace(name)),
  );
  assert.equal(wanted.size, 0);
  roots.set("roots", "PEM-1");
  graph.flush();
  assert.deepEqual([...wanted.entries()].map(([key]) => key).sort(), [
    "ConfigMap kube-system/istio-ca-root-cert",
    "ConfigMap shop/istio-ca-root-cert",
  ]);
  const { labels, fields, found } = wanted.get("ConfigMap shop/istio-ca-root-cert")!;
  assert.deepEqual(
    [labels, fields, found],
    [{ "istio.io/config": "true" }, { data: { "root-cert.pem": "PEM-1" } }, "unseen"],
  );
  apply(namespace("late"), namespace("shop", { deletionTimestamp: "2026-11-21T00:00:00Z" }));
  assert.ok(wanted.get("ConfigMap late/istio-ca-root-cert"));
  assert.equal(wanted.get("ConfigMap shop/istio-ca-root-cert"), undefined);
  let changed = 0;
  wanted.observe((batch) => (changed += batch.length));
  roots.set("roots", "PEM-1\nPEM-2");
  graph.flush();
  assert.equal(changed, 2);
});

test("two replicas want the same, whatever the order in which they heard of it", () => {
  const objects = [
    namespace("shop", { labels }),
    waypoint(),
    cart(),
    entry({ hosts: ["b.example", "a.example"] }),
    stored(object("security.istio.io/v1", "AuthorizationPolicy", { name: "guard" }, { spec: {} }), undefined, 1),
  ];
  const all = (order: readonly KubeObject[]) => {
    const { graph, roots, wanted, apply } = wantedMesh();
    roots.set("roots", "PEM");
    graph.flush();
    for (const one of order) apply(one);
    return Object.fromEntries([...wanted.entries()].sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  assert.deepEqual(all(objects), all([...objects].reverse()));
  assert.equal(Object.keys(all(objects)).length, 4);
});
