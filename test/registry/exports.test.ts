import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { clusterId, networkId, objectKey } from "../../src/names.ts";
import { encodeFederatedService } from "../../src/xds/types/federated-service.ts";
import { VERSION } from "../../src/version.ts";
import { object, pod, service, serviceEntry, testMesh, type TestMesh } from "./mesh.ts";
import { meshes } from "./two-networks.ts";

const EAST = clusterId("east");
const SHARED = { "solo.io/service-scope": "global" };
const node = (name: string, region: string, zone = ""): KubeObject =>
  object("v1", "Node", {
    namespace: undefined,
    name,
    labels: { "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone },
  });
const cart = (spec: object = {}, metadata: object = {}): KubeObject =>
  service("cart", "10.1.0.1", { selector: { app: "cart" }, ...spec }, { labels: SHARED, ...metadata });
const cartPod = (name: string, ip: string, spec: object = {}): KubeObject =>
  pod(name, ip, { app: "cart" }, { serviceAccountName: "cart", ...spec });
const unready = (pod: KubeObject): KubeObject =>
  ({ ...pod, status: { ...(pod["status"] as object), conditions: [] } }) as KubeObject;
const exported = ({ registry }: Pick<TestMesh, "registry">, name = "cart") =>
  registry.exports.services.get(objectKey(EAST, "shop", name));

test("a shared service is exported with how many endpoints there are, where, and who they are", () => {
  const mesh = testMesh([
    node("n1", "eu", "eu-1"),
    node("n2", "us"),
    cart({}, { creationTimestamp: "2026-01-02T03:04:05Z" }),
    cartPod("a", "10.0.0.1"),
    cartPod("b", "10.0.0.2"),
    cartPod("c", "10.0.0.3", { nodeName: "n2", serviceAccountName: "other" }),
    cartPod("d", "10.0.0.4", { nodeName: "lost" }),
    unready(cartPod("e", "10.0.0.5", { nodeName: "n2", serviceAccountName: "slow" })),
    service("private", "10.1.0.2"),
  ]);
  assert.equal(mesh.registry.exports.services.size, 1);
  assert.deepEqual(exported(mesh), {
    cluster: "east",
    namespace: "shop",
    name: "cart",
    scope: "global",
    segment: "",
    ports: [{ number: 80, name: "", protocol: "", targetPort: 80 }],
    ready: 4,
    total: 5,
    identities: ["cart", "other", "slow"].map((account) => `spiffe://cluster.local/ns/shop/sa/${account}`),
    localities: [
      { region: "eu", zone: "eu-1", ready: 2 },
      { region: "us", zone: "", ready: 1 },
    ],
    waypoint: undefined,
    waypointPolicy: "once",
    takeover: false,
    distribution: undefined,
    labels: [],
    annotations: [],
    createdMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  });
});

test("a service without endpoints is exported, with none; one that is no longer shared is not", () => {
  const mesh = testMesh([cart()]);
  assert.deepEqual([exported(mesh)?.ready, exported(mesh)?.total, exported(mesh)?.identities], [0, 0, []]);
  mesh.apply(cartPod("a", "10.0.0.1"));
  assert.equal(exported(mesh)?.ready, 1);
  mesh.apply(cart({}, { labels: {} }));
  assert.equal(exported(mesh), undefined);
  mesh.apply(cartPod("b", "10.0.0.2"), cart());
  assert.equal(exported(mesh)?.ready, 2);
});

test("named target ports are told as numbers, or as 0 where endpoints differ", () => {
  const named = (name: string, ip: string, port: number) =>
    cartPod(name, ip, { containers: [{ ports: [{ name: "web", containerPort: port }] }] });
  const mesh = testMesh([
    cart({
      ports: [
        { name: "http-web", port: 80, targetPort: "web" },
        { name: "rpc", port: 81, targetPort: 9000, appProtocol: "grpc" },
      ],
    }),
    named("a", "10.0.0.1", 8080),
  ]);
  const ports = () => exported(mesh)?.ports.map(({ number, protocol, targetPort }) => [number, protocol, targetPort]);
  assert.deepEqual(ports(), [
    [80, "HTTP", 8080],
    [81, "GRPC", 9000],
  ]);
  mesh.apply(named("b", "10.0.0.2", 8081));
  assert.deepEqual(ports()?.[0], [80, "HTTP", 0]);
  mesh.remove(named("a", "", 1));
  assert.deepEqual(ports()?.[0], [80, "HTTP", 8081]);
});

test("protocols follow appProtocol, else the name of the port", () => {
  const kinds: readonly (readonly [name: string, more: object, hint: string])[] = [
    ["http", {}, "HTTP"],
    ["grpc-web-api", {}, "GRPC-Web"],
    ["grpc-web", {}, "GRPC-Web"],
    ["grpc-x", {}, "GRPC"],
    ["https-a", { appProtocol: "kubernetes.io/h2c" }, "HTTP2"],
    ["http-b", { appProtocol: "example.com/odd" }, ""],
    ["metrics", {}, ""],
    ["http-dns", { protocol: "UDP" }, "UDP"],
  ];
  const ports = kinds.map(([name, more], at) => ({ name, port: 100 + at, ...more }));
  const found = exported(testMesh([cart({ ports })]))?.ports.map(({ name, protocol }) => [name, protocol]);
  assert.deepEqual(
    found,
    kinds.map(([name, , hint]) => [name, hint]),
  );
});

test("takeover, distribution, waypoint and who enforces travel with the service", () => {
  const mesh = testMesh([
    object("v1", "Namespace", {
      namespace: undefined,
      name: "shop",
      annotations: { "networking.istio.io/traffic-distribution": "PreferRegion" },
    }),
    object(
      "gateway.networking.k8s.io/v1",
      "Gateway",
      { name: "wp" },
      {
        spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15008, protocol: "HBONE" }] },
        status: { addresses: [{ type: "IPAddress", value: "10.2.0.1" }] },
      },
    ),
    cart(
      {},
      {
        labels: { ...SHARED, "solo.io/service-takeover": "true", "istio.io/use-waypoint": "wp" },
        annotations: { "peering.causeway.dev/waypoint-policy": "destination" },
      },
    ),
  ]);
  const { takeover, distribution, waypoint, waypointPolicy } = exported(mesh)!;
  assert.deepEqual(
    { takeover, distribution, waypoint, waypointPolicy },
    {
      takeover: true,
      distribution: "PreferRegion",
      waypoint: { namespace: "shop", name: "wp", identity: "spiffe://cluster.local/ns/shop/sa/wp" },
      waypointPolicy: "destination",
    },
  );
  assert.equal(mesh.registry.problems.size, 0);
});

