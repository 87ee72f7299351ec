import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { object, testMesh, type TestMesh } from "./mesh.ts";

const XDS = { name: "xds", port: 15012, protocol: "TLS", tls: { mode: "Passthrough" } };
const HBONE = { name: "hbone", port: 15008, protocol: "HBONE" };
const LABELS = { "topology.istio.io/network": "net2", "topology.istio.io/cluster": "west" };

const remote = (name: string, metadata: object = {}, spec: object = {}): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name, labels: LABELS, ...metadata },
    {
      spec: {
        gatewayClassName: "istio-remote",
        addresses: [{ type: "IPAddress", value: "192.0.2.1" }],
        listeners: [XDS],
        ...spec,
      },
    },
  );
const reasons = ({ registry }: TestMesh): Record<string, string | undefined> =>
  Object.fromEntries([...registry.peerGateways.entries()].map(([key, { refused }]) => [key, refused?.reason]));

test("a Gateway of class istio-remote with a TLS listener is a link, whatever its name and namespace", () => {
  const { registry } = testMesh([
    remote(
      "any-name",
      {
        generation: 4,
        labels: { ...LABELS, "topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "eu-1" },
        annotations: {
          "gateway.istio.io/service-account": "ew",
          "gateway.istio.io/trust-domain": "west.example",
          "peering.solo.io/preferred-data-plane-service-type": "NodePort",
        },
      },
      {
        addresses: [{ value: "192.0.2.1" }, { type: "Hostname", value: "ew.west.example" }],
        listeners: [HBONE, { ...XDS, port: 30016 }],
      },
    ),
  ]);
  assert.deepEqual(
    [...registry.peerGateways.entries()],
    [
      [
        "east/shop/any-name",
        {
          gateway: "east/shop/any-name",
          namespace: "shop",
          name: "any-name",
          generation: 4,
          cluster: "west",
          network: "net2",
          trustDomain: "west.example",
          hosts: [
            { kind: "ip", ip: "192.0.2.1" },
            { kind: "hostname", hostname: "ew.west.example" },
          ],
          xdsPort: 30016,
          hbonePort: 15008,
          serviceAccount: "ew",
          locality: { region: "eu", zone: "eu-1", subzone: "" },
          preferred: "nodeport",
          refused: undefined,
        },
      ],
    ],
  );
  assert.equal(registry.problems.size, 0);
});

test("what older manifests leave out has defaults: the network names the cluster, and 15008 is not said", () => {
  const { registry } = testMesh([remote("west", { labels: { "topology.istio.io/network": "net2" } })]);
  const [peer] = [...registry.peerGateways.entries()].map(([, peer]) => peer);
  assert.deepEqual(
    [peer?.cluster, peer?.hbonePort, peer?.serviceAccount, peer?.trustDomain, peer?.preferred, peer?.refused],
    ["net2", undefined, "istio-eastwest", "cluster.local", undefined, undefined],
  );
});

test("one that cannot be a link says why, and what to do", () => {
  const mesh = testMesh([
    remote("twice", {}, { listeners: [XDS, { ...XDS, name: "again", port: 15013 }] }),
    remote("ends", {}, { listeners: [{ ...XDS, tls: { mode: "Terminate" } }] }),
    remote("nowhere", { labels: { "topology.istio.io/cluster": "a" } }),
    remote("odd", { labels: { ...LABELS, "topology.istio.io/cluster": "a_" } }),
    remote("self", { labels: { ...LABELS, "topology.istio.io/cluster": "east" } }),
    remote("lost", {}, { addresses: [] }),
    remote("nodes", {
      labels: { "topology.istio.io/network": "net2" },
      annotations: { "peering.solo.io/preferred-data-plane-service-type": "nodeport" },
    }),
  ]);
  assert.deepEqual(reasons(mesh), {
    "east/shop/twice": "InvalidListener",
    "east/shop/ends": "InvalidListener",
    "east/shop/nowhere": "MissingNetwork",
    "east/shop/self": "SelfPeer",
    "east/shop/lost": "MissingAddress",
    "east/shop/nodes": "MissingCluster",
  });
  const problems = [...mesh.registry.problems.entries()].map(([, { message }]) => message);
  assert.equal(problems.length, 7);
  assert.ok(problems.some((text) => text.includes("has 2 listeners of protocol TLS; keep the one")));
});

test("of two that lead to one cluster the older is used, and the other takes over when it goes", () => {
  const at = (hour: string) => ({ creationTimestamp: `2026-01-01T${hour}:00:00Z` });
  const [older, younger] = [remote("z", at("01")), remote("a", at("02"))];
  const mesh = testMesh([older, younger, remote("broken", at("00"), { addresses: [] })]);
  assert.deepEqual(reasons(mesh), {
    "east/shop/z": undefined,
    "east/shop/a": "Conflicted",
    "east/shop/broken": "MissingAddress",
  });
  assert.match(mesh.registry.peerGateways.get("east/shop/a" as never)?.refused?.message ?? "", /older Gateway shop\/z/);
  mesh.remove(older);
  assert.equal(reasons(mesh)["east/shop/a"], undefined);
});

test("without a listener for TLS it stays a gateway to another network, and no link", () => {
  const { registry } = testMesh([remote("west", {}, { listeners: [HBONE] })]);
  assert.deepEqual([registry.peerGateways.size, registry.problems.size, registry.networkGateways.size], [0, 0, 1]);
});

test("a preferred service type that nobody knows is said to have no effect", () => {
  const annotations = { "peering.solo.io/preferred-data-plane-service-type": "carrier-pigeon" };
  const { registry } = testMesh([remote("west", { annotations })]);
  const [problem] = [...registry.problems.entries()].map(([, { message }]) => message);
  assert.match(
    problem ?? "",
    /is "carrier-pigeon", which nobody knows, so it has no effect; use loadbalancer or nodeport/,
  );
});
