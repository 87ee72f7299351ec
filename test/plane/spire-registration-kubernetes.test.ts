import assert from "node:assert/strict";
import { afterEach, test } from "mocha";
import type { Environment } from "../../src/command.ts";
import { CLUSTER_SPIFFE_IDS, LEASES, NODES, PODS } from "../../src/kube/resource-types.ts";
import { SpireRegistration } from "../../src/plane/spire-registration.ts";
import { FakeSpireServer } from "../kits/fake-spire-server.ts";
import { captured, node, spiffeId } from "../registry/spire-mesh.ts";
import { KubernetesLab } from "./kubernetes-lab.ts";

const labs: KubernetesLab[] = [];
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.close();
});

async function plane(environment: Environment, before: (lab: KubernetesLab) => void = () => {}) {
  const register = { SPIRE_SERVER_ADDRESS: "unix:/s", SPIRE_CLUSTER: "east-spire", SPIRE_REGISTER: "on" };
  const lab = new KubernetesLab(["east"], { environment: { ...register, ...environment } });
  labs.push(lab);
  const spire = new FakeSpireServer();
  spire.addAgent("n1");
  lab.put("east", node("n1"), captured("cart", { "istio.io/dataplane-mode": "ambient" }));
  before(lab);
  let registration: SpireRegistration | undefined;
  const { clusters } = await lab.start((context) => (registration = new SpireRegistration(context, spire)));
  await registration!.open();
  registration!.start(clusters);
  await lab.pass(3_000);
  return { lab, spire, registration: registration!, server: lab.server("east") };
}

test("the replica that holds the Lease registers pods, and gives it back when it ends", async () => {
  const { lab, spire, registration, server } = await plane({});
  assert.equal(spire.all.length, 1);
  const lease = (): unknown => server.get(LEASES, "istio-system", "causeway-spire-registrar")?.["spec"];
  assert.match((lease() as { readonly holderIdentity: string }).holderIdentity, /^istiod_/);
  const closing = registration.close();
  await lab.pass(1_000);
  await closing;
  assert.equal((lease() as { readonly holderIdentity: string }).holderIdentity, "");
  lab.put("east", captured("web", { "istio.io/dataplane-mode": "ambient" }));
  await lab.pass(30_000);
  assert.equal(spire.all.length, 1);
});

test("a replica that does not hold the Lease asks SPIRE nothing", async () => {
  const { spire, registration } = await plane({}, (lab) => {
    const renewTime = new Date(lab.host.clock.now()).toISOString().replace("Z", "000Z");
    const spec = { holderIdentity: "another", leaseDurationSeconds: 15, renewTime, acquireTime: renewTime };
    const metadata = { name: "causeway-spire-registrar", namespace: "istio-system" };
    lab.put("east", { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata, spec });
  });
  assert.deepEqual(spire.calls, []);
  assert.equal(registration.view().state?.phase, "idle");
});

test("an API server that is away takes no entry away, and what is asked of SPIRE ends with the Lease", async () => {
  const { lab, spire, registration, server } = await plane({});
  server.faults.errorRate = 1;
  for (const watch of [...server.watches]) watch.end(undefined);
  await lab.pass(20_000);
  assert.equal(registration.view().state?.phase, "idle");
  spire.calls.length = 0;
  await lab.pass(300_000);
  assert.deepEqual(spire.calls, []);
  assert.equal(spire.all.length, 1);
  server.faults.errorRate = 0;
  await lab.pass(60_000);
  assert.equal(registration.view().state?.phase, "settled");
});

test("ClusterSPIFFEIDs are read where identities are SPIRE's, once their CRD is there, and nowhere else", async () => {
  const reads = (server: { readonly requests: readonly { readonly path: string }[] }): boolean =>
    server.requests.some(({ path }) => path.includes("clusterspiffeids"));
  const handled = spiffeId("istio-ambient-reg", {}, { stats: { podsSelected: 1 } });
  const external = { SPIRE_REGISTER: "off", WORKLOAD_IDENTITY: "external" };
  const { lab, registration, server } = await plane(external, (without) =>
    without.server("east").uninstall(CLUSTER_SPIFFE_IDS),
  );
  assert.deepEqual(registration.view().spiffeIds, []);
  server.install(CLUSTER_SPIFFE_IDS);
  lab.put("east", handled);
  await lab.pass(60_000);
  assert.deepEqual(
    registration.view().spiffeIds.map(({ name, handled }) => [name, handled]),
    [["istio-ambient-reg", true]],
  );
  const mesh = await plane({ SPIRE_REGISTER: "off" });
  assert.equal(reads(mesh.server), false);
  assert.ok(mesh.server.requests.some(({ path }) => path.includes(PODS.plural)));
  assert.ok(mesh.server.requests.some(({ path }) => path.includes(NODES.plural)));
});
