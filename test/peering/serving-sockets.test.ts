import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { afterEach, beforeEach, test } from "mocha";
import { envoy } from "../../proto/gen/mesh.js";
import { loadConfig } from "../../src/config.ts";
import { ControlPlane } from "../../src/control-plane.ts";
import { MeshError } from "../../src/errors.ts";
import { ADDRESS_TYPE, FSDS_TYPE, SGDS_TYPE, type TypeUrl } from "../../src/xds/resource.ts";
import { writeCacerts } from "../kits/cacerts.ts";
import { type Pair, TestAuthority } from "../kits/tls.ts";
import { realHost } from "../kits/real-host.ts";
import { until } from "../kits/until.ts";
import { ISTIOD } from "./serving-lab.ts";

const { DeltaDiscoveryRequest, DeltaDiscoveryResponse } = envoy.service.discovery.v3;

let folder = "";
let root: TestAuthority;
const cleanups: (() => unknown)[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "causeway-peers-"));
  root = await TestAuthority.create("CN=root");
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(folder, { recursive: true, force: true });
});

const shared = (namespace: string, name: string): string => `
apiVersion: v1
kind: Namespace
metadata: { name: ${namespace}, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace}, labels: { solo.io/service-scope: global } }
spec: { selector: { app: ${name} }, ports: [{ port: 80 }] }
`;
const system = (network: string): string => `
apiVersion: v1
kind: Namespace
metadata: { name: istio-system, labels: { topology.istio.io/network: ${network} } }
`;
const gatewayTo = (cluster: string, port: number): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: istio-remote-peer-${cluster}
  namespace: istio-system
  labels: { topology.istio.io/network: ${cluster}-net, topology.istio.io/cluster: ${cluster} }
