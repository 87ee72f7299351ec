import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, podUid } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import {
  authorization,
  object,
  peerAuthentication,
  pod,
  service,
  serviceEntry,
  testMesh,
  type TestMesh,
} from "./mesh.ts";
import { corrupted } from "./corrupted.ts";
import { cart as globalCart, cartPod, eastWest, meshes, system } from "./two-networks.ts";
import { admits } from "./verdict.ts";

const cart = { matchLabels: { app: "cart" } };
const metadata = {
  labels: { team: "a" },
  annotations: { note: "x" },
  uid: "u",
  creationTimestamp: "2026-01-01T00:00:00Z",
};
const from = (principal: string) => [
  { from: [{ source: { principals: [principal] } }], to: [{ operation: { ports: ["80"] } }] },
];

/** Guards of pod `cart` that keep out who comes to port 80 as `principal`; undefined is plain text. */
const guards: readonly (readonly [string, KubeObject, string | undefined])[] = [
  ["a DENY", authorization("p", { selector: cart, action: "DENY", rules: from("eve") }, metadata), "eve"],
  ["an ALLOW", authorization("p", { selector: cart, action: "ALLOW", rules: from("bob") }, metadata), "eve"],
  [
    "a STRICT PeerAuthentication",
    peerAuthentication("p", { selector: cart, mtls: { mode: "STRICT" } }, metadata),
    undefined,
  ],
  [
    "a PeerAuthentication with a STRICT port",
    peerAuthentication(
      "p",
      { selector: cart, mtls: { mode: "PERMISSIVE" }, portLevelMtls: { 80: { mode: "STRICT" } } },
      metadata,
    ),
    undefined,
  ],
];

/** Garbage that API servers take for a value like any other, or for nothing: then what is written holds. */
const isMeant = (field: string): boolean =>
  [
    / = ("a b"|"\\u0000")$/.test(field) && /principals\.0/.test(field),
    /ports(\.0)? = \[?7\]?$/.test(field),
    /matchLabels\.app = ""$/.test(field),
    /portLevelMtls = \{"":\{\}\}$/.test(field),
  ].includes(true);
/** Where an object is cannot be guessed. */
const isNowhere = (field: string): boolean =>
  /^metadata = |^metadata\.(namespace|name) = (?!"a b"|"\\u0000")/.test(field) || /^metadata\.namespace = /.test(field);

const lets = (mesh: TestMesh, principal: string | undefined): boolean => {
  const to = mesh.registry.workloads.get(podUid(clusterId("east"), "shop", "cart"))!;
  return admits(mesh, { to, port: 80, ...(principal === undefined ? {} : { principal }) });
};
const target = pod("cart", "10.0.0.1", { app: "cart" });

for (const [what, guard, principal] of guards) {
  test(`no single field of ${what} that turns to garbage lets anybody in`, () => {
    assert.equal(lets(testMesh([target]), principal), true);
    assert.equal(lets(testMesh([target, guard]), principal), false);
    const open = [...corrupted(guard)]
      .filter(([field]) => !isMeant(field) && !isNowhere(field))
      .filter(([, bad]) => lets(testMesh([target, bad]), principal))
      .map(([field]) => field);
    assert.deepEqual(open, []);
  });

  test(`nor if ${what} was whole before`, () => {
    const open = [...corrupted(guard)].flatMap(([field, bad]) => {
      const mesh = testMesh([target, guard]);
      mesh.apply(bad);
      return !isMeant(field) && lets(mesh, principal) ? [field] : [];
    });
    assert.deepEqual(open, []);
  });
}

