import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { clusterId } from "../../src/names.ts";
import { whyTrustDomainStays } from "../../src/manager/plan/plan-clusters.ts";
import { planTrust } from "../../src/manager/plan/plan.ts";
import type { TrustKind } from "../../src/manager/policy.ts";
import { TrustObjectBook } from "../../src/manager/plan/trust-object-book.ts";
import { TestAuthority } from "../kits/tls.ts";
import { GUIDE_001, GUIDE_004, objectsIn, policyOf, rightObjects, trustObject } from "../kits/trust-objects.ts";
import { corrupted } from "../registry/corrupted.ts";

function bookOf(...objects: readonly KubeObject[]): TrustObjectBook {
  const book = new TrustObjectBook();
  for (const object of objects) book.set(object, "");
  return book;
}

const planOf = (...objects: readonly KubeObject[]) => planTrust(bookOf(...objects).objects);

/** State and messages of one object. */
function judgedIn(plan: ReturnType<typeof planTrust>, kind: TrustKind, name: string, namespace = "gloo-mesh") {
  const found = plan.judgements.filter(({ id }) => id.kind === kind && id.name === name && id.namespace === namespace);
  assert.equal(found.length, 1, `${kind} ${namespace}/${name} is judged once`);
  return { state: found[0]!.state, message: found[0]!.messages.join(" ") };
}

const made = (object: KubeObject, creationTimestamp: string, more: object = {}): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, creationTimestamp, ...more },
});
const OLD = "2026-01-01T00:00:00Z";
const NEW = "2026-02-01T00:00:00Z";
const GENERATED = { mgmtServerCa: { generated: {} } };
const policy = policyOf(GENERATED);
const cluster = (name: string, more: object = {}): KubeObject =>
  trustObject("KubernetesCluster", name, undefined, more);
const identity = (name: string, trustDomain: string, clusterName?: string): KubeObject =>
  trustObject("IdentityProvider", name, { spiffe: { trustDomain, ...(clusterName !== undefined && { clusterName }) } });
const misspelt = (object: KubeObject): KubeObject => ({
  ...object,
  spec: { ...(object["spec"] as object), misspelt: 1 },
});
const [east, west] = [clusterId("east"), clusterId("west")];

test("the guides' objects together are a plan that is accepted", () => {
  const plan = planOf(...objectsIn(GUIDE_004["generated"]!), ...objectsIn(GUIDE_001));
  assert.equal(plan.whyNone, undefined);
  assert.equal(plan.policy?.intermediate.organization, "cluster.local");
  assert.deepEqual(plan.policy.source.kind === "generated" && plan.policy.source.organization, "cluster.local");
  assert.deepEqual([...plan.clusters.keys()].sort(), ["trustusbank-bank", "trustusbank-edge", "trustusbank-vendor"]);
  assert.deepEqual([plan.workspaces.length, plan.settings.length, plan.doubtful.size], [1, 1, 0]);
  assert.deepEqual([...new Set(plan.judgements.map(({ state }) => state))], ["ACCEPTED"]);
  assert.equal(plan.judgements.length, 6);
  assert.match(
    judgedIn(plan, "RootTrustPolicy", "shared-trust").message,
    /which is for labs.*nothing of an ambient mesh/,
  );
});

test("of two policies the older counts, and the other is told which one does", () => {
  const [first, second] = [made(policy, NEW, { name: "first" }), made(policy, OLD, { name: "second" })];
  const plan = planOf(first, second);
  assert.equal(plan.policy?.id.name, "second");
  assert.deepEqual(judgedIn(plan, "RootTrustPolicy", "first"), {
    state: "INVALID",
    message:
      "RootTrustPolicy gloo-mesh/second, which is older, is the one policy that counts; delete this one, or that one if this is meant.",
  });
  const tied = planOf(made(first, OLD, { name: "b" }), made(first, OLD, { name: "a" }));
  assert.equal(tied.policy?.id.name, "a");
  assert.match(judgedIn(tied, "RootTrustPolicy", "b").message, /whose name comes first, is the one policy/);
});

