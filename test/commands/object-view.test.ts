import assert from "node:assert/strict";
import { test } from "mocha";
import { debugPages } from "../../src/commands/debug-pages.ts";
import { objectView, type ObjectView } from "../../src/commands/object-view.ts";
import { DebugPages } from "../../src/debug-page.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import type { EmbeddedObjects } from "../../src/plane/clusters.ts";
import { object, pod, service, testMesh } from "../registry/mesh.ts";
import { peerGateway } from "../registry/peers.ts";
import { viewedMesh } from "./served-mesh.ts";

const SESAME = "open-sesame";
const KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n";
const held = (objects: readonly KubeObject[]): EmbeddedObjects => ({
  objects: objects.map((each, at) => ({ origin: `shop/all.yaml:${at}`, object: each })),
  ...{ problems: [], unknownKinds: [] },
});

/** What the page shows of a cluster that is folders with these objects. */
function shown(objects: readonly KubeObject[] | undefined): ObjectView {
  const viewed = viewedMesh(objects ?? []);
  const embedded = objects && held(objects);
  const pages = new DebugPages(debugPages({ ...viewed, embedded: () => embedded }));
  return JSON.parse([...pages.slices("objectz", new URLSearchParams())].join("")) as ObjectView;
}

test("objectz shows what a cluster of folders holds, never a Secret, and no key, token or password of anything else", () => {
  const secrets = { data: { "tls.key": Buffer.from(KEY).toString("base64") }, stringData: { password: SESAME } };
  const secret = { apiVersion: "v1", kind: "Secret", ...secrets };
  const env = [{ name: "DB_URL", value: SESAME }];
  const containers = [{ name: "cart", image: "cart:1", env, args: [SESAME] }];
  const applied = { "kubectl.kubernetes.io/last-applied-configuration": SESAME, note: KEY };
  const page = shown([
    { ...secret, metadata: { name: "cacerts", namespace: "istio-system" } },
    { ...secret, metadata: { name: "west", namespace: "istio-system", labels: { "istio/multiCluster": "true" } } },
    object("v1", "ConfigMap", { name: "app" }, { data: { "app.yaml": SESAME } }),
    object("v1", "ConfigMap", { name: "istio" }, { data: { mesh: "trustDomain: a" } }),
    pod("cart-1", "10.0.0.1", {}, { containers }),
    service("cart", "10.96.0.1", {}, { annotations: applied }),
    object("example.com/v1", "Vault", { name: "app" }, { spec: { password: SESAME } }),
  ]);
  assert.deepEqual([page.cluster, page.embedded], ["east", true]);
  const names = page.objects.map(({ origin, object: { kind, metadata } }) => `${kind} ${metadata.name} ${origin}`);
  assert.deepEqual(names, [
    "ConfigMap istio shop/all.yaml:3",
    "Pod cart-1 shop/all.yaml:4",
    "Service cart shop/all.yaml:5",
  ]);
  assert.doesNotMatch(JSON.stringify(page), /sesame|MC4CAQ/);
});

test("Gateways to peers have the conditions on objectz that an API server would have been told", () => {
  const objects = [peerGateway("west"), peerGateway("here", { labels: { "topology.istio.io/cluster": "east" } })];
  const { registry } = testMesh(objects, { peeringDiscovery: true });
  const { config } = viewedMesh([]);
  const statuses = objectView({ registry, config, embedded: () => held(objects) }).objects.map(
    ({ object: gateway }) => gateway["status"] as { conditions: readonly Record<string, unknown>[] },
  );
  const said = statuses.map(({ conditions }) =>
    conditions.map(({ type, status, reason }) => [type, status, reason].join(" ")),
  );
  assert.deepEqual(said, [
    [
      "Accepted True Accepted",
      "Programmed True Programmed",
      "gloo.solo.io/PeerConnected Unknown Pending",
      "gloo.solo.io/PeeringSucceeded Unknown SyncPending",
      "gloo.solo.io/PeerDataPlaneProgrammed True Programmed",
    ],
    [
      "Accepted False SelfPeer",
      "Programmed True Programmed",
      "gloo.solo.io/PeerConnected False SelfPeer",
      "gloo.solo.io/PeeringSucceeded False SelfPeer",
      "gloo.solo.io/PeerDataPlaneProgrammed False SelfPeer",
    ],
  ]);
});

test("objectz of a cluster with an API server is empty: whoever may see its objects asks there", () => {
  assert.deepEqual(shown(undefined), {
    ...{ cluster: "east", embedded: false },
    ...{ objects: [], problems: [], unknownKinds: [] },
  });
});
