import assert from "node:assert/strict";
import { afterEach, test } from "mocha";
import { CLUSTER_TRUST_BUNDLES } from "../../src/kube/resource-types.ts";
import type { FakeApiServer } from "../kits/fake-api-server.ts";
import { KubernetesLab } from "./kubernetes-lab.ts";

const labs: KubernetesLab[] = [];
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.close();
});
const open = (environment = { ENABLE_CLUSTER_TRUST_BUNDLE_API: "true" }): KubernetesLab => {
  const lab = new KubernetesLab(["east"], { environment });
  labs.push(lab);
  return lab;
};
const NAME = "istio.io:istiod-ca:root-cert";
const specOf = (server: FakeApiServer): unknown => server.get(CLUSTER_TRUST_BUNDLES, undefined, NAME)?.["spec"];
const spec = (trustBundle: string) => ({ signerName: "istio.io/istiod-ca", trustBundle });
const asks = (server: FakeApiServer): number =>
  server.requests.filter(({ path }) => path.includes("clustertrustbundles")).length;
const writes = (server: FakeApiServer): number =>
  server.requests.filter(({ verb, path }) => verb === "PATCH" && path.includes("clustertrustbundles")).length;

test("the roots are in a ClusterTrustBundle, follow each change, and an edit is mended", async () => {
  const lab = open();
  const server = lab.server("east");
  const { clusters } = await lab.start();
  clusters.publishTrust("one", "");
  await lab.pass(10_000);
  assert.deepEqual(specOf(server), spec("one"));
  clusters.publishTrust("two", "");
  await lab.pass(5_000);
  assert.deepEqual(specOf(server), spec("two"));
  await lab.pass(1_200_000);
  assert.equal(writes(server), 2, "what is as it should be is not written again");
  const metadata = { name: NAME };
  server.put({ apiVersion: "certificates.k8s.io/v1beta1", kind: "ClusterTrustBundle", metadata, spec: spec("none") });
  await lab.pass(5_000);
  assert.deepEqual(specOf(server), spec("two"));
});

test("an API server of the alpha has it, too", async () => {
  const lab = open();
  const server = lab.server("east");
  server.uninstall(CLUSTER_TRUST_BUNDLES);
  server.install({ ...CLUSTER_TRUST_BUNDLES, versions: ["v1alpha1"] });
  (await lab.start()).clusters.publishTrust("one", "");
  await lab.pass(60_000);
  assert.deepEqual(specOf(server), spec("one"));
});

test("an API server without the kind is written nothing, complains of nothing, and gets it once it has the kind", async () => {
  const lab = open();
  const server = lab.server("east");
  server.uninstall(CLUSTER_TRUST_BUNDLES);
  const { clusters } = await lab.start();
  clusters.publishTrust("one", "");
  await lab.pass(300_000);
  assert.equal(writes(server), 0);
  assert.deepEqual(clusters.problems(), []);
  server.install(CLUSTER_TRUST_BUNDLES);
  await lab.pass(90_000);
  assert.deepEqual(specOf(server), spec("one"));
});

test("without the right to see it nothing is written, and the log says what is forbidden", async () => {
  const lab = open();
  const server = lab.server("east");
  server.faults.forbidden = ({ resource }) => resource === "clustertrustbundles";
  (await lab.start()).clusters.publishTrust("one", "");
  await lab.pass(120_000);
  assert.equal(writes(server), 0);
  assert.ok(lab.host.lines.some((line) => /clustertrustbundles is forbidden/.test(line)));
});

test("unless it is asked for, nobody asks for it", async () => {
  const lab = open({ ENABLE_CLUSTER_TRUST_BUNDLE_API: "" });
  (await lab.start()).clusters.publishTrust("one", "");
  await lab.pass(60_000);
  assert.equal(asks(lab.server("east")), 0);
});
