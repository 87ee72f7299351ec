import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import type { Environment } from "../../src/command.ts";
import { loadConfig } from "../../src/config.ts";
import { MeshError } from "../../src/errors.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { clusterId } from "../../src/names.ts";
import { parseTemplates } from "../../src/plane/registration-templates.ts";
import { SpireRegistration } from "../../src/plane/spire-registration.ts";
import { FakeSpireServer } from "../kits/fake-spire-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { object, pod, testMesh } from "../registry/mesh.ts";
import { captured, MESH_ID, namespace, node, spiffeId } from "../registry/spire-mesh.ts";

const EAST = clusterId("east");
let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "causeway-registration-"))));
afterEach(() => rm(folder, { recursive: true }));

/** Cluster `east` with an agent of SPIRE on node n1, registered by a process that leads. */
async function plane(objects: readonly KubeObject[], environment: Environment = {}) {
  const host = new TestHost();
  const { graph, registry, apply, remove } = testMesh();
  const server = new FakeSpireServer();
  server.addAgent("n1");
  const config = loadConfig(
    { cluster: "east" },
    {
      ...{ SPIRE_SERVER_ADDRESS: "unix:/s", SPIRE_CLUSTER: "east-spire", SPIRE_REGISTER: "on" },
      ...{ WORKLOAD_IDENTITY: "external", ...environment },
    },
    { listenAddress: "127.0.0.1", stateDir: folder },
  );
  const nothing = (): void => {};
  const context = { host, config, graph, registry, noteProblems: nothing, noteMesh: nothing };
  const registration = new SpireRegistration(context, server);
  await registration.open();
  apply(namespace("shop"), node("n1"), ...objects);
  graph.onDirty = () => void host.clock.after(0, () => graph.flush());
  registration.start({ election: () => undefined });
  const problems = (): readonly string[] =>
    registration.problems().map(({ object, message }) => `${object}: ${message}`);
  const registered = (): readonly string[] => server.all.map(({ selectors }) => selectors.join(" ")).sort();
  const pass = (ms: number): Promise<void> => host.clock.pass(ms);
  await pass(2_000);
  return { host, server, registration, apply, remove, problems, registered, pass };
}

const ambient = (name: string): KubeObject => captured(name, { "istio.io/dataplane-mode": "ambient" });

test("pods of the mesh are registered under their own node's agent, and go when they go", async () => {
  const { server, registered, registration, apply, remove, problems, pass } = await plane([
    ambient("cart"),
    pod("outside", "10.0.0.9"),
  ]);
  assert.deepEqual(registered(), ["k8s:pod-uid:uid-cart"]);
  const [entry] = server.all;
  assert.equal(entry!.spiffeId, "spiffe://cluster.local/ns/shop/sa/cart");
  assert.equal(entry!.parentId, server.agentList[0]!.id);
  assert.match(entry!.id, /^causeway\.east-spire\.uid-cart\./);
  apply(ambient("web"));
  await pass(1_000);
  assert.equal(registered().length, 2);
  remove(ambient("cart"));
  await pass(60_000);
  assert.deepEqual(registered(), ["k8s:pod-uid:uid-web"]);
  assert.deepEqual(problems(), []);
  const view = registration.view();
  assert.deepEqual([view.register, view.state?.phase, view.uncovered], ["built-in", "settled", []]);
});

test("a node without an agent is named with its pods, and they are registered once it has one", async () => {
  const { server, registered, problems, pass } = await plane([
    object(
      "v1",
      "Pod",
      { name: "far", uid: "uid-far", labels: { "istio.io/dataplane-mode": "ambient" } },
      { spec: { nodeName: "n2" } },
    ),
  ]);
  assert.deepEqual(registered(), []);
  assert.equal(problems().length, 1);
  assert.match(
    problems()[0]!,
    /^SPIRE registration: SPIRE has no agent on n2, so 1 pod there \(shop\/far\) waits for an entry\. .*cluster east-spire/,
  );
  server.addAgent("n2");
  await pass(10_000);
  assert.deepEqual(registered(), ["k8s:pod-uid:uid-far"]);
  assert.deepEqual(problems(), []);
});