test("a policy that cannot be read keeps its place, and no later one takes it", () => {
  const book = bookOf(made(misspelt(policy), OLD), made(policy, NEW, { name: "later" }));
  const plan = planTrust(book.objects);
  assert.equal(plan.policy, undefined);
  assert.equal(plan.whyNone, "RootTrustPolicy gloo-mesh/shared-trust cannot be read; its status says why");
  assert.equal(judgedIn(plan, "RootTrustPolicy", "later").state, "INVALID");
  book.set(made(policy, OLD), "");
  assert.equal(planTrust(book.objects).policy?.id.name, "shared-trust");
});

test("a mistake in an object that was right takes nothing away, and its deletion does", () => {
  const objects = [policy, cluster("east"), identity("all", "bank.example"), ...objectsIn(GUIDE_001).slice(3)];
  const book = bookOf(...objects);
  const before = planTrust(book.objects);
  for (const object of objects) book.set({ ...misspelt(object), metadata: { ...object.metadata, generation: 2 } }, "");
  const after = planTrust(book.objects);
  assert.equal(after.clusters.get(east)?.trustDomain, "bank.example");
  assert.deepEqual(after.policy, { ...before.policy, id: { ...before.policy!.id, observedGeneration: 2 } });
  assert.deepEqual(after.workspaces[0]!.workloadClusters, before.workspaces[0]!.workloadClusters);
  assert.equal(after.judgements.length, 5);
  for (const { id, state, messages } of after.judgements) {
    assert.deepEqual([state, id.observedGeneration], ["INVALID", 2], id.kind);
    assert.match(messages[0]!, /unknown field "misspelt".*what it said before stays in force\.$/);
  }
  for (const object of objects) book.delete(object);
  assert.deepEqual([planTrust(book.objects).clusters.size, planTrust(book.objects).judgements.length], [0, 0]);
});

test("an object that is made anew under its name starts with nothing", () => {
  const book = bookOf(made(policy, OLD));
  book.set(made(misspelt(policy), NEW), "");
  assert.equal(planTrust(book.objects).policy, undefined);
});

test("without any policy nothing is planned, and there is a reason", () => {
  assert.equal(planOf(cluster("east")).whyNone, "there is no RootTrustPolicy; create one");
});

test("a policy waits for the CASource that it names, whether it is missing or cannot be read", () => {
  const waiting = policyOf({ caSourceRef: { name: "byo-root" } });
  const source = trustObject("CASource", "byo-root", { secret: { name: "ca" } });
  const missing = planOf(waiting);
  assert.deepEqual(judgedIn(missing, "RootTrustPolicy", "shared-trust"), {
    state: "PENDING",
    message:
      "spec.config.caSourceRef names CASource gloo-mesh/byo-root, which is not there; create it. A policy that counted before stays in force until then.",
  });
  assert.match(missing.whyNone!, /^RootTrustPolicy gloo-mesh\/shared-trust waits: .*create it$/);
  assert.match(
    planOf(waiting, misspelt(source)).whyNone!,
    /CASource gloo-mesh\/byo-root, which cannot be read; its status/,
  );
  const there = planOf(waiting, source);
  assert.deepEqual(there.policy?.source, { kind: "secret", secret: { namespace: "gloo-mesh", name: "ca" } });
  assert.deepEqual(judgedIn(there, "CASource", "byo-root"), { state: "ACCEPTED", message: "" });
});

test("a CASource that no policy names has no effect, and says so", () => {
  const [source] = objectsIn(GUIDE_004["CASource"]!);
  const { state, message } = judgedIn(planOf(source!, policy), "CASource", "byo-root");
  assert.equal(state, "WARNING");
  assert.match(message, /as RootTrustPolicy gloo-mesh\/shared-trust does not refer to it; name it in/);
  assert.match(judgedIn(planOf(source!), "CASource", "byo-root").message, /no RootTrustPolicy refers to it/);
});

test("a cluster has the trust domain of its own IdentityProvider, or that of all, or the default", () => {
  const plan = planOf(
    cluster("east"),
    cluster("west"),
    identity("all", "bank.example"),
    identity("e", "edge.example", "east"),
  );
  assert.equal(plan.clusters.get(east)?.trustDomain, "edge.example");
  assert.equal(plan.clusters.get(west)?.trustDomain, "bank.example");
  assert.equal(planOf(cluster("east")).clusters.get(east)?.trustDomain, "cluster.local");
});

