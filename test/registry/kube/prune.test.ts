import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import type { KubeObject } from "../../../src/kube/object.ts";
import { clusterId } from "../../../src/names.ts";
import { Graph } from "../../../src/registry/collection/graph.ts";
import { Intake } from "../../../src/registry/kube/intake.ts";
import { objectSources } from "../../../src/registry/kube/objects.ts";
import { prune } from "../../../src/registry/kube/prune.ts";
import { REMOTE_KINDS } from "../../../src/registry/kube/watched-kinds.ts";
import { seededRandom } from "../../sim/world.ts";
import { Lab } from "../embedded/lab.ts";

const root = join(import.meta.dirname, "..", "..", "..", "..");

/** What the registry's sources hold, and the problems, once this object was read. */
function reading(object: KubeObject): unknown {
  const graph = new Graph();
  const objects = objectSources(graph);
  new Intake(clusterId("west"), objects, "default").set(object, "");
  graph.flush();
  // Conditions in a status only count where we write them: in our own cluster.
  const value = (text: string, at: unknown): unknown =>
    text === "status" ? undefined : at instanceof Map ? [...at] : at;
  return JSON.parse(
    JSON.stringify(
      Object.values(objects).map((source) => [...source.entries()]),
      value,
    ),
  );
}

function assertSame(object: KubeObject): void {
  const kept = prune(JSON.parse(JSON.stringify(object)) as KubeObject);
  assert.ok(kept);
  const [whole, ofKept] = [reading(object), reading(kept)];
  assert.notDeepEqual(
    whole,
    Object.keys(objectSources(new Graph())).map(() => []),
    `nothing was read of ${object.kind}`,
  );
  assert.deepEqual(ofKept, whole, `${object.kind} ${object.metadata.name}`);
}

/** Everything in examples/, as the embedded cluster runs it. */
function examples(): readonly KubeObject[] {
  const folder = join(root, "examples", "shop");
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".yaml"));
  const lab = new Lab().apply(
    Object.fromEntries(paths.map((path) => [path, readFileSync(join(folder, path), "utf8")])),
  );
  return KINDS.flatMap((kind) => lab.all(kind));
}

const KINDS = REMOTE_KINDS.map(({ type }) => type.kind);

const meta = (more: object = {}): KubeObject["metadata"] => ({
  name: "cart",
  namespace: "shop",
  uid: "u-1",
  labels: {
    app: "cart",
    "istio.io/use-waypoint": "wp",
    "topology.istio.io/network": "n2",
    "kubernetes.io/service-name": "cart",
    "topology.kubernetes.io/zone": "z1",
    "pod-template-hash": "abc",
  },
  annotations: {
    "ambient.istio.io/redirection": "enabled",
    "networking.istio.io/traffic-distribution": "PreferClose",
    "ambient.istio.io/waypoint-inbound-binding": "PROXY/15088",
    "gateway.istio.io/service-account": "gw",
    "gateway.istio.io/trust-domain": "west.example",
    "peering.solo.io/data-plane-service-type": "nodeport",
    "peering.solo.io/preferred-data-plane-service-type": "nodeport",
    "peering.causeway.dev/waypoint-policy": "source",
    "example.com/dns": "cart.example",
    "kubectl.kubernetes.io/last-applied-configuration": "SECRET",
  },
  creationTimestamp: "2026-01-01T00:00:00Z",
  generateName: "cart-abc-",
  ownerReferences: [
    { kind: "Other", name: "x" },
    { kind: "ReplicaSet", name: "cart-abc", controller: true },
  ],
  managedFields: [{ manager: "SECRET" }],
  ...more,
});
const object = (apiVersion: string, kind: string, rest: object, more: object = {}): KubeObject => ({
  apiVersion,
  kind,
  metadata: meta(more),
  ...rest,
});