spec:
  gatewayClassName: istio-remote
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners: [{ name: xds, port: ${port}, protocol: TLS, tls: { mode: Passthrough } }]
`;
const grant = (cluster: string, namespace: string): string => `
apiVersion: peering.causeway.dev/v1alpha1
kind: PeerGrant
metadata: { name: ${cluster}, namespace: istio-system }
spec: { cluster: ${cluster}, export: { namespaces: [${namespace}] } }
`;

/** A control plane with an intermediate of its own under the root, and a way to change its manifests. */
async function start(cluster: string, ...documents: readonly string[]) {
  const at = (name: string): string => join(folder, cluster, name);
  mkdirSync(at("manifests"), { recursive: true });
  const authority = await TestAuthority.create({ name: `CN=${cluster}`, pathLength: 0 }, root);
  writeCacerts(at("cacerts"), authority, root);
  const write = (...written: readonly string[]): void => writeFileSync(at("manifests/mesh.yaml"), written.join("---"));
  write(system(`${cluster}-net`), ...documents);
  const flags = { cluster, manifests: [at("manifests")], cacerts: at("cacerts"), state: at("state"), xdsPort: "0" };
  const host = realHost();
  const plane = await ControlPlane.open(host, {
    config: loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" }),
    openToAll: false,
    debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
  });
  cleanups.push(() => plane.close());
  await plane.start(new AbortController().signal);
  return { plane, host, authority, write: (...more: readonly string[]) => write(system(`${cluster}-net`), ...more) };
}

/** A control plane that is @grpc/grpc-js and a certificate. */
class GrpcPeer {
  /** What it was sent, in the order of the wire; removals with a minus before them. */
  readonly heard: string[] = [];
  ended: grpc.StatusObject | undefined;
  readonly #client: grpc.Client;
  readonly #call: grpc.ClientDuplexStream<Buffer, Buffer>;

  constructor(port: number, { certificate, key }: Pair, chain: string) {
    const secure = grpc.credentials.createSsl(
      Buffer.from(root.root),
      Buffer.from(key),
      Buffer.from(`${certificate}\n${chain}`),
    );
    const named = { "grpc.ssl_target_name_override": "istiod.istio-system.svc" };
    this.#client = new grpc.Client(`127.0.0.1:${port}`, secure, named);
    const same = (bytes: Buffer): Buffer => bytes;
    const path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
    this.#call = this.#client.makeBidiStreamRequest(path, same, same);
    this.#call.on("data", (bytes: Buffer) => this.#take(bytes));
    this.#call.on("error", () => {});
    this.#call.on("status", (status: grpc.StatusObject) => (this.ended = status));
    cleanups.push(() => this.close());
  }

  ask(typeUrl: TypeUrl, cluster: string, type = "istiod"): void {
    const said = { CLUSTER_ID: cluster, NAMESPACE: "istio-system", INSTANCE_IPS: "10.8.0.1" };
    const fields = Object.fromEntries(Object.entries(said).map(([key, stringValue]) => [key, { stringValue }]));
    const id = `${type}~10.8.0.1~${type}-1.istio-system~istio-system.svc.cluster.local`;
    this.#send({ typeUrl, node: { id, metadata: { fields } } });
  }

  close(): void {
    this.#call.cancel();
    this.#client.close();
  }

  #send(message: envoy.service.discovery.v3.DeltaDiscoveryRequest.$Properties): void {
    this.#call.write(Buffer.from(DeltaDiscoveryRequest.encode(message).finish()));
  }

  #take(bytes: Buffer): void {
    const { typeUrl, nonce, resources, removedResources } = DeltaDiscoveryResponse.decode(bytes);
    this.heard.push(...removedResources.map((name) => `-${name}`));
    this.heard.push(...resources.map(({ name }) => name!.replace(/^(__synced__)\/.*/, "$1")));
    this.#send({ typeUrl, responseNonce: nonce });
  }
}

test("over real sockets, another cluster's control plane reads what is shared, and each change of it and of its grant", async () => {
  const { plane, write } = await start("east", shared("shop", "cart"));
  const west = await TestAuthority.create({ name: "CN=west", pathLength: 0 }, root);
  const peer = new GrpcPeer(plane.ports.xds, await west.issue([ISTIOD]), west.root);
  const hears = async (...names: readonly string[]): Promise<void> => {
    await until(() => peer.heard.length >= names.length || peer.ended !== undefined);
    assert.deepEqual(peer.heard.splice(0), names, peer.ended?.details);
  };
  peer.ask(SGDS_TYPE, "west");
  await hears("east", "__synced__");
  peer.ask(FSDS_TYPE, "west");
  await hears("east/shop/cart", "__synced__");
  peer.ask(ADDRESS_TYPE, "west");
  await hears("__synced__");
  assert.deepEqual(
    plane.discovery.clients().map(({ cluster, subscriptions }) => [cluster, subscriptions.length]),
    [["west", 3]],
  );
  write(shared("shop", "cart"), shared("bank", "teller"));
  await hears("east/bank/teller");
  write(shared("shop", "cart"), shared("bank", "teller"), grant("west", "bank"));
  await hears("-east/shop/cart");
  assert.deepEqual(plane.peerClients().served[0]?.granted, [
    { by: "PeerGrant", scopes: [{ namespaces: ["bank"], services: undefined }] },
  ]);
  write(shared("shop", "cart"));
  await until(() => peer.heard.length >= 2);
  assert.deepEqual(peer.heard.sort(), ["-east/bank/teller", "east/shop/cart"]);
});

test("over real sockets, who is no control plane gets nothing that is for one, with the reason as a word", async () => {
  const { plane } = await start("east", shared("shop", "cart"));
  const { west, other } = {
    west: await TestAuthority.create({ name: "CN=west" }, root),
    other: await TestAuthority.create("CN=x"),
  };
  const ztunnelId = "spiffe://cluster.local/ns/istio-system/sa/ztunnel";
  const shownBy = async (authority: TestAuthority, uri: string, type: string, cluster: string): Promise<string> => {
    const peer = new GrpcPeer(plane.ports.xds, await authority.issue([uri]), authority.root);
    peer.ask(FSDS_TYPE, cluster, type);
    await until(() => peer.ended !== undefined);
    assert.deepEqual(peer.heard, []);
    const [reason] = peer.ended!.metadata.get("causeway-reason");
    return `${grpc.status[peer.ended!.code]} ${String(reason)}`;
  };
  assert.equal(await shownBy(west, ztunnelId, "ztunnel", "west"), "PERMISSION_DENIED NotAPeer");
  assert.equal(await shownBy(west, ztunnelId, "istiod", "west"), "PERMISSION_DENIED NotAPeer");
  assert.equal(await shownBy(west, ISTIOD, "ztunnel", "west"), "PERMISSION_DENIED NotAPeer");
  assert.equal(await shownBy(west, ISTIOD, "istiod", "east"), "PERMISSION_DENIED OwnCluster");
  assert.match(await shownBy(other, ISTIOD, "istiod", "west"), /^UNAUTHENTICATED /, "under a root that nobody trusts");
});

test("a link in one direction: west reads east by a Gateway of its own, and east reads nothing of west", async () => {
  const east = await start("east", shared("shop", "cart"));
  const west = await start("west", shared("bank", "teller"), gatewayTo("east", east.plane.ports.xds));
  const federated = () => [...west.plane.registry.peers.federated.entries()].map(([key]) => key as string);
  await until(() => west.plane.peers()[0]?.state === "live" && federated().length > 0);
  assert.deepEqual(federated(), ["east/shop/cart"]);
  const { served, refused } = east.plane.peerClients();
  assert.deepEqual(
    served.map(({ cluster, identity, granted }) => [cluster, identity, granted]),
    [["west", ISTIOD, []]],
  );
  assert.deepEqual([refused, east.plane.peers(), [...east.plane.registry.peers.federated.entries()]], [[], [], []]);
});
