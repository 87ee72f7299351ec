import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../../src/kube/object.ts";
import { applyRequest, type WantedObject } from "../../../src/kube/wanted-object.ts";
import { deployedMesh, eastWest, gateway, storedPart } from "./deployed-mesh.ts";

const KEY = "Gateway shop/wp";
const AT = "2026-01-01T00:00:00Z";
type Mesh = ReturnType<typeof deployedMesh>;

/** What an API server has of it once the wanted status was written. */
const withStatus = (object: KubeObject, wanted: WantedObject): KubeObject => ({
  ...object,
  status: (applyRequest(wanted, "v1", AT).body as { readonly status: object }).status,
});

/** Makes all that is wanted of the Gateway, with the state that others give it. */
function deploy(mesh: Mesh, available = 1, ingress: readonly object[] = [], name = "shop/wp"): void {
  const { of, store } = mesh;
  store(storedPart(of(`ServiceAccount ${name}`)!));
  const service = of(`Service ${name}`)!;
  const spec = { ...(service.fields!["spec"] as object), clusterIP: "10.0.0.1" };
  store({ ...storedPart(service, { status: { loadBalancer: { ingress } } }), spec });
  store(storedPart(of(`Deployment ${name}`)!, { status: { availableReplicas: available } }));
}

const addressesOf = ({ of }: Mesh, key = KEY): readonly string[] =>
  ((of(key)?.fields?.["status"] as { addresses?: { type: string; value: string }[] } | undefined)?.addresses ?? []).map(
    ({ type, value }) => `${type} ${value}`,
  );

/** As `mesh Accepted=False UnsupportedProtocol`, of those that are not served. */
const refusedListeners = ({ of }: Mesh, key = KEY): readonly string[] =>
  of(key)!.parts!.items.flatMap(({ fields, conditions }) =>
    conditions
      .filter(({ type, status }) => type === "Accepted" && status === "False")
      .map(({ reason }) => `${String(fields["name"])} ${reason}`),
  );
const listenerMessage = ({ of }: Mesh, name: string, key = KEY): string =>
  of(key)!
    .parts!.items.find(({ fields }) => fields["name"] === name)!
    .conditions.find(({ type }) => type === "Accepted")!.message;

test("a waypoint is pending until a replica is ready, and programmed then, at the name of its Service", () => {
  const mesh = deployedMesh([gateway()]);
  assert.deepEqual(mesh.verdicts(), ["Accepted=True Accepted", "Programmed=False Pending"]);
  assert.deepEqual(addressesOf(mesh), []);
  deploy(mesh, 0);
  assert.match(mesh.message("Programmed"), /^No replica of Deployment shop\/wp is ready; see kubectl -n shop describe/);
  assert.deepEqual(addressesOf(mesh), ["Hostname wp.shop.svc.cluster.local"]);
  deploy(mesh);
  assert.deepEqual(mesh.verdicts(), ["Accepted=True Accepted", "Programmed=True Programmed"]);
});

test("a status that is there is not written again, and keeps its times when something else changes", () => {
  const mesh = deployedMesh([gateway()]);
  deploy(mesh);
  mesh.apply(withStatus(gateway(), mesh.of(KEY)!));
  assert.equal(mesh.of(KEY)?.found, "same");
  deploy(mesh, 0);
  const [accepted, programmed] = mesh.of(KEY)!.conditions!;
  assert.deepEqual([mesh.of(KEY)?.found, accepted?.since, programmed?.since], ["different", AT, undefined]);
  const { conditions } = mesh.of(KEY)!.parts!.items[0]!;
  assert.deepEqual(
    conditions.map(({ type, since }) => [type, since === AT]),
    [
      ["Accepted", true],
      ["Conflicted", true],
      ["Programmed", false],
      ["ResolvedRefs", true],
    ],
  );
});