/** Each field that anybody reads, and some that nobody does. */
const FULL: readonly KubeObject[] = [
  object("v1", "Namespace", {}, { namespace: undefined }),
  object(
    "v1",
    "Node",
    {
      spec: { unschedulable: true, podCIDR: "SECRET" },
      status: {
        addresses: [{ type: "InternalIP", address: "10.0.0.1" }],
        conditions: [{ type: "Ready", status: "True", message: "SECRET" }],
        nodeInfo: { kernelVersion: "SECRET" },
      },
    },
    { namespace: undefined },
  ),
  object("v1", "Pod", {
    spec: {
      nodeName: "n1",
      serviceAccountName: "cart",
      hostNetwork: true,
      containers: [
        {
          env: [{ name: "PASSWORD", value: "SECRET" }],
          ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }],
        },
      ],
      initContainers: [{ restartPolicy: "Always", ports: [{ name: "metrics", containerPort: 9090 }] }],
      volumes: [{ name: "SECRET" }],
    },
    status: {
      phase: "Running",
      podIP: "10.0.0.1",
      podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }],
      conditions: [{ type: "Ready", status: "True", message: "SECRET" }],
    },
  }),
  object("v1", "Service", {
    spec: {
      type: "ClusterIP",
      clusterIP: "10.96.0.9",
      clusterIPs: ["10.96.0.1"],
      ipFamilies: ["IPv4"],
      internalTrafficPolicy: "Local",
      trafficDistribution: "PreferSameNode",
      publishNotReadyAddresses: true,
      selector: { app: "cart" },
      externalTrafficPolicy: "Local",
      ports: [
        {
          name: "http",
          port: 80,
          targetPort: "http",
          protocol: "TCP",
          nodePort: 30000,
          appProtocol: "kubernetes.io/h2c",
        },
      ],
    },
  }),
  object("discovery.k8s.io/v1", "EndpointSlice", {
    addressType: "IPv4",
    endpoints: [
      { addresses: ["10.9.9.9"], conditions: { ready: false }, hostname: "SECRET" },
      { addresses: ["10.0.0.1"], targetRef: { kind: "Pod", namespace: "shop", name: "cart", uid: "u" } },
    ],
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  }),
  object("gateway.networking.k8s.io/v1", "Gateway", {
    spec: {
      gatewayClassName: "istio-waypoint",
      addresses: [{ type: "Hostname", value: "gw.example.com" }],
      listeners: [
        {
          name: "mesh",
          port: 15008,
          protocol: "HBONE",
          tls: { mode: "Terminate", certificateRefs: [{ name: "SECRET" }] },
          allowedRoutes: {
            namespaces: {
              from: "Selector",
              selector: {
                matchLabels: { a: "b" },
                matchExpressions: [{ key: "c", operator: "In", values: ["d"] }],
              },
            },
          },
        },
      ],
    },
    status: { addresses: [{ type: "IPAddress", value: "10.2.2.2" }], conditions: [] },
  }),
  object("gateway.networking.k8s.io/v1beta1", "GatewayClass", {}, { namespace: undefined }),
];

test("each kind that is read of a cluster is kept, and no other", () => {
  assert.deepEqual(new Set(FULL.map(({ kind }) => kind)), new Set(KINDS));
  for (const full of FULL) assert.ok(prune(full), full.kind);
  for (const [apiVersion, kind] of [
    ["v1", "Secret"],
    ["security.istio.io/v1", "AuthorizationPolicy"],
    ["v1", "ConfigMap"],
    ["other.io/v1", "Pod"],
    ["v1", "constructor"],
  ] as const)
    assert.equal(prune(object(apiVersion, kind, {})), undefined);
});

test("what is kept of the examples reads the same", () => {
  const all = examples();
  assert.ok(all.length > 30);
  for (const one of all) assertSame(one);
});

test("what is kept of objects that use every field reads the same, and holds nothing private", () => {
  for (const full of FULL) {
    assertSame(full);
    assert.doesNotMatch(JSON.stringify(prune(full)), /SECRET/, full.kind);
  }
});

