import assert from "node:assert/strict";
import { connect } from "node:tls";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { LEASES, SECRETS } from "../../src/kube/resource-types.ts";
import { STORE_LABEL } from "../../src/manager/store/secret-store.ts";
import { TRUST_KINDS } from "../../src/manager/policy.ts";
import { trustTypeOf } from "../../src/manager/feeds/trust-types.ts";
import { parseToken } from "../../src/relay/token.ts";
import { policyOf, trustObject } from "../kits/trust-objects.ts";
import { TestAuthority } from "../kits/tls.ts";
import { eventually } from "./causeway-process.ts";
import { FaultyApi } from "./faulty-api.ts";
import { KubeLab } from "./kube-lab.ts";
import type { TrustManagerProcess } from "./trust-manager-process.ts";
import { Management, NAMESPACE, TRUST_CRDS } from "./trust-management.ts";

const SEEN_MS = 30_000;
/** A Lease that nobody renews is taken after 15 s. */
const TAKEOVER_MS = 45_000;
const GENERATED = { mgmtServerCa: { generated: {} } };
const VAULT = { server: "https://vault.internal:8200", caPath: "pki/root/sign-intermediate" };

suite("The trust manager on an API server", function () {
  this.timeout(180_000);
  let lab: KubeLab;
  let mgmt: Management;
  let manager: TrustManagerProcess;

  before(async function () {
    lab = await KubeLab.open(this);
    mgmt = await Management.open(lab, { crds: undefined });
    await mgmt.cluster.client.create(SECRETS, endedToken());
  });
  after(() => lab?.close());

  test("without its kinds it waits and says what to apply, and nobody counts as gone meanwhile", async () => {
    manager = await mgmt.beginManager();
    await eventually("it says what is missing", SEEN_MS, async () =>
      /not read yet: \w+ of gloo-mesh are not read: https.* does not serve them; kubectl apply -f deploy\/crds$/m.test(
        await manager.whyNotReady(),
      ),
    );
    await mgmt.cluster.client.kubectl("apply", "-f", TRUST_CRDS);
    await mgmt.cluster.client.kubectl("wait", "--for=condition=established", "crd", "--all");
    await mgmt.apply(
      policyOf(GENERATED),
      trustObject("RootTrustPolicy", "the-other", { config: GENERATED }),
      trustObject("CASource", "vault", { vault: { ...VAULT, kubernetesAuth: { role: "mesh" } } }),
      trustObject("IdentityProvider", "spiffe-default", { spiffe: { trustDomain: "cluster.local" } }),
      trustObject("Workspace", "shop", { workloadClusters: [{ name: "east", namespaces: [{ name: "shop" }] }] }),
      trustObject("WorkspaceSettings", "shop", { importFrom: [{ workspaces: [{ name: "shop" }] }] }),
    );
    await mgmt.register("east");
    // It looks again for a kind that was not there within half a minute.
    await manager.leads();
    assert.equal(await manager.whyNotReady(), "");
  });

  test("it shows of each object what became of it, and of the policy which root signs", async () => {
    const policy = await mgmt.status("RootTrustPolicy", "shared-trust", ({ roots }) => roots?.length === 1);
    assert.equal(policy.state, "ACCEPTED", policy.message);
    assert.match(policy.message, /It is kept in Secret gloo-mesh\/causeway-trust-root: back that up/);
    assert.deepEqual(policy.rotation, { phase: "steady", notes: [] });
    assert.equal(policy.roots![0]!.role, "signing");
    const [condition] = policy.conditions;
    assert.deepEqual([condition!.type, condition!.status], ["Accepted", "True"]);
    const east = await mgmt.status("KubernetesCluster", "east", ({ state }) => state === "ACCEPTED");
    assert.equal(east.relay?.connected, false);
    assert.match(await mgmt.cluster.client.kubectl("get", "kubernetesclusters", "-n", NAMESPACE), /east +ACCEPTED/);
    const unused = await mgmt.status("CASource", "vault", ({ state }) => state === "WARNING");
    assert.match(unused.message, /RootTrustPolicy gloo-mesh\/shared-trust does not refer to it/);
    for (const kind of TRUST_KINDS)
      for (const { metadata } of await mgmt.cluster.client.list(trustTypeOf(kind), NAMESPACE)) {
        const { observedGeneration } = await mgmt.status(kind, metadata.name, ({ state }) => state !== undefined);
        assert.equal(observedGeneration, metadata["generation"], `${kind} ${metadata.name}`);
      }
  });

  test("a second policy is told which one counts, and takes its place when that is gone", async () => {
    const other = await mgmt.status("RootTrustPolicy", "the-other", ({ state }) => state === "INVALID");
    assert.match(other.message, /RootTrustPolicy gloo-mesh\/shared-trust, .*, is the one policy that counts/);
    const { roots } = await mgmt.status("RootTrustPolicy", "shared-trust", () => true);
    await mgmt.delete("RootTrustPolicy", "shared-trust");
    const next = await mgmt.status("RootTrustPolicy", "the-other", ({ state }) => state === "ACCEPTED");
    assert.deepEqual(next.roots, roots);
    await mgmt.apply(policyOf(GENERATED));
    await mgmt.delete("RootTrustPolicy", "the-other");
    const back = await mgmt.status("RootTrustPolicy", "shared-trust", ({ state }) => state === "ACCEPTED");
    assert.deepEqual(back.roots, roots);
  });

  test("a CASource that is missing is named, and until it is there the mesh stays with the root that it has", async () => {
    const { roots } = await mgmt.status("RootTrustPolicy", "shared-trust", ({ state }) => state === "ACCEPTED");
    const policy = { metadata: { name: "shared-trust", namespace: NAMESPACE } };
    const want = (config: object) =>
      mgmt.cluster.client.merge(trustTypeOf("RootTrustPolicy"), policy, { spec: { config } });
    await want({ mgmtServerCa: null, caSourceRef: { name: "byo-root" } });
    const waiting = await mgmt.status("RootTrustPolicy", "shared-trust", ({ state }) => state === "PENDING");
    assert.match(waiting.message, /caSourceRef names CASource gloo-mesh\/byo-root, which is not there; create it/);
    await want({ mgmtServerCa: GENERATED.mgmtServerCa, caSourceRef: null });
    const back = await mgmt.status("RootTrustPolicy", "shared-trust", ({ state }) => state === "ACCEPTED");
    assert.deepEqual(back.roots, roots);
  });

  test("an object that passes the schema and cannot be read is INVALID, with the field", async () => {
    const caBundle = "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n";
    await mgmt.apply(
      trustObject("CASource", "broken", { vault: { ...VAULT, caBundle, kubernetesAuth: { role: "mesh" } } }),
    );
    const broken = await mgmt.status("CASource", "broken", ({ state }) => state === "INVALID");
    assert.match(broken.message, /spec\.vault\.caBundle/);
    assert.equal(broken.conditions[0]!.status, "False");
    await mgmt.delete("CASource", "broken");
  });

  test("it takes its Lease, keeps what it must in Secrets with its label, and removes tokens that ended long ago", async () => {
    const { spec } = await mgmt.cluster.client.get(LEASES, "causeway-trust-manager", NAMESPACE);
    assert.match((spec as { holderIdentity: string }).holderIdentity, /^trust-manager_/);
    const kept = async (): Promise<readonly string[]> => {
      const secrets = await mgmt.cluster.client.list(SECRETS, NAMESPACE);
      return secrets.filter(({ metadata }) => metadata.labels?.[STORE_LABEL] === "true").map((o) => o.metadata.name);
    };
    await eventually("the token is gone, and the rest is there", SEEN_MS, async () => {
      assert.deepEqual([...(await kept())].sort(), [
        "causeway-trust-root",
        "causeway-trust-state",
        "relay-tls-signing-secret",
      ]);
      return true;
    });
  });

  test("what is written once is not written again", async () => {
    await settled(mgmt);
    const before = await versions(mgmt);
    assert.ok(before.length >= 6, before.join());
    // Longer than anything that looks again and again after a moment.
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    assert.deepEqual(await versions(mgmt), before);
  });

  test("it uses every rule of deploy/rbac/trust-manager.yaml, and asks for nothing else", async () => {
    // A server without streamed lists is asked for plain ones: both are allowed because both are needed.
    const old = lab.with(await FaultyApi.start(mgmt.cluster.api.admin));
    old.fault = (line) => (line.includes("sendInitialEvents") ? { status: 422, reason: "Invalid" } : undefined);
    await manager.stop();
    manager = await mgmt.manager([], { server: old.server, ca: old.ca });
    await eventually("every rule was used", SEEN_MS, async () => {
      const { rules } = await mgmt.rbacUsage();
      const idle = rules.filter(({ allowed }) => allowed === 0).map(({ verb, resource }) => `${verb} ${resource}`);
      if (idle.length > 0) throw new Error(`unused: ${idle.join("; ")}`);
      return rules.length > 20;
    });
    assert.deepEqual((await mgmt.rbacUsage()).denied, []);
  });

  test("an API server that restarts costs nothing, and one that is away for longer than the Lease ends it", async () => {
    const { api } = mgmt.cluster;
    await api.stop("SIGKILL");
    await api.startAgain();
    await mgmt.register("west");
    await mgmt.status("KubernetesCluster", "west", ({ state }) => state === "ACCEPTED");
    assert.equal(manager.ended, false);
    await api.stop("SIGKILL");
    await eventually("it ends", TAKEOVER_MS, () => manager.ended);
    assert.match(manager.log, /or the API server let no Lease be renewed: nothing is signed any more/);
    assert.equal(manager.exitCode, 2);
    await api.startAgain();
    manager = await mgmt.manager();
  });

  test("a replica that waits for its turn ends as soon as it is told to", async () => {
    const second = await mgmt.beginManager(["--pod-name", "second"]);
    await eventually("it waits", SEEN_MS, async () => /another replica leads/.test(await second.whyNotReady()));
    await second.stop();
    assert.equal(second.exitCode, 0, second.log);
    assert.equal(await manager.whyNotReady(), "");
  });

  for (const [how, signal] of [
    ["is stopped", "SIGTERM"],
    ["is killed", "SIGKILL"],
  ] as const)
    test(`of two replicas one leads and the other says why it is not ready; when the leader ${how}, that one has the same roots`, async () => {
      const { roots } = await mgmt.status("RootTrustPolicy", "shared-trust", ({ state }) => state === "ACCEPTED");
      const { rootSha256 } = parseToken(await mgmt.token("east"));
      const relayRoot = (await mgmt.secret("relay-tls-signing-secret"))["tls.crt"]!;
      const second = await mgmt.beginManager(["--pod-name", "second"]);
      await eventually("the second says why it waits", SEEN_MS, async () =>
        /objects another replica leads/.test(await second.whyNotReady()),
      );
      assert.equal(await manager.whyNotReady(), "");
      await manager.stop(signal);
      await eventually("the second leads", TAKEOVER_MS, async () => (await second.whyNotReady()) === "");
      await second.leads();
      manager = second;
      assert.deepEqual(
        (await eventuallyRooted(second)).map(({ sha256 }) => sha256),
        roots!.map(({ sha256 }) => sha256),
      );
      assert.equal(parseToken(await mgmt.token("east")).rootSha256, rootSha256);
      assert.equal(await isUnder(second.relayPort, relayRoot), true);
      const another = await TestAuthority.create();
      assert.equal(await isUnder(second.relayPort, another.root), false);
    });
});

