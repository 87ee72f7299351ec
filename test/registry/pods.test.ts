import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, podUid, type WorkloadUid } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import { object, pod, service, testMesh, type TestMesh } from "./mesh.ts";

type Fields = Readonly<Record<string, unknown>>;
const CART = podUid(clusterId("east"), "shop", "cart");
const cart = (labels: Fields = {}, spec: Fields = {}, metadata: Fields = {}) =>
  pod("cart", "10.0.0.1", labels, spec, metadata);
const withStatus = (status: Fields): KubeObject => ({ ...cart(), status }) as KubeObject;
const READY = [{ type: "Ready", status: "True" }];
const owned = (kind: string, name: string, labels: Fields = {}) =>
  cart(labels, {}, { generateName: "cart-", ownerReferences: [{ kind, name, controller: true }] });
const node = (labels: Fields) => object("v1", "Node", { name: "n1", namespace: undefined, labels });

/** Rows of contract ztunnel.md 5.2, in its order. */
const rows: readonly (readonly [string, readonly KubeObject[], Partial<Workload>])[] = [
  [
    "has all its addresses, in canonical form",
    [withStatus({ podIPs: [{ ip: "10.0.0.1" }, { ip: "2001:DB8:0::1" }] })],
    { addresses: ["10.0.0.1", "2001:db8::1"] },
  ],
  ["has its only address if it lists none", [withStatus({ podIP: "10.0.0.9" })], { addresses: ["10.0.0.9"] }],
  ["is there while it is pending, if it has an address", [withStatus({ phase: "Pending", podIP: "10.0.0.9" })], {}],
  ["is healthy if it is ready", [withStatus({ podIP: "10.0.0.1", conditions: READY })], { healthy: true }],
  [
    "is not healthy if it is not ready",
    [withStatus({ podIP: "10.0.0.1", conditions: [{ type: "Ready", status: "False" }] })],
    { healthy: false },
  ],
  ["is not healthy before it says that it is", [withStatus({ podIP: "10.0.0.1" })], { healthy: false }],
  [
    "is not healthy while it is deleted, ready or not",
    [cart({}, {}, { deletionTimestamp: "2026-01-01T00:00:00Z" })],
    { healthy: false },
  ],
  ["is on the host's network if it says so", [cart({}, { hostNetwork: true })], { hostNetwork: true }],
  ["is on its own network if not", [cart()], { hostNetwork: false }],
  ["takes plain traffic until it is enrolled", [cart()], { tunnel: "none", nativeTunnel: false }],
  [
    "takes HBONE once the CNI agent enrolled it",
    [cart({}, {}, { annotations: { "ambient.istio.io/redirection": "enabled" } })],
    { tunnel: "hbone", nativeTunnel: false },
  ],
  [
    "takes plain traffic if the CNI agent says otherwise",
    [cart({}, {}, { annotations: { "ambient.istio.io/redirection": "disabled" } })],
    { tunnel: "none" },
  ],
  [
    "takes plain traffic though its label asks for the mesh: only the agent enrols",
    [cart({ "istio.io/dataplane-mode": "ambient" })],
    { tunnel: "none" },
  ],
  [
    "takes HBONE by itself if it is labelled so",
    [cart({ "networking.istio.io/tunnel": "http" })],
    { tunnel: "hbone", nativeTunnel: true },
  ],
  ["has its service account", [cart({}, { serviceAccountName: "sa" })], { serviceAccount: "sa" }],
  ["runs as default if it says none", [cart({}, { serviceAccountName: undefined })], { serviceAccount: "default" }],
  ["is on its node", [cart({}, { nodeName: "n7" })], { node: "n7" }],
  [
    "is where its node is",
    [
      cart(),
      node({
        "topology.kubernetes.io/region": "r",
        "topology.kubernetes.io/zone": "z",
        "topology.istio.io/subzone": "s",
      }),
    ],
    { locality: { region: "r", zone: "z", subzone: "s" } },
  ],
  ["is nowhere if its node says nothing", [cart(), node({})], { locality: undefined }],
  ["is nowhere if its node is not known", [cart()], { locality: undefined }],
  ["is called by itself if nobody made it", [cart()], { workloadName: "cart", canonicalName: "cart" }],
  [
    "is called by its workload-name label first",
    [owned("ReplicaSet", "web-7f9c", { "pod-template-hash": "7f9c", "service.istio.io/workload-name": "named" })],
    { workloadName: "named" },
  ],
  [
    "is called by its Deployment",
    [owned("ReplicaSet", "web-7f9c", { "pod-template-hash": "7f9c" })],
    { workloadName: "web" },
  ],
  [
    "is called by its Rollout",
    [owned("ReplicaSet", "web-7f9c", { "rollouts-pod-template-hash": "7f9c" })],
    { workloadName: "web" },
  ],
  ["is called by a bare ReplicaSet", [owned("ReplicaSet", "web-7f9c")], { workloadName: "web-7f9c" }],
  [
    "is called by its DeploymentConfig",
    [owned("ReplicationController", "web-1", { deploymentconfig: "web" })],
    { workloadName: "web" },
  ],
  ["is called by its CronJob", [owned("Job", "tick-28345678")], { workloadName: "tick" }],
  ["is called by its Job", [owned("Job", "tick-1")], { workloadName: "tick-1" }],
  ["is called by its StatefulSet", [owned("StatefulSet", "db")], { workloadName: "db" }],
  [
    "is called by itself if it was not generated",
    [cart({}, {}, { ownerReferences: [{ kind: "StatefulSet", name: "db", controller: true }] })],
    { workloadName: "cart" },
  ],
  [
    "has the first of its canonical names",
    [cart({ app: "c", "app.kubernetes.io/name": "b", "service.istio.io/canonical-name": "a" })],
    { canonicalName: "a" },
  ],
  ["has its recommended name before app", [cart({ app: "c", "app.kubernetes.io/name": "b" })], { canonicalName: "b" }],
  ["has app if that is all", [cart({ app: "c" })], { canonicalName: "c" }],
  [
    "has the first of its revisions",
    [cart({ version: "3", "app.kubernetes.io/version": "2", "service.istio.io/canonical-revision": "1" })],
    { canonicalRevision: "1" },
  ],
  ["has the revision latest if it says none", [cart()], { canonicalRevision: "latest" }],
  [
    "has its own names",
    [cart()],
    { uid: CART, name: "cart", namespace: "shop", cluster: clusterId("east"), trustDomain: "cluster.local" },
  ],
];
for (const [what, objects, expected] of rows)
  test(`a pod ${what}`, () => {
    const workload = testMesh(objects).registry.workloads.get(CART);
    assert.ok(workload);
    for (const [field, value] of Object.entries(expected))
      assert.deepEqual(workload[field as keyof Workload], value, field);
  });

