import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "mocha";
import { stringify } from "yaml";
import { replayCommand } from "../../src/commands/replay.ts";
import { compared } from "../../src/commands/replay/comparison.ts";
import { replayedClusters } from "../../src/commands/replay/replayed-clusters.ts";
import { ReplayedMesh } from "../../src/commands/replay/replayed-mesh.ts";
import { ambientz } from "../../src/commands/debug-pages.ts";
import { folderOf } from "../kits/folder.ts";
import { UNSEEN } from "../kits/unseen.ts";

const cluster = (name: string): string =>
  JSON.stringify({
    schema: "causeway.dev/facts/v1",
    cluster: name,
    source: "",
    readAt: "2026-01-02T03:04:05Z",
    measured: {},
  });
const list = (...items: readonly object[]): string => JSON.stringify({ apiVersion: "v1", kind: "List", items });
const system = (name: string) => ({
  ...{ apiVersion: "v1", kind: "Namespace" },
  metadata: { name: "istio-system", labels: { "topology.istio.io/network": name } },
});
const POD = {
  ...{ apiVersion: "v1", kind: "Pod" },
  metadata: { name: "cart-1", namespace: "shop", uid: "u1", labels: { app: "cart" } },
  spec: { nodeName: "n1", serviceAccountName: "cart", containers: [{ name: "cart" }] },
  status: {
    phase: "Running",
    podIP: "10.7.7.7",
    podIPs: [{ ip: "10.7.7.7" }],
    conditions: [{ type: "Ready", status: "True" }],
  },
};
/** A cluster as an API server had it: a pod, and a Deployment of which no other pod is to be made. */
const observed = () => ({
  "clusters/east/cluster.json": cluster("east"),
  "clusters/east/objects/namespaces.yaml": list(system("east-net")),
  "clusters/east/objects/pods.yaml": list(POD),
  "clusters/east/objects/deployments.apps.yaml": list({
    ...{ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "cart", namespace: "shop" } },
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: "cart" } },
      template: { metadata: { labels: { app: "cart" } }, spec: {} },
    },
  }),
});

async function replay(archive: string): Promise<{ readonly code: number; readonly out: string }> {
  let out = "";
  const printer = { out: (text: string) => void (out += text), err: () => {} };
  const call = {
    args: [archive],
    options: { once: true },
    environment: {},
    printer,
    signal: new AbortController().signal,
  };
  return { code: await replayCommand(1).run({ ...call, ...UNSEEN }), out };
}

test("pods of an archive are those that there were: nothing is made of its Deployments", async () => {
  await using folder = await folderOf(observed());
  const clusters = await replayedClusters(folder.path, folder.at("state"));
  const mesh = new ReplayedMesh(clusters);
  await mesh.start(folder.at("state"), 1, new AbortController().signal);
  const { registry } = mesh.planes.get(clusters[0]!.cluster)!.plane;
  const workloads = [...ambientz(registry).workloads];
  await mesh.close();
  assert.deepEqual(
    workloads.map(({ name, workloadIps }) => [name, workloadIps]),
    [["cart-1", ["10.7.7.7"]]],
  );
});

test("--once ends with 0 if everything that was served is derived again, and with 1 and the difference if not", async () => {
  await using folder = await folderOf({
    ...observed(),
    "clusters/east/planes/istio-system_istiod/ambientz.json": "{}",
  });
  const first = await replay(folder.path);
  assert.equal(first.code, 1);
  assert.match(first.out, /workload east\/\/Pod\/shop\/cart-1 is new here/);
  const clusters = await replayedClusters(folder.path, folder.at("state"));
  const mesh = new ReplayedMesh(clusters);
  await mesh.start(folder.at("state"), 1, new AbortController().signal);
  const { workloads, services, policies } = ambientz(mesh.planes.get(clusters[0]!.cluster)!.plane.registry);
  const served = JSON.stringify({ workloads: [...workloads], services: [...services], policies: [...policies] });
  await mesh.close();
  await writeFile(folder.at("clusters/east/planes/istio-system_istiod/ambientz.json"), served);
  const second = await replay(folder.path);
  assert.equal(second.code, 0, second.out);
  assert.match(second.out, /derives what was served: 1 workloads, 0 services, 0 policies/);
  await writeFile(
    folder.at("clusters/east/planes/istio-system_istiod/ambientz.json"),
    served.replace('"Healthy"', '"Unhealthy"'),
  );
  const third = await replay(folder.path);
  assert.equal(third.code, 1);
  assert.match(third.out, /cart-1 is different\n\s+status: Unhealthy there, Healthy here/);
});