test("conditions of others at a Gateway are no part of what is written", () => {
  const other = { type: "example.com/Seen", status: "True", reason: "Seen", message: "", lastTransitionTime: AT };
  const { of } = deployedMesh([gateway({}, {}, { status: { conditions: [other] } })]);
  assert.deepEqual(
    of(KEY)!.conditions!.map(({ type }) => type),
    ["Accepted", "Programmed"],
  );
  assert.equal(of(KEY)!.othersConditions, undefined);
});

test("a waypoint keeps its address while its Service is away: its policies would not hold without it", () => {
  const mesh = deployedMesh([gateway()]);
  deploy(mesh);
  mesh.apply(withStatus(gateway(), mesh.of(KEY)!));
  mesh.forget("Service shop/wp");
  assert.deepEqual(addressesOf(mesh), ["Hostname wp.shop.svc.cluster.local"]);
  assert.deepEqual(mesh.verdicts(), ["Accepted=True Accepted", "Programmed=False Pending"]);
  assert.equal(mesh.of("Service shop/wp")?.found, "different");
});

test("a load balancer that gives no address is named, and one that does gives it to the Gateway", () => {
  const EW = "Gateway istio-eastwest/istio-eastwest";
  const name = "istio-eastwest/istio-eastwest";
  const mesh = deployedMesh([eastWest({ annotations: {} })]);
  deploy(mesh, 1, [], name);
  assert.deepEqual(mesh.verdicts(EW), ["Accepted=True Accepted", "Programmed=False AddressNotAssigned"]);
  assert.match(mesh.message("Programmed", EW), /type LoadBalancer, and nothing has given it an address; see kubectl/);
  deploy(mesh, 1, [{ ip: "192.0.2.7" }, { hostname: "lb.example" }, {}], name);
  assert.deepEqual(addressesOf(mesh, EW), ["IPAddress 192.0.2.7", "Hostname lb.example"]);
  assert.deepEqual(mesh.verdicts(EW), ["Accepted=True Accepted", "Programmed=True Programmed"]);
  deploy(mesh, 1, [], name);
  assert.deepEqual(addressesOf(mesh, EW), [], "the balancer itself took it back");
});

test("one IP address may be asked for, of a load balancer only", () => {
  const addresses = [{ type: "IPAddress", value: "192.0.2.9" }];
  const EW = "Gateway istio-eastwest/istio-eastwest";
  const { of } = deployedMesh([eastWest({ annotations: {} }, { addresses })]);
  const { loadBalancerIP } = of("Service istio-eastwest/istio-eastwest")!.fields!["spec"] as {
    loadBalancerIP?: string;
  };
  assert.equal(loadBalancerIP, "192.0.2.9");
  for (const wrong of [
    deployedMesh([eastWest({}, { addresses })]),
    deployedMesh([eastWest({ annotations: {} }, { addresses: [...addresses, { type: "Hostname", value: "a.b" }] })]),
  ])
    assert.deepEqual(wrong.verdicts(EW), ["Accepted=False UnsupportedAddress", "Programmed=False Invalid"]);
});

test("without a listener of HBONE nothing is deployed, and what was deployed stays", () => {
  const mesh = deployedMesh([gateway()]);
  deploy(mesh);
  const http = gateway({}, { listeners: [{ name: "web", port: 80, protocol: "HTTP" }] });
  mesh.apply(withStatus(http, mesh.of(KEY)!));
  assert.deepEqual(mesh.verdicts(), ["Accepted=False ListenersNotValid", "Programmed=False Invalid"]);
  assert.match(
    mesh.message("Accepted"),
    /None of its listeners takes HBONE; add one .* What was deployed stays as it is/,
  );
  assert.deepEqual(refusedListeners(mesh), ["web UnsupportedProtocol"]);
  assert.deepEqual(addressesOf(mesh), ["Hostname wp.shop.svc.cluster.local"]);
  for (const kind of ["Service", "Deployment"]) assert.equal(mesh.of(`${kind} shop/wp`), undefined);
});

