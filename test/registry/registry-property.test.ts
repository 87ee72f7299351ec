import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { clusterId, type ClusterId } from "../../src/names.ts";
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

const few = fc.constantFrom("a", "b", "c");
const modes = fc.constantFrom("STRICT", "PERMISSIVE", "DISABLE", "UNSET");
const labels = fc.record(
  { app: few, "istio.io/use-waypoint": fc.constantFrom("w", "none", "a") },
  { requiredKeys: [] },
);
const selector = fc.option(fc.record({ matchLabels: fc.record({ app: few }) }), { nil: undefined });
const home = fc.constantFrom("shop", "istio-system");

/** Objects of few names, so that they meet, replace and refer to each other; some cannot be read. */
const anyObject: fc.Arbitrary<KubeObject> = fc.oneof(
  fc.tuple(few, fc.constantFrom("10.0.0.1", "10.0.0.2", "oops"), labels).map(([name, ip, on]) => pod(name, ip, on)),
  fc
    .tuple(few, fc.constantFrom("10.1.0.1", "None", "x"), few)
    .map(([name, ip, app]) => service(name, ip, { selector: { app } })),
  fc.tuple(few, few, fc.constantFrom("10.1.0.1", "10.2.0.0/16"), few).map(([name, host, ip, app]) =>
    serviceEntry(name, {
      hosts: [`${host}.example.com`, "a.shop.svc.cluster.local"],
      addresses: [ip],
      ports: [{ number: 80 }],
      ...(app === "a" ? { workloadSelector: { labels: { app } } } : { endpoints: [{ address: "10.3.0.1" }] }),
      resolution: "STATIC",
    }),
  ),
  fc
    .tuple(few, selector, home, fc.constantFrom("ALLOW", "DENY"))
    .map(([name, selector, namespace, action]) =>
      authorization(name, { selector, action, rules: [{}] }, { namespace }),
    ),
  fc
    .tuple(few, selector, home, modes, modes)
    .map(([name, selector, namespace, mode, port]) =>
      peerAuthentication(name, { selector, mtls: { mode }, portLevelMtls: { 80: { mode: port } } }, { namespace }),
    ),
  labels.map((on) => object("v1", "Namespace", { name: "shop", namespace: undefined, labels: on })),
  fc
    .constantFrom("z1", "z2")
    .map((zone) =>
      object("v1", "Node", { name: "n1", namespace: undefined, labels: { "topology.kubernetes.io/zone": zone } }),
    ),
  fc
    .constantFrom("all", "service", "workload")
    .map((traffic) =>
      object(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        { name: "w", labels: { "istio.io/waypoint-for": traffic } },
        { status: { addresses: [{ type: "IPAddress", value: "10.1.0.9" }] } },
      ),
    ),
);
const entryAddress = fc.constantFrom("10.3.0.1", "10.3.0.2", "a.example.com", "127.0.0.1");
/** What adds endpoints and ways between networks; with duplicates and refused ones among them. */
const anyEndpoint: fc.Arbitrary<KubeObject> = fc.oneof(
  fc
    .tuple(few, entryAddress, fc.constantFrom(undefined, "net1", "net2"), few)
    .map(([name, address, network, app]) =>
      object("networking.istio.io/v1", "WorkloadEntry", { name }, { spec: { address, network, labels: { app } } }),
    ),
  fc.tuple(few, fc.array(entryAddress, { maxLength: 3 }), few).map(([name, addresses, host]) =>
    serviceEntry(name, {
      hosts: [`${host}.example.com`],
      addresses: ["10.2.0.9"],
      ports: [{ number: 80 }],
      endpoints: addresses.map((address) => ({ address })),
      resolution: "DNS",
    }),
  ),
  fc.tuple(few, few, fc.array(entryAddress, { maxLength: 2 }), few).map(([name, of, addresses, target]) =>
    object(
      "discovery.k8s.io/v1",
      "EndpointSlice",
      { name, labels: { "kubernetes.io/service-name": of } },
      {
        ports: [{ name: "", port: 8080 }],
        endpoints: [
          ...addresses.map((address) => ({ addresses: [address] })),
          { addresses: ["10.0.0.1"], targetRef: { kind: "Pod", name: target } },
        ],
      },
    ),
  ),
  fc
    .tuple(few, fc.constantFrom("net1", "net2"), fc.constantFrom("192.0.2.1", "x.example.com", "oops!"))
    .map(([name, network, value]) =>
      object(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        { name: `to-${name}`, labels: { "topology.istio.io/network": network } },
        {
          spec: { gatewayClassName: "istio-remote", listeners: [{ port: 15_008, protocol: "HBONE" }] },
          status: value === "oops!" ? {} : { addresses: [{ type: "Hostname", value }] },
        },
      ),
    ),
  fc.constantFrom("net1", "net2", "").map((network) =>
    object("v1", "Namespace", {
      name: "istio-system",
      namespace: undefined,
      labels: { "topology.istio.io/network": network },
    }),
  ),
  few.map((name) => service(name, "None", { selector: {} })),
  fc
    .tuple(few, fc.constantFrom("10.1.0.1", "10.1.0.2", "None"), few, fc.constantFrom("true", "false"))
    .map(([name, ip, app, global]) =>
      service(name, ip, { selector: { app } }, { labels: { "istio.io/global": global, "istio.io/use-waypoint": "w" } }),
    ),
  fc
    .tuple(fc.constantFrom("net1", "net2"), fc.subarray(["192.0.2.1", "192.0.2.7", "x.example.com"]))
    .map(([network, hosts]) =>
      object(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        { name: "eastwest", labels: { "topology.istio.io/network": network } },
        {
          spec: {
            gatewayClassName: "istio-east-west",
            listeners: [{ port: 15_008, protocol: "HBONE", tls: { mode: "Terminate" } }],
          },
          status: { addresses: hosts.map((value) => ({ type: "Hostname", value })) },
        },
      ),
    ),
);
const parent = fc.oneof(
  few.map((name) => ({ group: "", kind: "Service", name })),
  few.map((name) => ({ group: "networking.istio.io", kind: "ServiceEntry", name })),
);
const created = fc.constantFrom("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
/** Whole ones only: what one that is not was before shows in what it does now. */
const anyRoute: fc.Arbitrary<KubeObject> = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("HTTPRoute", "HTTPRoute", "GRPCRoute"),
      few,
      parent,
      created,
      fc.array(few, { maxLength: 2 }),
    )
    .map(([kind, name, parentRef, creationTimestamp, to]) =>
      object(
        "gateway.networking.k8s.io/v1",
        kind,
        { name, creationTimestamp },
        { spec: { parentRefs: [parentRef], rules: [{ backendRefs: to.map((name) => ({ name, port: 80 })) }] } },
      ),
    ),
  fc
    .tuple(few, fc.constantFrom("a", "*.example.com", "b.example.com"), fc.nat({ max: 3 }), home)
    .map(([name, host, maxConnections, namespace]) =>
      object(
        "networking.istio.io/v1",
        "DestinationRule",
        { name, namespace },
        { spec: { host, trafficPolicy: { connectionPool: { tcp: { maxConnections } } } } },
      ),
    ),
);
const cluster = fc.constantFrom("east", "west").map(clusterId);
const action = fc.constantFrom("set", "set", "set", "delete", "delete", "leave");
const step = fc.record({ cluster, written: fc.oneof(anyObject, anyEndpoint, anyRoute), action, flush: fc.boolean() });

