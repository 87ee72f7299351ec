import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { loadConfig } from "../src/config.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { MeshError } from "../src/errors.ts";
import { ADDRESS_TYPE } from "../src/xds/resource.ts";
import { realHost } from "./kits/real-host.ts";

let folder = "";
const planes: ControlPlane[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "causeway-networks-"));
});
afterEach(async () => {
  for (const plane of planes.splice(0)) await plane.close();
  rmSync(folder, { recursive: true, force: true });
});

const SHOP = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop, labels: { istio.io/global: "true" } }
spec: { selector: { app: cart }, ports: [{ port: 80 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: cart, namespace: shop }
spec:
  replicas: 3
  selector: { matchLabels: { app: cart } }
  template: { metadata: { labels: { app: cart } }, spec: { containers: [{ name: cart }] } }
`;
const system = (network: string): string => `
apiVersion: v1
kind: Namespace
metadata: { name: istio-system, labels: { topology.istio.io/network: ${network} } }
`;
const GATEWAY = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: eastwest, namespace: istio-system, labels: { topology.istio.io/network: net2 } }
spec:
  gatewayClassName: istio-east-west
  listeners: [{ name: mesh, port: 15008, protocol: HBONE, tls: { mode: Terminate } }]
status: { addresses: [{ type: IPAddress, value: 192.0.2.1 }] }
`;

function manifests(cluster: string, ...documents: readonly string[]): string {
  const at = join(folder, cluster);
  mkdirSync(at);
  writeFileSync(join(at, "mesh.yaml"), documents.join("---"));
  return at;
}

test("two folders on two networks share a global service, and what stands for its pods goes out to clients", async () => {
  const [east, west] = [manifests("east", system("net1"), SHOP), manifests("west", system("net2"), SHOP, GATEWAY)];
  const flags = { cluster: "east", manifests: [east, `west=${west}`], state: join(folder, "state"), xdsPort: "0" };
  const plane = await ControlPlane.open(realHost(), {
    config: loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" }),
    openToAll: false,
    debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
  });
  planes.push(plane);
  await plane.start(new AbortController().signal);
  const cart = "shop/cart.shop.svc.cluster.local";
  const endpoints = plane.registry.workloadsByService.get(cart);
  const coalesced = endpoints.filter(({ network }) => (network as string) === "net2");
  assert.deepEqual([endpoints.length, coalesced.length, coalesced[0]?.capacity], [4, 1, 3]);
  const service = [...plane.registry.services.entries()].find(([key]) => key === cart)?.[1];
  assert.deepEqual(service?.subjectAltNames, ["spiffe://cluster.local/ns/shop/sa/default"]);
  assert.deepEqual(
    service?.addresses.map(({ network }) => network as string),
    ["net1", "net2"],
  );
  const sent = plane.logs.get(ADDRESS_TYPE)!;
  for (const name of [cart, coalesced[0]!.uid, "NetworkGateway/net2/192.0.2.1/0"])
    assert.ok(sent.get(name), `${name} is not sent`);
});
