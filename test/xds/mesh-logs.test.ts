import assert from "node:assert/strict";
import { test } from "mocha";
import { envoy, istio } from "../../proto/gen/mesh.js";
import { hostname, type PolicyName, type ServiceName, serviceName, type WorkloadUid } from "../../src/names.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Source } from "../../src/registry/collection/source.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import type { Policy } from "../../src/registry/model/policy.ts";
import type { Service } from "../../src/registry/model/service.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import { meshLogs } from "../../src/xds/mesh-logs.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../../src/xds/resource.ts";
import type { ResourceLog } from "../../src/xds/resource-log.ts";
import { authorization, object, peerAuthentication, pod, service, serviceEntry, testMesh } from "../registry/mesh.ts";

/** The logs of a registry, as clients are fed from them. */
function published(...objects: readonly KubeObject[]) {
  const mesh = testMesh();
  const changes: string[] = [];
  const { logs, refusals } = meshLogs(mesh.graph, mesh.registry, (...what) => void changes.push(what.join()));
  mesh.apply(...objects);
  const addresses = logs.get(ADDRESS_TYPE)!;
  /** What a client that holds all would be sent because of `change`. */
  const sentFor = (change: () => void): readonly string[] => {
    const before = addresses.head;
    change();
    return [...addresses.since(before)].sort();
  };
  return { ...mesh, logs, refusals, addresses, sentFor, changes };
}

interface Sent {
  readonly name: string;
  readonly typeUrl: string;
  readonly body: Uint8Array;
}
function* sent(log: ResourceLog): Iterable<Sent> {
  for (const each of log.names()) {
    const { resources } = envoy.service.discovery.v3.DeltaDiscoveryResponse.decode(log.get(each)!.record);
    const { name, resource } = resources[0]!;
    yield { name: name!, typeUrl: resource!.type_url!, body: resource!.value! };
  }
}
const addressesOf = (log: ResourceLog) =>
  [...sent(log)].map(({ name, body }) => ({ name, ...istio.workload.Address.decode(body) }));

const CART = serviceName("shop", "cart.shop.svc.cluster.local");
const plain: Service = {
  key: CART,
  name: "cart",
  namespace: "shop",
  hostname: hostname("cart.shop.svc.cluster.local"),
  addresses: [],
  ports: [],
  subjectAltNames: [],
  waypoint: undefined,
  loadBalancing: undefined,
  ipFamilies: "automatic",
  canonical: true,
};
const uid = (name: string) => `east//Pod/shop/${name}`;
const cart = (spec = {}) => service("cart", "10.1.0.1", spec);
const carts = [pod("cart-0", "10.0.0.1", { app: "cart" }), pod("cart-1", "10.0.0.2", { app: "cart" })];
const desk = pod("desk", "10.0.0.3");

test("a Service that is written anew brings its pods, though nothing of them changed (pitfall 4)", () => {
  const { sentFor, apply, remove } = published(cart(), desk, ...carts);
  remove(cart());
  assert.deepEqual(
    sentFor(() => apply(cart())),
    [uid("cart-0"), uid("cart-1"), CART],
  );
});

test("a Service that wants or no longer wants those that are not ready brings its pods (pitfall 5)", () => {
  const { sentFor, apply } = published(cart(), desk, ...carts);
  for (const publishNotReadyAddresses of [true, false])
    assert.deepEqual(
      sentFor(() => apply(cart({ publishNotReadyAddresses }))),
      [uid("cart-0"), uid("cart-1"), CART],
    );
});

test("a Service that changes otherwise comes alone", () => {
  const { sentFor, apply } = published(cart(), desk, ...carts);
  assert.deepEqual(
    sentFor(() => apply(cart({ trafficDistribution: "PreferClose" }))),
    [CART],
  );
});

test("labels that mean nothing to ztunnel send nothing, and wake nobody", () => {
  const { sentFor, apply, changes } = published(cart(), ...carts);
  const before = changes.length;
  assert.deepEqual(
    sentFor(() => apply(pod("cart-0", "10.0.0.1", { app: "cart", team: "blue" }))),
    [],
  );
  assert.equal(changes.length, before);
});

