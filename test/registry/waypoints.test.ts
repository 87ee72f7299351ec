import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId, podUid, serviceName } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { object, pod, service, serviceEntry, testMesh, type TestMesh } from "./mesh.ts";

type Fields = Readonly<Record<string, unknown>>;
const HBONE = { name: "mesh", port: 15_008, protocol: "HBONE" };
const use = (name: string, home?: string): Fields => ({
  "istio.io/use-waypoint": name,
  ...(home === undefined ? {} : { "istio.io/use-waypoint-namespace": home }),
});
const namespace = (labels: Fields = {}, name = "shop") =>
  object("v1", "Namespace", { name, namespace: undefined, labels });
const IP = [{ type: "IPAddress", value: "10.1.0.9" }];
interface GatewayParts {
  readonly metadata?: Fields;
  readonly listeners?: readonly Fields[];
  readonly addresses?: readonly Fields[];
  readonly className?: string;
}
/** A waypoint `w` in `shop` for all traffic, unless told otherwise. */
const waypoint = ({
  metadata = {},
  listeners = [HBONE],
  addresses = IP,
  className = "istio-waypoint",
}: GatewayParts = {}) =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name: "w", labels: { "istio.io/waypoint-for": "all" }, ...metadata },
    { spec: { gatewayClassName: className, listeners }, status: { addresses } },
  );
const gatewayClass = (metadata: Fields) =>
  object("gateway.networking.k8s.io/v1", "GatewayClass", { name: "istio-waypoint", namespace: undefined, ...metadata });
const kube = (labels: Fields = {}) => service("cart", "10.1.0.1", {}, { labels });
const cart = (labels: Fields = {}) => pod("cart", "10.0.0.1", labels);
const entry = (labels: Fields = {}) =>
  serviceEntry("api", { hosts: ["api.com"], addresses: ["10.2.0.1"], ports: [{ number: 80 }] }, { labels });

const REACHED = { destination: { kind: "address", address: { network: "", ip: "10.1.0.9" } }, hbonePort: 15_008 };
const ofPod = ({ registry }: TestMesh, name = "cart") =>
  registry.workloads.get(podUid(clusterId("east"), "shop", name));
/** Which waypoint the Service, the ServiceEntry and the pod get, of those there are. */
function users(mesh: TestMesh): Readonly<Record<string, unknown>> {
  const { services } = mesh.registry;
  const kube = services.get(serviceName("shop", "cart.shop.svc.cluster.local"));
  const api = services.get(serviceName("shop", "api.com"));
  const all = { service: kube, entry: api, pod: ofPod(mesh) };
  return Object.fromEntries(Object.entries(all).flatMap(([what, user]) => (user ? [[what, user.waypoint]] : [])));
}
const ALL = { service: REACHED, entry: REACHED, pod: REACHED };
const NONE = { service: undefined, entry: undefined, pod: undefined };

/** Selection (contract ztunnel.md 5.6). */
const selections: readonly (readonly [string, readonly KubeObject[], Fields])[] = [
  ["nobody, if nobody asks", [waypoint(), kube(), entry(), cart()], NONE],
  ["who asks by a label", [waypoint(), kube(use("w")), entry(use("w")), cart(use("w"))], ALL],
  ["all whose namespace asks", [waypoint(), namespace(use("w")), kube(), entry(), cart()], ALL],
  [
    "nobody who opted out of the namespace's",
    [waypoint(), namespace(use("w")), kube(use("none")), entry(use("none")), cart(use("none"))],
    NONE,
  ],
  ["nobody whose namespace says none", [waypoint(), namespace(use("none")), kube(), entry(), cart()], NONE],
  [
    "who asks though the namespace says none",
    [waypoint(), namespace(use("none")), kube(use("w")), entry(use("w")), cart(use("w"))],
    ALL,
  ],
  [
    "nobody who names another that is not there, not even through the namespace",
    [waypoint(), namespace(use("w")), kube(use("x")), entry(use("x")), cart(use("x"))],
    NONE,
  ],
  [
    "nobody who names it in a namespace where it is not",
    [waypoint(), kube(use("w", "bank")), entry(use("w", "bank")), cart(use("w", "bank"))],
    NONE,
  ],
  [
    "nobody, while it has no address",
    [waypoint({ addresses: [] }), kube(use("w")), entry(use("w")), cart(use("w"))],
    NONE,
  ],
  [
    "nobody, if it is for nothing",
    [
      waypoint({ metadata: { labels: { "istio.io/waypoint-for": "none" } } }),
      namespace(use("w")),
      kube(),
      entry(),
      cart(),
    ],
    NONE,
  ],
  [
    "services only, if it does not say",
    [waypoint({ metadata: { labels: {} } }), namespace(use("w")), kube(), entry(), cart()],
    { ...ALL, pod: undefined },
  ],
  [
    "services only, if it says what nobody knows",
    [
      waypoint({ metadata: { labels: { "istio.io/waypoint-for": "x" } } }),
      namespace(use("w")),
      kube(),
      entry(),
      cart(),
    ],
    { ...ALL, pod: undefined },
  ],
  [
    "workloads only, if it says so",
    [
      waypoint({ metadata: { labels: { "istio.io/waypoint-for": "workload" } } }),
      namespace(use("w")),
      kube(),
      entry(),
      cart(),
    ],
    { ...NONE, pod: REACHED },
  ],
  [
    "those that its class says",
    [
      waypoint({ metadata: { labels: {} } }),
      gatewayClass({ labels: { "istio.io/waypoint-for": "workload" } }),
      namespace(use("w")),
      kube(),
      entry(),
      cart(),
    ],
    { ...NONE, pod: REACHED },
  ],
  [
    "those that it says itself before its class",
    [
      waypoint(),
      gatewayClass({ labels: { "istio.io/waypoint-for": "none" } }),
      namespace(use("w")),
      kube(),
      entry(),
      cart(),
    ],
    ALL,
  ],
  [
    "all, whatever its class is called",
    [waypoint({ className: "something-else" }), namespace(use("w")), kube(), entry(), cart()],
    ALL,
  ],
];
for (const [whom, objects, expected] of selections)
  test(`a waypoint takes the traffic of ${whom}`, () => {
    assert.deepEqual(users(testMesh(objects)), expected);
  });

