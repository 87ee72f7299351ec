import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { afterEach, test } from "mocha";
import { envoy } from "../../proto/gen/mesh.js";
import { gatewayView } from "../../src/commands/gateway-view.ts";
import { loadConfig } from "../../src/config.ts";
import { ControlPlane } from "../../src/control-plane.ts";
import { MeshError } from "../../src/errors.ts";
import type { Clock } from "../../src/host.ts";
import { jsonSlices } from "../../src/json-slices.ts";
import { clusterId } from "../../src/names.ts";
import { systemClock } from "../../src/system-host.ts";
import { DeltaClient, type DeltaUpdate } from "../../src/xds/delta-client.ts";
import { dialXds } from "../../src/xds/dial.ts";
import { CLUSTER_TYPE, LISTENER_TYPE } from "../../src/xds/resource.ts";
import { realHost } from "../kits/real-host.ts";
import { derOf, type Pair, TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";

const { DeltaDiscoveryRequest, DeltaDiscoveryResponse } = envoy.service.discovery.v3;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const GATEWAY = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: shop }
spec:
  gatewayClassName: istio-waypoint
  listeners: [{ name: mesh, port: 15008, protocol: HBONE }]
status: { addresses: [{ type: IPAddress, value: 10.96.0.9 }] }
`;
const MESH = `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop, labels: { istio.io/use-waypoint: waypoint } }
spec: { clusterIP: 10.96.0.1, selector: { app: cart }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`;

/** Time that passes faster: our client asks for no more than it looks at, and Envoy's patience is for what it would ask for. */
const HASTE = 6;
const hasty: Clock = {
  now: () => systemClock.now(),
  elapsedMs: () => systemClock.elapsedMs() * HASTE,
  after: (delayMs, task) => systemClock.after(delayMs / HASTE, task),
};

async function started() {
  const folder = mkdtempSync(join(tmpdir(), "causeway-gateways-"));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  const manifests = join(folder, "manifests");
  mkdirSync(manifests);
  writeFileSync(join(manifests, "mesh.yaml"), MESH);
  const flags = { cluster: "east", manifests: [manifests], state: join(folder, "state"), xdsPort: "0" };
  const plane = await ControlPlane.open(
    { ...realHost(), clock: hasty },
    {
      config: loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" }),
      openToAll: false,
      debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
    },
  );
  await plane.start(new AbortController().signal);
  cleanups.push(() => plane.close());
  const token = await plane.tokens
    .get(clusterId("east"))!
    .issue({ namespace: "shop", serviceAccount: "waypoint", pod: undefined });
  const roots = readFileSync(plane.rootCertificateFile, "utf8");
  const target = { address: `127.0.0.1:${plane.ports.xds}`, roots, token, clusterId: "east" };
  return { plane, target, manifests };
}

const NODE = {
  id: "waypoint~127.0.0.1~waypoint-1.shop~shop.svc.cluster.local",
  metadata: new Map([
    ["GATEWAY", "waypoint"],
    ["NAMESPACE", "shop"],
  ]),
};
const SERVICE = "shop/cart.shop.svc.cluster.local|80";

test("a proxy that waited for its Gateway is told of the services that use it, and of each change", async () => {
  const { plane, target, manifests } = await started();
  const done = new AbortController();
  const client = new DeltaClient(NODE, [CLUSTER_TYPE, LISTENER_TYPE]);
  const onUpdate = (): void => {};
  await assert.rejects(dialXds({ target, client, onUpdate, signal: done.signal }), {
    code: "unavailable",
    message: /there is no Gateway shop\/waypoint/,
  });
  assert.match(
    plane
      .problems()
      .map(({ message }) => message)
      .join(),
    /Its proxy waypoint-1\.shop is not let in/,
  );

  writeFileSync(join(manifests, "gateway.yaml"), GATEWAY);
  await until(() => plane.gateways.configs.gateways.size === 1);
  const updates: DeltaUpdate[] = [];
  const dialled = dialXds({ target, client, onUpdate: (update) => updates.push(update), signal: done.signal });
  await until(() => client.held(LISTENER_TYPE).has(`inbound|${SERVICE}`));
  assert.ok(client.held(CLUSTER_TYPE).has(`outbound|${SERVICE}`));
  assert.ok(client.held(LISTENER_TYPE).has("connect_terminate"));
  assert.doesNotMatch(
    plane
      .problems()
      .map(({ message }) => message)
      .join(),
    /is not let in/,
  );

  updates.length = 0;
  writeFileSync(join(manifests, "mesh.yaml"), MESH.replace("port: 80,", "port: 81,"));
  await until(() => !client.held(CLUSTER_TYPE).has(`outbound|${SERVICE}`));
  assert.ok(client.held(LISTENER_TYPE).has("inbound|shop/cart.shop.svc.cluster.local|81"));
  const names = updates.flatMap(({ resources }) => resources.map(({ name }) => name));
  assert.ok(!names.includes("connect_originate|cluster.local"), "what has not changed is not sent again");
  done.abort();
  await dialled;
});

/** What a proxy that shows a certificate, and no token, gets first: names of clusters, or why it is refused. */
async function firstClusters({ address, roots }: { address: string; roots: string }, { certificate, key }: Pair) {
  const tls = grpc.credentials.createSsl(Buffer.from(roots), Buffer.from(key), Buffer.from(certificate));
  const client = new grpc.Client(address, tls, { "grpc.ssl_target_name_override": "istiod.istio-system.svc" });
  const same = (bytes: Buffer): Buffer => bytes;
  const path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
  const stream = client.makeBidiStreamRequest(path, same, same);
  const fields = { GATEWAY: { stringValue: "waypoint" }, NAMESPACE: { stringValue: "shop" } };
  const node = { id: NODE.id, metadata: { fields } };
  stream.write(Buffer.from(DeltaDiscoveryRequest.encode({ typeUrl: CLUSTER_TYPE, node }).finish()));
  try {
    const [bytes] = (await once(stream, "data")) as [Buffer];
    return DeltaDiscoveryResponse.decode(bytes).resources.map(({ name }) => name);
  } finally {
    stream.on("error", () => {}).cancel();
    client.close();
  }
}

test("a gateway whose identity SPIRE gave is let in as one of ours, and neither another's nor another trust domain's", async () => {
  const { plane, target, manifests } = await started();
  writeFileSync(join(manifests, "gateway.yaml"), GATEWAY);
  await until(() => plane.gateways.configs.gateways.size === 1);
  const spire = await TestAuthority.create("CN=SPIRE");
  const gateway = await spire.issue(["spiffe://cluster.local/ns/shop/sa/waypoint"]);
  await assert.rejects(firstClusters(target, gateway), /carries no bearer token/, "nobody vouches for it yet");
  plane.trust.offer("spire", [
    { trustDomain: "cluster.local", roots: [derOf(spire.root)] },
    { trustDomain: "west.test", roots: [derOf(spire.root)] },
  ]);
  assert.ok((await firstClusters(target, gateway)).includes(`outbound|${SERVICE}`));
  const cart = await spire.issue(["spiffe://cluster.local/ns/shop/sa/cart"]);
  await assert.rejects(firstClusters(target, cart), /only spiffe:\/\/cluster\.local\/ns\/shop\/sa\/waypoint/);
  const west = await spire.issue(["spiffe://west.test/ns/shop/sa/waypoint"]);
  await assert.rejects(firstClusters(target, west), /only callers of trust domain cluster\.local are served/);
});

test("the page of Gateways shows what each is to have, decoded, and who is connected", async () => {
  const { plane, manifests } = await started();
  writeFileSync(join(manifests, "gateway.yaml"), GATEWAY);
  await until(() => plane.gateways.configs.gateways.size === 1);
  const shown = (query: string): unknown => {
    const viewed = { proxyLogs: plane.gateways.logs, connectedProxies: () => 2 };
    return JSON.parse([...jsonSlices(gatewayView(viewed, new URLSearchParams(query)))].join(""));
  };
  const [summary] = shown("") as Record<string, unknown>[];
  assert.deepEqual(
    [summary!["gateway"], summary!["kind"], summary!["identity"], summary!["connectedProxies"]],
    ["shop/waypoint", "waypoint", "spiffe://cluster.local/ns/shop/sa/waypoint", 2],
  );
  const text = JSON.stringify(shown("gateway=shop/waypoint"));
  assert.match(text, /"@type":"type.googleapis.com\/envoy.extensions.filters.network.http_connection_manager.v3/);
  assert.match(text, /"trustBundle":\{"inlineString":"-----BEGIN CERTIFICATE/);
  assert.throws(() => shown("gateway=shop/other"), /no Gateway shop\/other is programmed here/);
});