test("who is woken learns whether it is for addresses, for policies or for both", () => {
  const { apply, changes } = published(cart(), authorization("open", {}));
  apply(pod("cart-0", "10.0.0.1", { app: "cart" }));
  apply(authorization("closed", {}));
  assert.deepEqual(changes, ["ambient,config", "ambient", "config"]);
});

test("what cannot be encoded leaves clients what they had, and is shown", () => {
  const graph = new Graph();
  const services = new Source<ServiceName, Service>(graph, "services");
  const none = {
    workloads: new Source<WorkloadUid, Workload>(graph, "workloads"),
    policies: new Source<PolicyName, Policy>(graph, "policies"),
  };
  const { logs, refusals } = meshLogs(graph, { ...none, services, workloadsByService: { get: () => [] } }, () => {});
  const log = logs.get(ADDRESS_TYPE)!;
  const write = (servicePort: number): string | undefined => {
    services.set(CART, { ...plain, ports: [{ servicePort, targetPort: 80 }] });
    graph.flush();
    return log.versionOf(CART);
  };
  const good = write(80);
  assert.ok(good);
  assert.equal(write(70_000), good);
  assert.match(
    [...refusals()].map(({ name, reason }) => `${name}: ${reason}`).join(),
    /^shop\/cart\S+: ports\[0\].servicePort is 70000/,
  );
  assert.notEqual(write(81), good);
  assert.deepEqual(refusals(), []);
});

const gateway = object(
  "gateway.networking.k8s.io/v1",
  "Gateway",
  { name: "g", labels: { "topology.istio.io/network": "net2" } },
  {
    spec: { gatewayClassName: "istio-remote", listeners: [{ port: 15_008, protocol: "HBONE" }] },
    status: { addresses: [{ type: "IPAddress", value: "192.0.2.1" }] },
  },
);
const waypoint = object(
  "gateway.networking.k8s.io/v1",
  "Gateway",
  { name: "w", labels: { "istio.io/waypoint-for": "all" } },
  {
    spec: { gatewayClassName: "istio-waypoint", listeners: [{ port: 15_008, protocol: "HBONE" }] },
    status: { addresses: [{ type: "Hostname", value: "w.shop.svc.cluster.local" }] },
  },
);
/** Something of all that is sent. */
const everything: readonly KubeObject[] = [
  object("v1", "Namespace", { name: "shop", namespace: undefined, labels: { "istio.io/use-waypoint": "w" } }),
  waypoint,
  gateway,
  cart({ trafficDistribution: "PreferSameNode", ports: [{ name: "web", port: 80, targetPort: "http" }] }),
  service("desk", "10.1.0.2", { internalTrafficPolicy: "Local", ports: [{ port: 443, targetPort: 8443 }] }),
  pod("cart-0", "10.0.0.1", { app: "cart" }, { containers: [{ ports: [{ name: "http", containerPort: 8080 }] }] }),
  pod("cart-1", "::ffff:10.0.0.2", { app: "cart" }),
  pod("desk", "2001:db8::1", { app: "desk" }),
  object("networking.istio.io/v1", "WorkloadEntry", { name: "vm" }, { spec: { address: "10.9.0.1", network: "net2" } }),
  serviceEntry("api", {
    hosts: ["api.com", "*.b.com"],
    addresses: ["10.2.0.1", "10.3.0.0/16"],
    ports: [{ number: 80, name: "web", targetPort: 8080 }, { number: 443 }],
    resolution: "STATIC",
    endpoints: [{ address: "10.3.0.1", ports: { web: 81, other: 9 }, weight: 0 }, { address: "10.3.0.2" }],
  }),
  authorization("open", { rules: [{}] }),
  authorization("root", { action: "DENY", rules: [{ from: [{ source: { principals: ["*"] } }] }] }),
  peerAuthentication("w", {
    selector: { matchLabels: { app: "cart" } },
    mtls: { mode: "PERMISSIVE" },
    portLevelMtls: { 80: { mode: "STRICT" } },
  }),
];