test("several trust domains under one root are a warning that names them", () => {
  const plan = planOf(policy, cluster("east"), cluster("west"), identity("e", "edge.example", "east"));
  const { state, message } = judgedIn(plan, "RootTrustPolicy", "shared-trust");
  assert.equal(state, "WARNING");
  assert.match(
    message,
    /^Clusters of several trust domains have this one root: edge.example of east; cluster.local of west\./,
  );
});

test("an intermediate has the mesh's trust domain as its organization, unless the policy says another", () => {
  const all = [cluster("east"), identity("e", "bank.example", "east")];
  assert.equal(planOf(policy, ...all).policy?.intermediate.organization, "bank.example");
  const more = [cluster("west"), made(identity("w", "west.example", "west"), NEW)];
  assert.equal(
    planOf(policy, ...all, ...more).policy?.intermediate.organization,
    "bank.example",
    "who joins changes nothing",
  );
  const named = policyOf({ ...GENERATED, intermediateCertOptions: { orgName: "Bank" } });
  assert.equal(planOf(named, ...all).policy?.intermediate.organization, "Bank");
});

test("two IdentityProviders for the same: the older counts", () => {
  const [newer, older] = [made(identity("a", "a.example"), NEW), made(identity("b", "b.example"), OLD)];
  const plan = planOf(cluster("east"), newer, older);
  assert.equal(plan.clusters.get(east)?.trustDomain, "b.example");
  const { state, message } = judgedIn(plan, "IdentityProvider", "a");
  assert.equal(state, "INVALID");
  assert.match(
    message,
    /IdentityProvider gloo-mesh\/b, which is older, has the trust domain of all clusters that have none/,
  );
});

test("an IdentityProvider that nobody has its trust domain from says so", () => {
  const plan = planOf(
    cluster("east"),
    identity("all", "a.example"),
    identity("e", "b.example", "east"),
    identity("n", "c", "nord"),
  );
  assert.equal(judgedIn(plan, "IdentityProvider", "e").state, "ACCEPTED");
  assert.match(judgedIn(plan, "IdentityProvider", "all").message, /^No cluster has its trust domain from this/);
  assert.match(judgedIn(plan, "IdentityProvider", "n").message, /^No KubernetesCluster is called nord/);
});

test("a trust domain that cannot be read is never guessed: its clusters get nothing new, and have not gone", () => {
  const plan = planOf(policy, cluster("east"), cluster("west"), misspelt(identity("e", "edge.example", "east")));
  assert.deepEqual([...plan.clusters.keys()], ["west"]);
  assert.match(
    plan.doubtful.get(east)!,
    /^nobody can tell its trust domain, as IdentityProvider gloo-mesh\/e cannot be read/,
  );
  assert.equal(judgedIn(plan, "KubernetesCluster", "east").state, "PENDING");
  const all = planOf(cluster("east"), cluster("west"), misspelt(identity("all", "bank.example")));
  assert.deepEqual([all.clusters.size, [...all.doubtful.keys()]], [0, ["east", "west"]]);
});

test("an object that never could be read is taken by its last mistake", () => {
  const book = bookOf(cluster("east"), cluster("west"), misspelt(identity("e", "edge.example", "east")));
  book.set(misspelt(identity("e", "edge.example", "west")), "");
  const plan = planTrust(book.objects);
  assert.deepEqual([[...plan.clusters.keys()], [...plan.doubtful.keys()]], [["east"], ["west"]]);
  assert.match(judgedIn(plan, "IdentityProvider", "e").message, /nobody can tell the trust domain of its clusters/);
});

test("a cluster whose object cannot be read gets nothing new, and has not gone", () => {
  const plan = planOf(misspelt(cluster("east")));
  assert.deepEqual(
    [plan.clusters.size, plan.doubtful.get(east)],
    [0, "KubernetesCluster gloo-mesh/east cannot be read; its status says why"],
  );
});