test("of two listeners that contradict each other the first serves, and the other says why it does not", () => {
  const mesh = deployedMesh([
    gateway(
      {},
      {
        listeners: [
          { name: "one", port: 15008, protocol: "HBONE" },
          { name: "two", port: 15009, protocol: "HBONE" },
          { name: "three", port: 15008, protocol: "TLS" },
          { name: "four", port: 15021, protocol: "HTTP" },
        ],
      },
    ),
  ]);
  assert.deepEqual(mesh.verdicts()[0], "Accepted=True ListenersNotValid");
  assert.match(mesh.message("Accepted"), /not served: two, three, four/);
  assert.deepEqual(refusedListeners(mesh), ["two HostnameConflict", "three ProtocolConflict", "four PortUnavailable"]);
  assert.match(listenerMessage(mesh, "two"), /Listener one takes HBONE already/);
  const { ports } = mesh.of("Service shop/wp")!.fields!["spec"] as { ports: { port: number }[] };
  assert.deepEqual(
    ports.map(({ port }) => port),
    [15021, 15008],
  );
});

test("a waypoint takes HBONE where ztunnels send it; TLS of an east-west gateway leads to the control plane or nowhere", () => {
  const waypoint = deployedMesh([gateway({}, { listeners: [{ name: "m", port: 15443, protocol: "HBONE" }] })]);
  assert.deepEqual(refusedListeners(waypoint), ["m PortUnavailable"]);
  const EW = "Gateway istio-eastwest/istio-eastwest";
  const unlabelled = deployedMesh([eastWest({ labels: {} })]);
  assert.deepEqual(refusedListeners(unlabelled, EW), ["tls-xds UnsupportedProtocol"]);
  assert.match(listenerMessage(unlabelled, "tls-xds", EW), /label the Gateway istio\.io\/expose-istiod: "15012"/);
  const tls = { name: "xds", port: 15012, protocol: "TLS", tls: { mode: "Terminate" } };
  const ends = deployedMesh([eastWest({}, { listeners: [{ name: "h", port: 15008, protocol: "HBONE" }, tls] })]);
  assert.match(listenerMessage(ends, "xds", EW), /make tls\.mode Passthrough/);
});

test("annotations that nobody can read are named with what would be right", () => {
  for (const [annotations, message] of [
    [{ "networking.istio.io/service-type": "Nodeport" }, /service-type is "Nodeport"; use ClusterIP, NodePort or Load/],
    [{ "gateways.causeway.dev/node-ports": "15008:30015" }, /node-ports must be as 15008=30015,15012=30016/],
    [{ "gateways.causeway.dev/node-ports": "15008=30015,15012=30015" }, /node-ports must be as/],
  ] as const) {
    const mesh = deployedMesh([gateway({ annotations })]);
    assert.equal(mesh.verdicts()[0], "Accepted=False InvalidParameters");
    assert.match(mesh.message("Accepted"), message);
  }
});