test("every resource is named by its own fields, and typed as what it is (pitfall 3)", () => {
  const { logs } = published(...everything);
  const ofAddress = (body: Uint8Array): string => {
    const { workload, service } = istio.workload.Address.decode(body);
    return workload?.uid ?? `${service!.namespace}/${service!.hostname}`;
  };
  const ofPolicy = (body: Uint8Array): string => {
    const { namespace, name } = istio.security.Authorization.decode(body);
    return `${namespace}/${name}`;
  };
  for (const [type, log] of logs) {
    assert.ok(log.size >= 3, `${log.size} resources of ${type}`);
    for (const { name, typeUrl, body } of sent(log))
      assert.deepEqual([name, typeUrl], [type === ADDRESS_TYPE ? ofAddress(body) : ofPolicy(body), type]);
  }
});

test("no enum, gateway or address is one that ztunnel rejects or never finds (pitfalls 6 and 7)", () => {
  const all = addressesOf(published(...everything).addresses);
  const gateways = all.flatMap(({ workload, service }) =>
    [workload?.waypoint, workload?.networkGateway, service?.waypoint].filter(
      (each) => each !== null && each !== undefined,
    ),
  );
  assert.ok(gateways.some(({ address }) => address) && gateways.some(({ hostname }) => hostname));
  for (const each of gateways) assert.ok((each.address ?? each.hostname) && each.hboneMtlsPort, JSON.stringify(each));
  const preferences = all.flatMap(({ service }) => service?.loadBalancing?.routingPreference ?? []);
  assert.ok(preferences.length > 0 && preferences.every((scope) => scope >= 1 && scope <= 6), preferences.join());
  for (const { workload } of all) assert.ok([0, 1].includes(workload?.tunnelProtocol ?? 0));
  const ips = all.flatMap(({ workload, service }) => [
    ...(workload?.addresses ?? []),
    ...(service?.addresses ?? []).map(({ address }) => address!),
  ]);
  assert.deepEqual(new Set(ips.map(({ length }) => length)), new Set([4, 16]));
  for (const ip of ips) assert.notEqual(Buffer.from(ip).subarray(0, 12).toString("hex"), `${"0".repeat(20)}ffff`);
});

test("every gateway by address is a workload that is sent too (pitfall 27)", () => {
  const all = addressesOf(published(...everything).addresses);
  const known = new Set(
    all.flatMap(({ workload }) =>
      (workload?.addresses ?? []).map((ip) => `${workload!.network}/${Buffer.from(ip).toString("hex")}`),
    ),
  );
  const named = all.flatMap(({ workload }) => workload?.networkGateway?.address ?? []);
  assert.ok(named.length > 0);
  for (const { network, address } of named) assert.ok(known.has(`${network}/${Buffer.from(address!).toString("hex")}`));
});

test("every port of an endpoint is one that its service has, and leads somewhere (pitfalls 30 and 31)", () => {
  const all = addressesOf(published(...everything).addresses);
  const offered = new Map(
    all.map(({ name, service }) => [name, new Set(service?.ports?.map((port) => port.servicePort))]),
  );
  const used = all.flatMap(({ workload }) =>
    Object.entries(workload?.services ?? {}).flatMap(([service, { ports }]) =>
      (ports ?? []).map((port) => ({ service, ...port })),
    ),
  );
  assert.ok(used.length >= 4, `${used.length} ports`);
  for (const { service, servicePort, targetPort } of used)
    assert.ok(
      offered.get(service)!.has(servicePort) && targetPort !== 0,
      `${service}: ${servicePort} to ${targetPort}`,
    );
});

test("every endpoint has a chance to be chosen (pitfall 25)", () => {
  for (const { name, workload } of addressesOf(published(...everything).addresses))
    assert.notEqual(workload?.capacity?.value, 0, name);
});

test("every policy that a workload names is sent, under the name it uses (pitfall 11)", () => {
  const { logs, addresses } = published(...everything);
  const named = addressesOf(addresses).flatMap(({ workload }) => workload?.authorizationPolicies ?? []);
  assert.deepEqual([...new Set(named)], ["shop/converted_peer_authentication_w"]);
  for (const name of named) assert.ok(logs.get(AUTHORIZATION_TYPE)!.versionOf(name), name);
});