test("values that nobody knows are reported, and do not pass for a choice", () => {
  const { registry } = testMesh([
    cart(
      {},
      {
        labels: SHARED,
        annotations: {
          "networking.istio.io/traffic-distribution": "PreferMoon",
          "peering.causeway.dev/waypoint-policy": "twice",
        },
      },
    ),
    object("v1", "Namespace", {
      namespace: undefined,
      name: "shop",
      annotations: { "networking.istio.io/traffic-distribution": "near" },
    }),
    serviceEntry(
      "out",
      { hosts: ["out.example"] },
      { annotations: { "networking.istio.io/traffic-distribution": "far" } },
    ),
  ]);
  const problems = [...registry.problems.entries()].map(([, { message }]) => message).join("\n");
  assert.match(
    problems,
    /of Service shop\/cart is "PreferMoon", which nobody knows, and asks for nothing; use PreferNetwork,/,
  );
  assert.match(problems, /of Namespace shop is "near"/);
  assert.match(problems, /of ServiceEntry shop\/out is "far"/);
  assert.match(problems, /of Service shop\/cart is "twice", and counts as once; use once, source, destination, both/);
  assert.equal(exported({ registry })?.waypointPolicy, "once");
});

test("of labels and annotations peers hear those that the segment's patterns and selectors name, and no other", () => {
  const mesh = testMesh([
    object("v1", "Namespace", {
      namespace: undefined,
      name: "istio-system",
      labels: { "admin.solo.io/segment": "blue" },
    }),
    object(
      "admin.solo.io/v1alpha1",
      "Segment",
      { name: "blue", namespace: "istio-system" },
      {
        spec: {
          domain: "blue.example",
          aliases: [
            {
              pattern: "{labels['tier']}.{annotations['example.com/dns']}.example",
              selector: {
                matchLabels: { public: "yes" },
                matchExpressions: [{ key: "old", operator: "DoesNotExist" }],
              },
            },
          ],
        },
      },
    ),
    cart(
      {},
      {
        labels: { ...SHARED, tier: "gold", public: "yes", team: "secret" },
        annotations: { "example.com/dns": "basket", "example.com/private": "x" },
      },
    ),
  ]);
  const { segment, labels, annotations } = exported(mesh)!;
  assert.deepEqual(
    [segment, labels, annotations],
    [
      "blue",
      [
        ["public", "yes"],
        ["tier", "gold"],
      ],
      [["example.com/dns", "basket"]],
    ],
  );
  const facts = mesh.registry.exports.facts.get(EAST);
  assert.deepEqual([facts?.segment, facts?.domain], ["blue", "blue.example"]);
  assert.match(facts?.aliasesDigest ?? "", /^[0-9a-f]{64}$/);
});