const idOf = ({ kind, metadata }: KubeObject) => `${kind}/${metadata.namespace ?? ""}/${metadata.name}`;

function contents({ registry }: TestMesh) {
  const { workloads, services, policies, waypoints, problems } = registry;
  const { rules, settings, verdicts } = registry.routes;
  return [workloads, services, policies, waypoints, problems, rules, settings, verdicts].map(
    (collection) => new Map<string, unknown>(collection.entries()),
  );
}

test("a registry that saw every change of two clusters holds what one holds that saw the end only", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const living = testMesh();
      const intakes = new Map(["east", "west"].map((name) => [name, living.registry.intake(clusterId(name))]));
      const objects = new Map<string, readonly [ClusterId, KubeObject]>();
      for (const { cluster, written, action, flush } of steps) {
        const intake = intakes.get(cluster)!;
        const id = `${cluster}/${idOf(written)}`;
        // A cluster that left is emptied rarely, or there would never be much in it.
        if (action === "leave" && written.kind === "Namespace") {
          intake.clear();
          for (const key of [...objects.keys()]) if (key.startsWith(`${cluster}/`)) objects.delete(key);
        } else if (action === "delete" && objects.delete(id)) intake.delete(written);
        else {
          objects.set(id, [cluster, written]);
          intake.set(written, "mesh.yaml:1");
        }
        if (flush) living.graph.flush();
      }
      living.graph.flush();
      const fresh = testMesh();
      for (const [cluster, object] of objects.values()) fresh.registry.intake(cluster).set(object, "mesh.yaml:1");
      fresh.graph.flush();
      assert.deepEqual(contents(living), contents(fresh));
    }),
    { numRuns: 150 },
  );
});