const absent: readonly (readonly [string, KubeObject])[] = [
  ["without an address", withStatus({ phase: "Running", conditions: READY })],
  ["that succeeded", withStatus({ phase: "Succeeded", podIP: "10.0.0.1" })],
  ["that failed", withStatus({ phase: "Failed", podIP: "10.0.0.1" })],
  ["with an address that is none beside one that is", withStatus({ podIPs: [{ ip: "10.0.0.1" }, { ip: "oops" }] })],
];
for (const [what, gone] of absent)
  test(`a pod ${what} is no workload, and is one again once that is over`, () => {
    const mesh = testMesh([cart(), gone]);
    assert.equal(mesh.registry.workloads.size, 0);
    mesh.apply(cart());
    assert.equal(mesh.registry.workloads.size, 1);
    assert.equal(mesh.registry.problems.size, 0);
  });

test("pods that share their node's address are all there", () => {
  const mesh = testMesh([
    pod("a", "172.18.0.2", {}, { hostNetwork: true }),
    pod("b", "172.18.0.2", {}, { hostNetwork: true }),
  ]);
  assert.deepEqual(
    [...mesh.registry.workloads.entries()].map(([, { addresses }]) => addresses),
    [["172.18.0.2"], ["172.18.0.2"]],
  );
});

const http = { name: "http", containerPort: 8080 };
/** Where a Service's port 80 goes on a pod (contract ztunnel.md 5.2, services port map). */
const ports: readonly (readonly [string, Fields, Fields, number | undefined])[] = [
  ["a number is taken as it is", { targetPort: 81 }, {}, 81],
  ["a number that is text too", { targetPort: "81" }, {}, 81],
  ["nothing means the same port", {}, {}, 80],
  ["a name is a container's port", { targetPort: "http" }, { containers: [{ ports: [http] }] }, 8080],
  ["a name that no container has is left out", { targetPort: "web" }, { containers: [{ ports: [http] }] }, undefined],
  [
    "a name of a UDP port is left out",
    { targetPort: "http" },
    { containers: [{ ports: [{ ...http, protocol: "UDP" }] }] },
    undefined,
  ],
  [
    "a name may be of a sidecar",
    { targetPort: "http" },
    { initContainers: [{ restartPolicy: "Always", ports: [http] }] },
    8080,
  ],
  [
    "a name of a container that ended is left out",
    { targetPort: "http" },
    { initContainers: [{ ports: [http] }] },
    undefined,
  ],
];
for (const [what, port, spec, expected] of ports)
  test(`a Service's target port on a pod: ${what}`, () => {
    const mesh = testMesh([
      service("cart", "10.1.0.1", { ports: [{ port: 80, ...port }] }),
      cart({ app: "cart" }, spec),
    ]);
    assert.deepEqual(mesh.registry.workloads.get(CART)?.services, [
      {
        service: "shop/cart.shop.svc.cluster.local",
        ports: expected === undefined ? [] : [{ servicePort: 80, targetPort: expected }],
      },
    ]);
  });