test("an object of that name that is somebody else's is neither written nor deleted, and the Gateway says so", () => {
  const mesh = deployedMesh([gateway()]);
  const theirs = { ...storedPart(mesh.of("Service shop/wp")!) };
  mesh.store({ ...theirs, metadata: { ...theirs.metadata, ownerReferences: [] } });
  assert.equal(mesh.of("Service shop/wp"), undefined);
  assert.match(
    mesh.message("Programmed"),
    /^Service shop\/wp is somebody else's: no ownerReference of it is this Gate/,
  );
  mesh.forget("Service shop/wp");
  assert.deepEqual(mesh.of("Service shop/wp")?.guard, { uid: undefined }, "who writes looks before it is made");
  mesh.troubles.set("Service shop/wp", { kind: "foreign", message: "" });
  mesh.flush();
  assert.match(mesh.message("Programmed"), /^Service shop\/wp is somebody else's/);
});

test("a Deployment that another controller made for this Gateway is not mixed with ours", () => {
  const mesh = deployedMesh([gateway()]);
  const { metadata, ...rest } = storedPart(mesh.of("Deployment shop/wp")!);
  mesh.store({ ...rest, metadata: { ...metadata, annotations: {} } } as KubeObject);
  assert.equal(mesh.of("Deployment shop/wp"), undefined);
  assert.match(mesh.message("Programmed"), /was made by another controller, .* once you delete it, it is made anew/);
});

test("what the API server refuses, as a port of nodes that is taken, shows in its words", () => {
  const mesh = deployedMesh([gateway()]);
  const said = "spec.ports[0].nodePort: Invalid value: 30015: provided port is already allocated";
  mesh.troubles.set("Service shop/wp", { kind: "refused", message: said });
  mesh.flush();
  assert.deepEqual(mesh.verdicts()[1], "Programmed=False NoResources");
  assert.ok(mesh.message("Programmed").endsWith(said));
  mesh.troubles.set("Service shop/wp", { kind: "denied", message: "forbidden" });
  mesh.flush();
  assert.match(mesh.message("Programmed"), /grant what deploy\/rbac\/gateways\.yaml does/);
});

test("Gateways of other controllers' classes, of peers, on their way out or of another revision are left alone", () => {
  const classOf = (name: string, controllerName: string): KubeObject => ({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "GatewayClass",
    metadata: { name, uid: name },
    spec: { controllerName },
  });
  const { wanted, apply, of } = deployedMesh([
    classOf("istio-eastwest", "example.com/theirs"),
    classOf("mine", "istio.io/mesh-controller"),
    classOf("far", "istio.io/eastwest-controller"),
    gateway({ name: "a" }, { gatewayClassName: "istio-eastwest" }),
    gateway({ name: "b" }, { gatewayClassName: "istio-remote" }),
    gateway({ name: "c" }, { gatewayClassName: "nginx" }),
    gateway({ name: "d", deletionTimestamp: AT }),
    gateway({ name: "e", labels: { "istio.io/rev": "other" } }),
    gateway({ name: "f", uid: undefined }),
    gateway({ name: "i" }, { gatewayClassName: "far" }),
  ]);
  const keys = (which: "anybodys" | "ours") =>
    [...wanted[which].entries()].map(([key]) => key).filter((key) => !key.startsWith("GatewayClass"));
  assert.deepEqual([keys("anybodys"), keys("ours")], [[], []]);
  apply(
    gateway({ name: "g" }, { gatewayClassName: "mine" }),
    gateway({ name: "h", labels: { "istio.io/rev": "default" } }),
  );
  assert.ok(of("Deployment shop/g"));
  assert.deepEqual(keys("ours"), ["ServiceAccount shop/h", "Service shop/h", "Deployment shop/h", "Gateway shop/h"]);
});

test("a class of ours that is there is only said to be accepted, and one of another controller not even that", () => {
  const { of, apply } = deployedMesh();
  apply(gateway());
  assert.deepEqual(of("GatewayClass istio-waypoint")?.guard, { uid: undefined });
  const there = (name: string, controllerName: string, status?: unknown): KubeObject => ({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "GatewayClass",
    metadata: { name, uid: name, generation: 1 },
    spec: { controllerName },
    ...(status !== undefined && { status }),
  });
  apply(there("istio-waypoint", "istio.io/mesh-controller"), there("istio-remote", "example.com/theirs"));
  assert.equal(of("GatewayClass istio-waypoint"), undefined);
  assert.equal(of("GatewayClass istio-remote") ?? of("GatewayClass istio-remote status"), undefined);
  const status = of("GatewayClass istio-waypoint status")!;
  assert.equal(status.subresource, "status");
  apply(withStatus(there("istio-waypoint", "istio.io/mesh-controller"), status));
  assert.equal(of("GatewayClass istio-waypoint status")?.found, "same");
});