test("each field of these objects that is kept is read: without it something else is read", () => {
  const idle: string[] = [];
  for (const full of FULL) {
    const kept = prune(full)!;
    const whole = JSON.stringify(reading(kept));
    for (const path of leaves(kept)) {
      const without = structuredClone(kept);
      remove(without, path);
      if (JSON.stringify(reading(without)) === whole) idle.push(`${full.kind} ${path.join(".")}`);
    }
  }
  assert.deepEqual(
    idle.filter((path) => !KEPT_FOR_OTHERS.test(path)),
    [],
  );
});

/** Fields of metadata that only some kinds read, and what says the same as another field of these very objects. */
const KEPT_FOR_OTHERS =
  /apiVersion|kind|metadata|Pod status\.podIP$|protocol$|Service spec\.(type|clusterIP)$|EndpointSlice addressType|listeners\.0\.name|addresses\.\d\.type|EndpointSlice endpoints\.1\.(addresses\.0|targetRef\.namespace)/;

test("what is kept of objects gone wrong is refused in the same words", () => {
  const random = seededRandom(5);
  const odd = [null, 7, -1, "", "x".repeat(300), "a b", true, [], {}, [[]], [null], { a: { b: 1 } }, ["a", 1], 1.5];
  for (let round = 0; round < 3000; round++) {
    const broken = structuredClone(random.pick(FULL));
    const path = random.pick(leaves(broken).flatMap((leaf) => leaf.map((_, at) => leaf.slice(0, at + 1))));
    if (path[0] === "kind" || path[0] === "apiVersion") continue;
    let at = broken as unknown as Record<string, unknown>;
    for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
    at[path.at(-1)!] = random.pick(odd);
    const kept = prune(broken);
    assert.ok(kept);
    assert.deepEqual(
      reading(kept),
      reading(broken),
      `${broken.kind} ${path.join(".")} = ${JSON.stringify(at[path.at(-1)!])}`,
    );
  }
});

test("every annotation and field that a reader names is kept of some kind", () => {
  const kept = readFileSync(join(root, "src", "registry", "kube", "prune.ts"), "utf8");
  const readers = ["endpoint-slice", "gateway", "namespace", "pod", "service"]
    .flatMap((name) => [...readersOf(`${name}.ts`)])
    .filter((file) => !/^(workload-entry|object-status)/.test(file));
  assert.ok(readers.length > 7);
  const missing = readers.flatMap((file) => {
    const text = readFileSync(join(root, "src", "registry", "kube", file), "utf8");
    const fields = [...text.matchAll(/\b[a-z]\w*\["(\w+)"\]/g)].map(([, field]) => field!);
    const annotations = [...text.matchAll(/\bannotations\(([^)]+)\)/g)].map(([, argument]) =>
      literalOf(argument!, text),
    );
    return [...fields, ...annotations]
      .filter((name) => !kept.includes(`"${name}"`) && !kept.includes(`${name}: `))
      .map((name) => `${file}: ${name}`);
  });
  assert.deepEqual(missing, []);
});

/** The text of a literal, or of the constant in the same file. */
const literalOf = (argument: string, text: string): string =>
  /^"(.*)"$/.exec(argument)?.[1] ?? new RegExp(`const ${argument} = "(.*)"`).exec(text)?.[1] ?? argument;

/** The readers of these kinds, and what they are made of; but for names that are checked, and statuses. */
function readersOf(file: string, found = new Set<string>(["workload-entry.ts", "object-status.ts"])): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  const text = readFileSync(join(root, "src", "registry", "kube", file), "utf8");
  for (const [, imported] of text.matchAll(/from "\.\/([\w-]+\.ts)"/g)) readersOf(imported!, found);
  return found;
}

function leaves(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [[...path]];
  const inner = Object.entries(value);
  return inner.length === 0 ? [[...path]] : inner.flatMap(([key, item]) => leaves(item, [...path, key]));
}

function remove(from: unknown, path: readonly string[]): void {
  let at = from as Record<string, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
  if (Array.isArray(at)) at.splice(Number(path.at(-1)), 1);
  else delete at[path.at(-1)!];
}