const selected: readonly (readonly [string, KubeObject, boolean])[] = [
  ["all of whose labels it has", service("cart", "10.1.0.1", { selector: { app: "cart", version: "v1" } }), true],
  ["one of whose labels it lacks", service("cart", "10.1.0.1", { selector: { app: "cart", x: "y" } }), false],
  ["without a selector", service("cart", "10.1.0.1", { selector: {} }), false],
  ["of another namespace", service("cart", "10.1.0.1", {}, { namespace: "bank" }), false],
  ["that only renames another", service("cart", "None", { type: "ExternalName", externalName: "x.com" }), false],
  ["without an address of its own", service("cart", "None"), true],
];
for (const [what, kube, expected] of selected)
  test(`a pod is ${expected ? "an" : "no"} endpoint of a Service ${what}`, () => {
    const mesh = testMesh([kube, cart({ app: "cart", version: "v1" })]);
    assert.equal(mesh.registry.workloads.get(CART)?.services.length, expected ? 1 : 0);
  });

const slice = (endpoints: readonly Fields[], rest: Fields = {}): KubeObject =>
  object(
    "discovery.k8s.io/v1",
    "EndpointSlice",
    { name: "cart-1", labels: { "kubernetes.io/service-name": "cart" } },
    { addressType: "IPv4", ports: [{ name: "web", port: 8080 }], endpoints, ...rest },
  );
const target = (name: string, uid: string) => ({
  addresses: ["10.0.0.1"],
  targetRef: { kind: "Pod", namespace: "shop", name, uid },
});
const bare = service("cart", "10.1.0.1", { selector: {}, ports: [{ name: "web", port: 80 }] });

test("a pod that a slice names is an endpoint of a Service without a selector, if it is exactly that pod", () => {
  const services = (uid: string) =>
    testMesh([bare, cart(), slice([target("cart", uid)])]).registry.workloads.get(CART)?.services;
  assert.deepEqual(services("uid-cart"), [
    { service: "shop/cart.shop.svc.cluster.local", ports: [{ servicePort: 80, targetPort: 8080 }] },
  ]);
  assert.deepEqual(services("uid-of-the-old-one"), []);
});