test("the namespace's use-waypoint-namespace counts for its objects", () => {
  const far = waypoint({
    metadata: { namespace: "edge", labels: { "istio.io/waypoint-for": "all" } },
    listeners: [{ ...HBONE, allowedRoutes: { namespaces: { from: "All" } } }],
  });
  assert.deepEqual(users(testMesh([far, namespace(use("w", "edge")), kube(), entry(), cart()])), ALL);
});

const routes = (namespaces: Fields | undefined): Fields => ({ ...HBONE, allowedRoutes: { namespaces } });
const matching = { matchLabels: { team: "shop" } };
/** Whether a waypoint of namespace `edge` takes the traffic of namespace `shop`, which is labelled team=shop. */
const admissions: readonly (readonly [string, readonly Fields[], boolean])[] = [
  ["that says nothing", [HBONE], false],
  ["for its own namespace", [routes({ from: "Same" })], false],
  ["for all", [routes({ from: "All" })], true],
  ["for namespaces with the label", [routes({ from: "Selector", selector: matching })], true],
  [
    "for namespaces with another label",
    [routes({ from: "Selector", selector: { matchLabels: { team: "bank" } } })],
    false,
  ],
  [
    "for namespaces by an expression",
    [
      routes({
        from: "Selector",
        selector: { matchExpressions: [{ key: "team", operator: "In", values: ["a", "shop"] }] },
      }),
    ],
    true,
  ],
  [
    "for namespaces without a label",
    [routes({ from: "Selector", selector: { matchExpressions: [{ key: "team", operator: "DoesNotExist" }] } })],
    false,
  ],
  [
    "that is not the HBONE one",
    [{ name: "http", port: 80, protocol: "HTTP", allowedRoutes: { namespaces: { from: "All" } } }, HBONE],
    false,
  ],
  ["for what nobody knows", [routes({ from: "Everyone" })], false],
];
for (const [what, listeners, admitted] of admissions)
  test(`a waypoint with a listener ${what} ${admitted ? "admits" : "refuses"} another namespace`, () => {
    const metadata = { namespace: "edge", labels: { "istio.io/waypoint-for": "all" } };
    const asking = [kube(use("w", "edge")), entry(use("w", "edge")), cart(use("w", "edge"))];
    const mesh = testMesh([waypoint({ metadata, listeners }), namespace({ team: "shop" }), ...asking]);
    assert.deepEqual(users(mesh), admitted ? ALL : NONE);
    const told = [...mesh.registry.problems.entries()]
      .map(([, { object, severity }]) => `${severity} ${object}`)
      .sort();
    assert.deepEqual(told, admitted ? [] : ["warning Service shop/cart", "warning ServiceEntry shop/api"]);
  });

test("the listener that the inbound binding names is the one whose routes count", () => {
  const bound = { name: "proxy", port: 15_088, protocol: "TCP", allowedRoutes: { namespaces: { from: "All" } } };
  const labels = { "istio.io/waypoint-for": "all" };
  const mesh = (annotations: Fields) =>
    testMesh([
      waypoint({ metadata: { namespace: "edge", labels, annotations }, listeners: [HBONE, bound] }),
      kube(use("w", "edge")),
    ]);
  assert.deepEqual(users(mesh({})), { service: undefined });
  assert.deepEqual(users(mesh({ "ambient.istio.io/waypoint-inbound-binding": "PROXY/15088" })), { service: REACHED });
});