const gateway = object(
  "gateway.networking.k8s.io/v1",
  "Gateway",
  {
    name: "w",
    labels: { "topology.istio.io/network": "net2", "topology.istio.io/cluster": "west" },
    annotations: { "gateway.istio.io/service-account": "g", "gateway.istio.io/trust-domain": "west.example" },
  },
  {
    spec: {
      gatewayClassName: "istio-remote",
      addresses: [{ type: "IPAddress", value: "192.0.2.1" }],
      listeners: [
        {
          name: "mesh",
          port: 15_008,
          protocol: "HBONE",
          tls: { mode: "Terminate" },
          allowedRoutes: {
            namespaces: {
              from: "Selector",
              selector: { matchLabels: { a: "b" }, matchExpressions: [{ key: "a", operator: "In", values: ["b"] }] },
            },
          },
        },
      ],
    },
    status: { addresses: [{ type: "Hostname", value: "a.com" }] },
  },
);
const wholes: readonly KubeObject[] = [
  pod(
    "cart",
    "10.0.0.1",
    { app: "cart" },
    {
      containers: [{ ports: [{ name: "http", containerPort: 80, protocol: "TCP" }] }],
      initContainers: [{ restartPolicy: "Always", ports: [] }],
      hostNetwork: false,
    },
    {
      generateName: "c-",
      ownerReferences: [{ kind: "ReplicaSet", name: "c-1", controller: true }],
      annotations: { "ambient.istio.io/redirection": "enabled" },
    },
  ),
  service(
    "cart",
    "10.1.0.1",
    {
      clusterIPs: ["10.1.0.1"],
      ipFamilies: ["IPv4"],
      trafficDistribution: "PreferClose",
      internalTrafficPolicy: "Local",
      publishNotReadyAddresses: true,
      ports: [{ name: "http", port: 80, targetPort: "http", protocol: "TCP" }],
    },
    {
      labels: { "istio.io/use-waypoint": "w", "istio.io/global": "true" },
      annotations: { "networking.istio.io/traffic-distribution": "Any" },
    },
  ),
  object(
    "discovery.k8s.io/v1",
    "EndpointSlice",
    { name: "cart-1", labels: { "kubernetes.io/service-name": "cart" } },
    {
      addressType: "IPv4",
      ports: [{ name: "http", port: 80, protocol: "TCP" }],
      endpoints: [
        { addresses: ["10.9.0.1"], conditions: { ready: true } },
        { addresses: ["10.0.0.1"], targetRef: { kind: "Pod", namespace: "shop", name: "cart", uid: "uid-cart" } },
      ],
    },
  ),
  serviceEntry("api", {
    hosts: ["api.com"],
    addresses: ["10.2.0.0/16"],
    ports: [{ number: 80, name: "http", targetPort: 81 }],
    resolution: "STATIC",
    endpoints: [
      {
        address: "10.3.0.1",
        network: "n",
        labels: { a: "b" },
        serviceAccount: "s",
        locality: "r/z",
        weight: 1,
        ports: { http: 80 },
      },
    ],
    workloadSelector: { labels: { a: "b" } },
    subjectAltNames: ["a"],
  }),
  object(
    "networking.istio.io/v1",
    "WorkloadEntry",
    { name: "vm", annotations: { "istio.io/autoRegistrationGroup": "g" } },
    {
      spec: {
        address: "10.3.0.1",
        network: "net2",
        labels: { a: "b" },
        serviceAccount: "s",
        locality: "r/z",
        weight: 1,
        ports: { http: 80 },
      },
    },
  ),
  object("v1", "Namespace", {
    name: "shop",
    namespace: undefined,
    labels: { "istio.io/use-waypoint": "w", a: "b" },
    annotations: { "networking.istio.io/traffic-distribution": "Any" },
  }),
  object("v1", "Node", { name: "n1", namespace: undefined, labels: { "topology.kubernetes.io/zone": "z" } }),
  object("gateway.networking.k8s.io/v1", "GatewayClass", {
    name: "istio-waypoint",
    namespace: undefined,
    labels: { "istio.io/waypoint-for": "all" },
    annotations: { "ambient.istio.io/waypoint-inbound-binding": "PROXY/80" },
  }),
  gateway,
  object(
    "security.istio.io/v1",
    "RequestAuthentication",
    { name: "tokens" },
    {
      spec: {
        targetRefs: [{ kind: "Service", name: "cart" }],
        jwtRules: [{ issuer: "i", jwksUri: "https://i.example" }],
      },
    },
  ),
  ...guards.map(([, guard], at) => ({ ...guard, metadata: { ...guard.metadata, name: `p${at}` } })),
];
for (const [at, whole] of wholes.entries())
  test(`no single field of a ${whole.kind} (${at}) that turns to garbage breaks the mesh, which heals with it`, () => {
    const mesh = testMesh(wholes);
    const contents = () =>
      [mesh.registry.workloads, mesh.registry.services, mesh.registry.policies].map(
        (all) => new Map<string, unknown>(all.entries()),
      );
    const sound = contents();
    const { size } = mesh.registry.problems;
    for (const [field, bad] of corrupted(whole)) {
      mesh.apply(bad);
      mesh.remove(bad);
      mesh.apply(whole);
      if (mesh.registry.problems.size === size) continue;
      // What cannot be told apart from others stays a problem: it has neither a name nor a place of its own.
      assert.match(field, /^metadata( |\.name|\.namespace)/);
      mesh.intake.clear();
      mesh.apply(...wholes);
    }
    assert.deepEqual(contents(), sound);
  });

const theirs: readonly KubeObject[] = [
  system("net2"),
  eastWest("net2", ["192.0.2.1"]),
  globalCart("10.2.0.1"),
  cartPod("cart-1", "10.9.0.1"),
];
for (const whole of theirs)
  test(`no single field of another cluster's ${whole.kind} that turns to garbage touches what is ours`, () => {
    const both = meshes([globalCart("10.1.0.1"), cartPod("cart-e", "10.0.0.1")]);
    both.applyTo("west", ...theirs);
    const contents = () =>
      [both.registry.workloads, both.registry.services].map((all) => new Map<string, unknown>(all.entries()));
    const sound = contents();
    assert.equal(both.coalesced().length, 1);
    const pod = both.workload("east//Pod/shop/cart-e");
    for (const [field, bad] of corrupted(whole)) {
      both.applyTo("west", bad);
      assert.deepEqual(both.workload("east//Pod/shop/cart-e"), pod, field);
      const own = both.cart()?.addresses.filter(({ network }) => network === "net1");
      assert.deepEqual(
        own?.map(({ ip }) => ip),
        ["10.1.0.1"],
        field,
      );
      both.leave("west");
      both.applyTo("west", ...theirs);
    }
    assert.deepEqual(contents(), sound);
  });