test("where SPIRE's controller handles ClusterSPIFFEIDs nothing is written, unless both are allowed", async () => {
  const handled = spiffeId("istio-ambient-reg", {}, { stats: { podsSelected: 1 } });
  const refused = await plane([ambient("cart"), handled]);
  assert.deepEqual(refused.server.calls, []);
  assert.match(
    refused.problems()[0]!,
    /Nothing is registered: SPIRE's controller makes entries here: it has handled ClusterSPIFFEID istio-ambient-reg.*--spire-register-beside-controller on/,
  );
  refused.remove(handled);
  await refused.pass(1_000);
  assert.equal(refused.registered().length, 1);
  const both = await plane([ambient("cart"), handled], { SPIRE_REGISTER_BESIDE_CONTROLLER: "true" });
  assert.equal(both.registered().length, 1);
  const idle = await plane([ambient("cart"), spiffeId("nobody-looks-at-it")]);
  assert.equal(idle.registered().length, 1);
});

test("an entry stays while pods of its namespace cannot be read, and goes once they can", async () => {
  const { registered, apply, remove, pass } = await plane([ambient("cart"), ambient("web")]);
  const broken = object("v1", "Pod", { name: "odd" }, { spec: { nodeName: "n1" }, status: { phase: "Dreaming" } });
  apply(broken);
  remove(ambient("cart"));
  await pass(120_000);
  assert.equal(registered().length, 2);
  remove(broken);
  await pass(120_000);
  assert.deepEqual(registered(), ["k8s:pod-uid:uid-web"]);
});

const file = (...specs: readonly object[]): string =>
  specs
    .map((spec, at) =>
      JSON.stringify({
        apiVersion: "spire.spiffe.io/v1alpha1",
        kind: "ClusterSPIFFEID",
        metadata: { name: `own-${at}` },
        spec: { spiffeIDTemplate: MESH_ID, ...spec },
      }),
    )
    .join("\n---\n");

test("a file of templates is followed; one that is spoiled changes nothing and is a problem until it is mended", async () => {
  const path = join(folder, "ids.yaml");
  const settled = async (mesh: Awaited<ReturnType<typeof plane>>, done: () => boolean): Promise<void> => {
    // The disk is real.
    for (let tries = 0; tries < 200 && !done(); tries++) {
      await mesh.pass(5_000);
      await stat(folder);
    }
    assert.ok(done());
  };
  await writeFile(path, file({ podSelector: { matchLabels: { app: "cart" } } }));
  const mesh = await plane([captured("cart", { app: "cart" }), captured("web", { app: "web" })], {
    SPIRE_REGISTER: path,
  });
  assert.deepEqual(mesh.registered(), ["k8s:pod-uid:uid-cart"]);
  await writeFile(path, file({ admin: true }));
  await settled(mesh, () => mesh.problems().length > 1);
  assert.match(
    mesh.problems().join("\n"),
    /ids\.yaml:1: ClusterSPIFFEID own-0: spec\.admin is true.*What the file said before holds/,
  );
  assert.deepEqual(mesh.registered(), ["k8s:pod-uid:uid-cart"]);
  await writeFile(path, file({ podSelector: { matchLabels: { app: "web" } } }));
  await settled(mesh, () => mesh.registered().join() === "k8s:pod-uid:uid-web");
  await mesh.registration.close();
});

test("a file that cannot be used is refused at the start, by line, object and field", async () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ["", /ids\.yaml: it holds no ClusterSPIFFEID; .*--spire-register off/],
    ["a: [", /ids\.yaml:1: /],
    [`# a comment\n${file({ jwtTtl: "1h" })}`, /ids\.yaml:2: ClusterSPIFFEID own-0: spec\.jwtTtl is set/],
    [`${file({})}\n---\n${file({})}`, /ids\.yaml:3: ClusterSPIFFEID own-0 is there twice/],
    ["apiVersion: v1\nkind: Pod\nmetadata: {name: x}", /ids\.yaml:1: Pod x is no ClusterSPIFFEID/],
    [
      file({ spiffeIDTemplate: "spiffe://{{ .PodMeta.Annotations.x }}" }),
      /spec\.spiffeIDTemplate uses \{\{ \.PodMeta\.Annotations\.x \}\}/,
    ],
  ];
  for (const [text, why] of refused)
    assert.throws(
      () => parseTemplates(text, "ids.yaml", EAST),
      (thrown) => thrown instanceof MeshError && thrown.code === "invalid" && why.test(thrown.message),
      text,
    );
  await assert.rejects(plane([], { SPIRE_REGISTER: join(folder, "absent.yaml") }), /absent\.yaml cannot be read/);
});