test("a waypoint is reached by its host name rather than its address, on the network of its cluster otherwise", () => {
  const both = [...IP, { type: "Hostname", value: "W.shop.svc.cluster.local" }];
  assert.deepEqual(users(testMesh([waypoint({ addresses: both }), kube(use("w"))])), {
    service: {
      destination: { kind: "hostname", namespace: "shop", hostname: "w.shop.svc.cluster.local" },
      hbonePort: 15_008,
    },
  });
  const system = object("v1", "Namespace", {
    name: "istio-system",
    namespace: undefined,
    labels: { "topology.istio.io/network": "net1" },
  });
  assert.deepEqual(users(testMesh([system, waypoint(), kube(use("w"))])), {
    service: { ...REACHED, destination: { kind: "address", address: { network: "net1", ip: "10.1.0.9" } } },
  });
});

test("a waypoint that goes, or loses its address, takes nobody's traffic any more", () => {
  const mesh = testMesh([waypoint(), kube(use("w")), cart(use("w"))]);
  assert.deepEqual(users(mesh), { service: REACHED, pod: REACHED });
  mesh.apply(waypoint({ addresses: [] }));
  assert.deepEqual(users(mesh), { service: undefined, pod: undefined });
  mesh.apply(waypoint());
  assert.deepEqual(users(mesh), { service: REACHED, pod: REACHED });
  mesh.remove(waypoint());
  assert.deepEqual(users(mesh), { service: undefined, pod: undefined });
});

for (const managed of ["istio.io-mesh-controller", "istio.io-eastwest-controller"])
  test(`the Service of a gateway that ${managed} made never goes through a waypoint`, () => {
    const mesh = testMesh([waypoint(), namespace(use("w")), kube({ "gateway.istio.io/managed": managed })]);
    assert.deepEqual(users(mesh), { service: undefined });
  });

const INSTANCE = { "gateway.networking.k8s.io/gateway-name": "w" };
const binding = (text: string) => ({
  annotations: { "ambient.istio.io/waypoint-inbound-binding": text },
  labels: { "istio.io/waypoint-for": "all" },
});
/** How a waypoint's own pods take traffic (contract ztunnel.md 5.6, workloads). */
const tunnels: readonly (readonly [string, readonly KubeObject[], unknown])[] = [
  ["HBONE, if nothing is said", [waypoint()], undefined],
  ["the PROXY protocol", [waypoint({ metadata: binding("PROXY") })], { protocol: "proxy", port: 0 }],
  [
    "the PROXY protocol on a port",
    [waypoint({ metadata: binding("PROXY/15088") })],
    { protocol: "proxy", port: 15_088 },
  ],
  ["plain text", [waypoint({ metadata: binding("NONE") })], { protocol: "none", port: 0 }],
  ["plain text on a port", [waypoint({ metadata: binding("NONE/80") })], { protocol: "none", port: 80 }],
  ["what its class says", [waypoint(), gatewayClass(binding("PROXY/15088"))], { protocol: "proxy", port: 15_088 }],
  [
    "what it says itself before its class",
    [waypoint({ metadata: binding("NONE") }), gatewayClass(binding("PROXY"))],
    { protocol: "none", port: 0 },
  ],
  ["HBONE, if what is said is a protocol nobody knows", [waypoint({ metadata: binding("HTTP/80") })], undefined],
  ["HBONE, if what is said is no port", [waypoint({ metadata: binding("PROXY/70000") })], undefined],
];
for (const [what, objects, expected] of tunnels)
  test(`a waypoint's own pods take ${what}`, () => {
    const mesh = testMesh([...objects, cart(INSTANCE)]);
    assert.deepEqual(ofPod(mesh)?.applicationTunnel, expected);
  });

test("a waypoint's own pods do not go through it, nor do others learn how they take traffic", () => {
  const mesh = testMesh([
    waypoint({ metadata: binding("PROXY") }),
    namespace(use("w")),
    cart(INSTANCE),
    pod("desk", "10.0.0.2"),
  ]);
  assert.equal(ofPod(mesh)?.waypoint, undefined);
  assert.deepEqual(ofPod(mesh, "desk")?.waypoint, REACHED);
  assert.equal(ofPod(mesh, "desk")?.applicationTunnel, undefined);
  // Without its waypoint it is a pod like any other.
  mesh.remove(waypoint());
  assert.deepEqual([ofPod(mesh)?.waypoint, ofPod(mesh)?.applicationTunnel], [undefined, undefined]);
});

test("a pod that is called an instance of a waypoint that is elsewhere is none", () => {
  const labels = { "istio.io/waypoint-for": "all" };
  const mesh = testMesh([waypoint({ metadata: { namespace: "edge", ...binding("PROXY"), labels } }), cart(INSTANCE)]);
  assert.equal(ofPod(mesh)?.applicationTunnel, undefined);
});