test("what clusters behind remote secrets share is not handed on to peers, and their pods are not counted", () => {
  const both = meshes([cart(), cartPod("a", "10.0.0.1")]);
  both.applyTo("west", cart(), cartPod("b", "10.0.0.2"), service("theirs", "10.2.0.9", {}, { labels: SHARED }));
  assert.deepEqual(
    [...both.registry.exports.services.entries()].map(([key, { total }]) => [key, total]),
    [["east/shop/cart", 1]],
  );
  assert.equal(both.registry.shared.size, 3);
});

test("a cluster says of itself what its network, trust domain, version and roots are, however little it holds", () => {
  const mesh = testMesh([], { network: networkId("net1") });
  const roots = [
    { sha256: "bb", notAfterMs: 2 },
    { sha256: "aa", notAfterMs: 1 },
  ];
  mesh.registry.ownRoots.set(EAST, roots);
  mesh.graph.flush();
  assert.deepEqual(
    [...mesh.registry.exports.facts.entries()],
    [
      [
        "east",
        {
          cluster: "east",
          network: "net1",
          trustDomain: "cluster.local",
          segment: "",
          domain: "mesh.internal",
          aliasesDigest: "",
          doors: [],
          version: VERSION,
          features: ["delta-resume", "snapshot-end", "takeover", "waypoint-policy"],
          roots: roots.toReversed(),
        },
      ],
    ],
  );
});

test("pods are exported by global names only where one of our Gateways leads to a peer on our own network", () => {
  const peer = (network: string): KubeObject =>
    object(
      "gateway.networking.k8s.io/v1",
      "Gateway",
      { name: "peer", labels: { "topology.istio.io/network": network, "topology.istio.io/cluster": "west" } },
      {
        spec: {
          gatewayClassName: "istio-remote",
          addresses: [{ value: "192.0.2.1" }],
          listeners: [{ name: "xds", port: 15012, protocol: "TLS", tls: { mode: "Passthrough" } }],
        },
      },
    );
  const objects = [cart(), cartPod("a", "10.0.0.1"), pod("alone", "10.0.0.9"), service("own", "10.1.0.2")];
  const mesh = testMesh([...objects, peer("net2")], { network: networkId("net1") });
  const flat = ({ registry }: TestMesh) =>
    [...registry.exports.workloads.entries()].map(([uid, { services, addresses, policies }]) => [
      uid,
      services,
      addresses,
      policies,
    ]);
  const a = [
    "east//Pod/shop/a",
    [{ service: "shop/cart.shop.mesh.internal", ports: [{ servicePort: 80, targetPort: 80 }] }],
    ["10.0.0.1"],
    [],
  ];
  assert.deepEqual(flat(mesh), []);
  mesh.apply(peer("net1"));
  assert.deepEqual(flat(mesh), [a]);
  const always = { network: networkId("net1"), flatPeering: "on" } as const;
  assert.deepEqual(flat(testMesh(objects, always)), [a]);
  assert.deepEqual(flat(testMesh([...objects, peer("net1")], { ...always, flatPeering: "off" })), []);
});

test("what could not be told to peers costs a service that one thing, not all of it", () => {
  const entry = (name: string, serviceAccount: string, locality: string): KubeObject =>
    object(
      "networking.istio.io/v1",
      "WorkloadEntry",
      { name, labels: { app: "cart" } },
      { spec: { address: `10.0.0.${name.length}`, serviceAccount, locality } },
    );
  const mesh = testMesh([
    cart({ ports: [{ name: "x\u0001".repeat(60), port: 80 }] }),
    entry("a", "vm", "eu/eu-1"),
    entry("ab", "vm", "somewhere in\u0000/the east"),
    entry("abc", "no/account", "eu"),
    entry("abcd", "", "eu"),
  ]);
  const service = exported(mesh)!;
  assert.deepEqual(
    [service.total, service.identities, service.localities, service.ports[0]?.name],
    [2, ["spiffe://cluster.local/ns/shop/sa/vm"], [{ region: "eu", zone: "eu-1", ready: 1 }], ""],
  );
  assert.doesNotThrow(() => encodeFederatedService(service, 0));
});
