import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { corrupted } from "./corrupted.ts";
import { object, pod, service, testMesh } from "./mesh.ts";

const gatewayApi = "gateway.networking.k8s.io/v1";
/** A cluster that shares `cart` in a segment, with every field that peers are told something of. */
const wholes: readonly KubeObject[] = [
  object("v1", "Namespace", {
    name: "istio-system",
    namespace: undefined,
    labels: { "topology.istio.io/network": "net1", "admin.solo.io/segment": "blue" },
  }),
  object(
    "admin.solo.io/v1alpha1",
    "Segment",
    { name: "blue", namespace: "istio-system" },
    {
      spec: {
        domain: "blue.example",
        aliases: [
          {
            pattern: "{labels['tier']}.{annotations['example.com/dns']}.{service}.{namespace}.example",
            selector: { matchLabels: { tier: "gold" }, matchExpressions: [{ key: "old", operator: "DoesNotExist" }] },
          },
        ],
      },
    },
  ),
  service(
    "cart",
    "10.1.0.1",
    { ports: [{ name: "http", port: 80, targetPort: "web", appProtocol: "http" }] },
    {
      labels: { "solo.io/service-scope": "segment", "solo.io/service-takeover": "true", tier: "gold" },
      annotations: {
        "example.com/dns": "basket",
        "networking.istio.io/traffic-distribution": "PreferRegion",
        "peering.causeway.dev/waypoint-policy": "source",
      },
    },
  ),
  pod("cart-1", "10.0.0.1", { app: "cart" }, { containers: [{ ports: [{ name: "web", containerPort: 8080 }] }] }),
  object(
    "v1",
    "Node",
    { name: "n1", namespace: undefined, labels: { "topology.kubernetes.io/region": "eu" } },
    {
      spec: { unschedulable: false },
      status: {
        addresses: [{ type: "InternalIP", address: "10.0.1.1" }],
        conditions: [{ type: "Ready", status: "True" }],
      },
    },
  ),
  object(
    gatewayApi,
    "Gateway",
    { name: "ew", annotations: { "peering.solo.io/data-plane-service-type": "nodeport" } },
    { spec: { gatewayClassName: "istio-eastwest", listeners: [{ name: "hbone", port: 15008, protocol: "HBONE" }] } },
  ),
  service(
    "ew",
    "10.1.0.9",
    { type: "NodePort", externalTrafficPolicy: "Cluster", ports: [{ port: 15008, nodePort: 30015 }] },
    { labels: { "gateway.networking.k8s.io/gateway-name": "ew" } },
  ),
  object(
    gatewayApi,
    "Gateway",
    {
      name: "peer",
      generation: 2,
      labels: { "topology.istio.io/network": "net1", "topology.istio.io/cluster": "west" },
      annotations: { "peering.solo.io/preferred-data-plane-service-type": "nodeport" },
    },
    {
      spec: {
        gatewayClassName: "istio-remote",
        addresses: [{ type: "Hostname", value: "ew.west.example" }],
        listeners: [{ name: "xds", port: 15012, protocol: "TLS", tls: { mode: "Passthrough" } }],
      },
    },
  ),
  object(
    "peering.causeway.dev/v1alpha1",
    "PeerGrant",
    { name: "west", namespace: "istio-system" },
    { spec: { cluster: "west", export: { namespaces: ["shop"] } } },
  ),
];

for (const whole of wholes)
  test(`no single field of ${whole.kind} ${whole.metadata.name} that turns to garbage breaks what peers are told`, () => {
    const mesh = testMesh(wholes);
    const { exports, shared, peerGateways, peerGrants, problems } = mesh.registry;
    const contents = () =>
      [exports.services, exports.facts, exports.workloads, shared, peerGateways, peerGrants, problems].map(
        (all) => new Map<string, unknown>(all.entries()),
      );
    const sound = contents();
    assert.deepEqual(
      sound.map(({ size }) => size),
      [1, 1, 1, 1, 1, 1, 0],
    );
    for (const [field, bad] of corrupted(whole)) {
      mesh.apply(bad);
      mesh.remove(bad);
      mesh.apply(whole);
      if (problems.size === 0) continue;
      // What has neither a name nor a place of its own stays a problem.
      assert.match(field, /^metadata( |\.name|\.namespace)/);
      mesh.intake.clear();
      mesh.apply(...wholes);
    }
    assert.deepEqual(contents(), sound);
  });