test("of two registrations of one cluster the older counts", () => {
  const plan = planOf(made(cluster("east"), NEW), {
    ...made(cluster("east", { namespace: "a" }), OLD),
    spec: { clusterDomain: "old.local" },
  });
  assert.equal(plan.clusters.get(east)?.clusterDomain, "old.local");
  const { state, message } = judgedIn(plan, "KubernetesCluster", "east");
  assert.equal(state, "INVALID");
  assert.match(
    message,
    /^KubernetesCluster a\/east, which is older, registers cluster east already; delete this one\.$/,
  );
});

test("a name that no cluster can have registers nothing", () => {
  const name = "a".repeat(129);
  const plan = planOf(cluster(name));
  assert.deepEqual([plan.clusters.size, plan.doubtful.size], [0, 0]);
  assert.equal(judgedIn(plan, "KubernetesCluster", name).state, "INVALID");
});

test("a Workspace that never could be read is there with nothing in it, as no Workspace at all would bound nothing", () => {
  const [workspace, settings] = objectsIn(GUIDE_001).slice(3);
  const plan = planOf(misspelt(workspace!), misspelt(settings!));
  assert.deepEqual(
    plan.workspaces.map(({ name, workloadClusters }) => [name, workloadClusters]),
    [["trustusbank", []]],
  );
  assert.deepEqual(plan.settings, []);
});

test("an intermediate that lives longer than 90 days is a warning", () => {
  const plan = planOf(policyOf({ ...GENERATED, intermediateCertOptions: { ttlDays: 365 } }));
  assert.match(
    judgedIn(plan, "RootTrustPolicy", "shared-trust").message,
    /Intermediates live 365d: whoever gets hold of one/,
  );
});

test("a change of a trust domain in place is not made, and the way to make it is said", () => {
  const before = planOf(cluster("east")).clusters.get(east)!;
  const after = planOf(cluster("east"), identity("all", "bank.example")).clusters.get(east)!;
  assert.equal(whyTrustDomainStays(before, before), undefined);
  assert.match(
    whyTrustDomainStays(before, after)!,
    /^Cluster east is of trust domain cluster.local, and its IdentityProvider now/,
  );
});

test("observers hear of what changed, and of nothing else", () => {
  const book = bookOf(policy);
  let calls = 0;
  const observing = book.observe(() => calls++);
  book.set({ ...policy, status: { state: "ACCEPTED" } }, "");
  book.set({ apiVersion: "v1", kind: "Secret", metadata: { name: "a", namespace: "gloo-mesh" } }, "");
  book.set({ ...policy, apiVersion: "example.com/v2" }, "");
  book.delete(cluster("east"));
  assert.equal(calls, 0);
  book.set(cluster("east"), "");
  book.delete(policy);
  assert.equal(calls, 2);
  observing[Symbol.dispose]();
  book.set(policy, "");
  assert.equal(calls, 2);
});

test("whatever objects hold, they are read or refused in words, and planned", async () => {
  const { root } = await TestAuthority.create();
  let refused = 0;
  for (const [what, object] of rightObjects(root))
    for (const [field, broken] of corrupted(object)) {
      const { judgements } = planOf(cluster("east"), broken);
      const found = judgements.filter(({ id }) => id.kind !== "KubernetesCluster" || id.name !== "east");
      // What has no name, or is in a namespace that cannot be, no API server has.
      if (/^metadata = |^metadata\.name(space)? = /.test(field)) continue;
      assert.equal(found.length, 1, `${what}: ${field}`);
      if (found[0]!.state !== "INVALID") continue;
      refused += 1;
      assert.match(found[0]!.messages[0]!, /^(spec|metadata).* .*\. Until this is fixed, /, `${what}: ${field}`);
    }
  assert.ok(refused > 1_000, `${refused} were refused`);
});

test("another version of a kind is refused by name", () => {
  const plan = planOf({ ...policy, apiVersion: "admin.gloo.solo.io/v3" });
  assert.match(
    judgedIn(plan, "RootTrustPolicy", "shared-trust").message,
    /^apiVersion is "admin.gloo.solo.io\/v3"; use admin/,
  );
});