const remote = (peer: string): string =>
  stringify({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: {
      ...{ name: `istio-remote-peer-${peer}`, namespace: "istio-eastwest" },
      labels: { "topology.istio.io/cluster": peer, "topology.istio.io/network": `${peer}-net` },
      annotations: {
        "gateway.istio.io/service-account": "istio-eastwest",
        "gateway.istio.io/trust-domain": "cluster.local",
      },
    },
    spec: {
      gatewayClassName: "istio-remote",
      addresses: [{ type: "IPAddress", value: "192.0.2.7" }],
      listeners: [
        { name: "cross-network", port: 15008, protocol: "HBONE", tls: { mode: "Passthrough" } },
        { name: "xds-tls", port: 15012, protocol: "TLS", tls: { mode: "Passthrough" } },
      ],
    },
  });

test("clusters of an archive are peered on this machine, though their Gateways lead elsewhere; strangers are named", async () => {
  const shared = stringify({
    ...{ apiVersion: "v1", kind: "Service" },
    metadata: { name: "cart", namespace: "shop", labels: { "solo.io/service-scope": "global" } },
    spec: { selector: { app: "cart" }, ports: [{ port: 80 }] },
  });
  const files = Object.fromEntries(
    ["east", "west"].flatMap((name) => [
      [`clusters/${name}/cluster.json`, cluster(name)],
      [`clusters/${name}/manifests/0/system.yaml`, stringify(system(`${name}-net`))],
      [`clusters/${name}/manifests/0/peer.yaml`, remote(name === "east" ? "west" : "east")],
      [`clusters/${name}/manifests/0/other.yaml`, remote("north")],
      ...(name === "west" ? [[`clusters/${name}/manifests/0/shop.yaml`, `${shared}---\n${stringify(POD)}`]] : []),
    ]),
  );
  await using folder = await folderOf(files);
  const clusters = await replayedClusters(folder.path, folder.at("state"));
  const mesh = new ReplayedMesh(clusters);
  await mesh.start(folder.at("state"), 1, new AbortController().signal);
  await mesh.settle(new AbortController().signal);
  const [east] = [...mesh.planes.values()];
  const states = east!.plane
    .peers()
    .map(({ target, state }) => `${target.cluster} ${state}`)
    .sort();
  const services = [...ambientz(east!.plane.registry).services].map(({ hostname }) => hostname);
  const strangers = mesh.strangersOf(clusters[0]!.cluster);
  await mesh.close();
  assert.equal(states[1], "west live", states.join());
  assert.ok(services.includes("cart.shop.mesh.internal"), services.join());
  assert.deepEqual(strangers, ["north"]);
});

test("what is no archive is refused with the reason", async () => {
  await using folder = await folderOf({ "a.tar.gz": "no archive", "empty/manifest.json": "{}" });
  await assert.rejects(replay(folder.at("a.tar.gz")), /a\.tar\.gz is no archive that causeway bug-report wrote/);
  await assert.rejects(replay(folder.at("none.tar.gz")), /there is no file .*none\.tar\.gz/);
  await assert.rejects(replay(folder.at("empty")), /has no cluster that was read/);
  assert.equal(await readFile(folder.at("a.tar.gz"), "utf8"), "no archive");
});

test("the order of names in a list is no difference, a field that is gone is one", () => {
  const there = { services: [{ namespace: "shop", hostname: "a", subjectAltNames: ["x", "y"], ports: { 80: 1 } }] };
  assert.deepEqual(
    compared(there, { services: [{ ...there.services[0], subjectAltNames: ["y", "x"] }] }).differences,
    [],
  );
  const [difference] = compared(there, {
    services: [{ namespace: "shop", hostname: "a", subjectAltNames: ["x", "y"] }],
  }).differences;
  assert.deepEqual(difference, {
    of: "service shop/a",
    is: "different",
    fields: ['ports: {"80":1} there, nothing here'],
  });
});