/** What it knows of roots, once it knows any. */
async function eventuallyRooted(manager: TrustManagerProcess) {
  await eventually("it has its roots", SEEN_MS, async () => (await manager.view()).roots.length > 0);
  return (await manager.view()).roots;
}

/** Whether what answers on a port has a certificate under a root, whatever its name. */
function isUnder(port: number, ca: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, ca, ALPNProtocols: ["h2"], rejectUnauthorized: false };
    const socket = connect({ ...options, checkServerIdentity: () => undefined }, () => {
      resolve(socket.authorized);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

/** Resolves once every object has a status. */
async function settled(mgmt: Management): Promise<void> {
  for (const kind of TRUST_KINDS)
    for (const { metadata } of await mgmt.cluster.client.list(trustTypeOf(kind), NAMESPACE))
      await mgmt.status(kind, metadata.name, ({ state }) => state !== "PENDING");
}

/** Every object with its resource version, and every document of the manager's. */
async function versions(mgmt: Management): Promise<readonly string[]> {
  const { client } = mgmt.cluster;
  const lists = await Promise.all(TRUST_KINDS.map((kind) => client.list(trustTypeOf(kind), NAMESPACE)));
  const documents = (await client.list(SECRETS, NAMESPACE)).filter(({ metadata }) => metadata.labels?.[STORE_LABEL]);
  return [...lists.flat(), ...documents]
    .map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata["resourceVersion"] as string}`)
    .sort();
}

/** A bootstrap token that nobody can use any more, as a manager left it two days ago. */
function endedToken() {
  const at = (hoursAgo: number): string => new Date(Date.now() - hoursAgo * 3_600_000).toISOString();
  return {
    metadata: { name: "relay-token-0badcafe", namespace: NAMESPACE, labels: { [STORE_LABEL]: "true" } },
    stringData: { cluster: "east", hash: "0".repeat(64), created: at(50), expires: at(49) },
  };
}