test("a template that fails for a pod is a problem that names both, and costs the pod nothing that it had", async () => {
  const path = join(folder, "ids.yaml");
  await writeFile(
    path,
    file({ spiffeIDTemplate: "spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodMeta.Labels.app }}" }),
  );
  const { registered, apply, problems, pass } = await plane([captured("cart", { app: "cart" })], {
    SPIRE_REGISTER: path,
  });
  assert.equal(registered().length, 1);
  apply(captured("cart"));
  await pass(120_000);
  assert.equal(registered().length, 1);
  assert.match(
    problems().join("\n"),
    /ClusterSPIFFEID own-0: For 1 pod \(shop\/cart\) no entry is made of it: of cart spec\.spiffeIDTemplate cannot be filled in: the pod has no label app/,
  );
});

test("what the server refuses, that it is down, and what is held back are problems with what to do", async () => {
  const many = Array.from({ length: 40 }, (_, at) => ambient(`svc${at}`));
  const { server, apply, remove, problems, pass } = await plane(many);
  assert.equal(server.all.length, 40);
  remove(...many.slice(0, 20));
  await pass(60_000);
  assert.equal(server.all.length, 40);
  assert.match(
    problems().join("\n"),
    /20 of 40 entries are for identities that no pod has any more\..*--spire-register-removals 100/,
  );
  apply(...many);
  await pass(1_000);
  assert.deepEqual(problems(), []);
  server.refuses = () => "federated bundle west.example is not known";
  apply(ambient("new"));
  await pass(1_000);
  assert.match(
    problems().join("\n"),
    /SPIRE's server refuses 1 of our entries of shop\/new: federated bundle west\.example is not known/,
  );
  server.down = new MeshError("denied", "no entry of ours has admin");
  await pass(61_000);
  assert.match(problems().join("\n"), /Entries of new pods are not made: no entry of ours has admin/);
});

test("without registering, ClusterSPIFFEIDs that miss pods of the mesh are problems, and no server is asked", async () => {
  const mesh = await plane(
    [
      captured("cart"),
      captured("odd", { app: "odd" }),
      pod("ztunnel", "10.0.0.7", { app: "ztunnel" }, { serviceAccountName: "ztunnel" }),
      spiffeId("ambient", { podSelector: { matchLabels: { "istio.io/dataplane-mode": "ambient" } } }),
      spiffeId("by-name", {
        spiffeIDTemplate: "spiffe://{{ .TrustDomain }}/{{ .PodMeta.Name }}",
        podSelector: { matchLabels: { app: "odd" } },
      }),
    ],
    { SPIRE_REGISTER: "off", CA_TRUSTED_NODE_ACCOUNTS: "shop/ztunnel" },
  );
  const [first, second, ...others] = mesh.problems();
  assert.match(
    first!,
    /^ClusterSPIFFEIDs: None of them selects 2 pods of the mesh: shop\/cart, shop\/ztunnel\..*namespaceSelector istio\.io\/dataplane-mode: ambient.*podSelector app: ztunnel/,
  );
  assert.match(
    second!,
    /^ClusterSPIFFEID by-name: For 1 pod of the mesh \(shop\/odd\).*it gives spiffe:\/\/cluster\.local\/odd, where the mesh knows spiffe:\/\/cluster\.local\/ns\/shop\/sa\/odd\. Use spiffe:\/\/\{\{/,
  );
  assert.deepEqual(others, []);
  assert.deepEqual(mesh.server.calls, []);
  const views = new Map(mesh.registration.view().spiffeIds.map(({ name, whyNotMesh }) => [name, whyNotMesh]));
  assert.equal(views.get("ambient"), "");
  assert.match(views.get("by-name")!, /it gives spiffe:\/\/cluster\.local\/a-pod/);
  mesh.apply(spiffeId("all"));
  assert.deepEqual(mesh.problems(), []);
});

test("a cluster that has no ClusterSPIFFEID is registered in other ways, and not accused", async () => {
  const { problems } = await plane([captured("cart")], { SPIRE_REGISTER: "off" });
  assert.deepEqual(problems(), []);
});
