import assert from "node:assert/strict";
import { test } from "mocha";
import { eastWestGateway, remoteGateway, type GatewayManifest } from "../../src/linking/gateways.ts";
import { clusterId } from "../../src/names.ts";
import type { Fields } from "../../src/registry/kube/fields.ts";
import { readGateway, type KubeGateway } from "../../src/registry/kube/gateway.ts";
import { metadataOf } from "../../src/registry/kube/metadata.ts";

/** As the control plane reads it. */
function read(manifest: GatewayManifest): KubeGateway {
  const object = manifest as unknown as Fields;
  return readGateway(metadataOf(object["metadata"], clusterId("east"), "", false), object);
}

const gateway = (labels: object, annotations: object | undefined, spec: object) => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "Gateway",
  metadata: { name: "istio-eastwest", namespace: "istio-eastwest", labels, ...(annotations && { annotations }) },
  spec,
});
const routes = { allowedRoutes: { namespaces: { from: "Same" } } };
const LISTENERS = [
  { name: "cross-network", port: 15008, protocol: "HBONE", tls: { mode: "Passthrough" }, ...routes },
  { name: "xds-tls", port: 15012, protocol: "TLS", tls: { mode: "Passthrough" }, ...routes },
];
const LABELS = {
  "istio.io/expose-istiod": "15012",
  "topology.istio.io/cluster": "bank",
  "topology.istio.io/network": "net-bank",
};

test("the way into a cluster is the Gateway that the guides show", () => {
  const manifest = eastWestGateway({ cluster: "bank", network: "net-bank" });
  assert.deepEqual(manifest, gateway(LABELS, undefined, { gatewayClassName: "istio-eastwest", listeners: LISTENERS }));
  const { exposedIstiod, network, leadsTo, listeners } = read(manifest);
  assert.deepEqual([exposedIstiod, network, leadsTo], [15012, "net-bank", "bank"]);
  assert.deepEqual(
    listeners.map(({ protocol, port, passes }) => [protocol, port, passes]),
    [
      ["HBONE", 15008, true],
      ["TLS", 15012, true],
    ],
  );
});

test("a way in by node ports names them, and is offered to peers by them", () => {
  const ports = { hboneNodePort: 30015, xdsNodePort: 30016 };
  const manifest = eastWestGateway({ cluster: "bank", network: "net-bank", serviceTypes: ["nodeport"], ...ports });
  assert.deepEqual(manifest.metadata.annotations, {
    "peering.solo.io/data-plane-service-type": "nodeport",
    "gateways.causeway.dev/node-ports": "15008=30015,15012=30016",
  });
  const { serviceType, deployment } = read(manifest);
  assert.deepEqual([serviceType, deployment.nodePorts], ["nodeport", "15008=30015,15012=30016"]);
});

test("what a cloud wants to know of its load balancer is put on all that is made for the Gateway", () => {
  const annotation = { "service.beta.kubernetes.io/aws-load-balancer-scheme": "internal" };
  const manifest = eastWestGateway({
    cluster: "bank",
    network: "net-bank",
    serviceAnnotations: annotation,
    parameters: "istio-eastwest",
  });
  const { deployment } = read(manifest);
  assert.deepEqual(deployment.annotations, annotation);
  assert.deepEqual(deployment.parametersRef, { group: "", kind: "ConfigMap", name: "istio-eastwest" });
});

test("a Gateway of upstream's class says that tunnels end at it, without which no upstream control plane uses it", () => {
  const { listeners } = read(eastWestGateway({ cluster: "bank", network: "net-bank", className: "istio-east-west" }));
  assert.deepEqual(
    listeners.map(({ terminates }) => terminates),
    [true, false],
  );
});

test("a peer's Gateway has its addresses by their kinds, its port, and what was said of it", () => {
  const manifest = remoteGateway({
    cluster: "bank",
    network: "net-bank",
    addresses: ["192.0.2.1", "2001:db8::1", "bank.example"],
    xdsPort: 30016,
    trustDomain: "bank.example",
    serviceAccount: "door",
    preferred: "nodeport",
    region: "eu",
    zone: "eu-1",
  });
  assert.equal(manifest.metadata.name, "istio-remote-peer-bank");
  assert.deepEqual(
    manifest.spec.addresses?.map(({ type }) => type),
    ["IPAddress", "IPAddress", "Hostname"],
  );
  const found = read(manifest);
  assert.deepEqual(
    [found.leadsTo, found.network, found.trustDomain, found.serviceAccount, found.preferredServiceType],
    ["bank", "net-bank", "bank.example", "door", "nodeport"],
  );
  assert.deepEqual(
    found.listeners.map(({ protocol, port }) => [protocol, port]),
    [["TLS", 30016]],
  );
  assert.deepEqual(
    found.wantedAddresses.map((host) => (host.kind === "ip" ? host.ip : host.hostname)),
    ["192.0.2.1", "2001:db8::1", "bank.example"],
  );
  assert.deepEqual(found.locality, { region: "eu", zone: "eu-1", subzone: "" });
});

test("a peer's Gateway says nothing that nobody said", () => {
  const { metadata, spec } = remoteGateway({ cluster: "bank", network: "net-bank", addresses: ["192.0.2.1"] });
  assert.deepEqual(metadata, {
    name: "istio-remote-peer-bank",
    namespace: "istio-eastwest",
    labels: { "topology.istio.io/cluster": "bank", "topology.istio.io/network": "net-bank" },
  });
  assert.deepEqual(spec.listeners, LISTENERS.slice(1));
});