test("a slice does not add pods to a Service that selects its own", () => {
  const mesh = testMesh([service("cart", "10.1.0.1"), cart({ app: "else" }), slice([target("cart", "uid-cart")])]);
  assert.deepEqual(mesh.registry.workloads.get(CART)?.services, []);
});

const sliced = ({ registry }: TestMesh, ip: string) =>
  registry.workloads.get(`east/discovery.k8s.io/EndpointSlice/shop/cart-1/${ip}` as WorkloadUid);

test("an endpoint of a slice that is no pod is a plain workload: no identity, place, tunnel or policy", () => {
  const policy = object("security.istio.io/v1", "AuthorizationPolicy", { name: "p" }, { spec: {} });
  const mesh = testMesh([
    bare,
    policy,
    slice([{ addresses: ["10.9.0.1", "10.9.0.2"], nodeName: "n1", zone: "z" }, { addresses: ["10.9.0.3"] }]),
  ]);
  const workload = sliced(mesh, "10.9.0.1");
  assert.ok(workload);
  const { name, addresses, hostNetwork, tunnel, healthy, serviceAccount, node, locality, policies, services } =
    workload;
  assert.deepEqual(
    { name, addresses, hostNetwork, tunnel, healthy, serviceAccount, node, locality, policies, services },
    {
      name: "cart-1",
      addresses: ["10.9.0.1", "10.9.0.2"],
      hostNetwork: true,
      tunnel: "none",
      healthy: true,
      serviceAccount: "",
      node: "",
      locality: undefined,
      policies: [],
      services: [{ service: "shop/cart.shop.svc.cluster.local", ports: [{ servicePort: 80, targetPort: 8080 }] }],
    },
  );
  assert.equal(mesh.registry.workloads.size, 2);
});

for (const [ready, healthy] of [
  [true, true],
  [undefined, true],
  [null, true],
  [false, false],
])
  test(`an endpoint of a slice that says ready: ${ready} is ${healthy ? "" : "not "}healthy`, () => {
    const mesh = testMesh([bare, slice([{ addresses: ["10.9.0.1"], conditions: { ready } }])]);
    assert.equal(sliced(mesh, "10.9.0.1")?.healthy, healthy);
  });

const useless: readonly (readonly [string, readonly KubeObject[]])[] = [
  ["of a Service that is not there", [slice([{ addresses: ["10.9.0.1"] }])]],
  ["of host names", [bare, slice([{ addresses: ["a.com"] }], { addressType: "FQDN" })]],
  ["of a pod that is not there", [bare, slice([target("gone", "x")])]],
];
for (const [what, objects] of useless)
  test(`a slice ${what} adds no workload, and that is no problem`, () => {
    const { registry } = testMesh(objects);
    assert.deepEqual([registry.workloads.size, registry.problems.size], [0, 0]);
  });

test("a slice's ports are joined with the Service's by name, and a UDP port is none", () => {
  const mesh = testMesh([
    service("cart", "10.1.0.1", {
      selector: {},
      ports: [
        { name: "web", port: 80 },
        { name: "dns", port: 53 },
        { name: "none", port: 9 },
      ],
    }),
    slice([{ addresses: ["10.9.0.1"] }], {
      ports: [
        { name: "web", port: 8080 },
        { name: "dns", port: 5353, protocol: "UDP" },
        { name: "else", port: 7 },
      ],
    }),
  ]);
  assert.deepEqual(sliced(mesh, "10.9.0.1")?.services[0]?.ports, [{ servicePort: 80, targetPort: 8080 }]);
});

for (const ip of ["127.0.0.1", "169.254.169.254", "::1", "0.0.0.0", "224.0.0.1", "fe80::1"])
  test(`a pod that claims ${ip} is no workload: traffic to it would go to its sender, or a cloud's metadata`, () => {
    const { registry } = testMesh([pod("cart", ip)]);
    assert.equal(registry.workloads.size, 0);
    const [problem] = [...registry.problems.entries()].map(([, value]) => value);
    assert.match(problem!.message, /status\.podIPs\[0\] is .*an endpoint needs an address that others can reach/);
  });
