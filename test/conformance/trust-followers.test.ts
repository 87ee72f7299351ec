import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { CONFIG_MAPS, PEER_GRANTS, SECRETS } from "../../src/kube/resource-types.ts";
import { pemBlocks } from "../../src/pem.ts";
import { BOUND_LABEL } from "../../src/registry/model/peer-grant.ts";
import { CLUSTER_LABEL } from "../../src/relay/installed.ts";
import type { RelayView } from "../../src/relay/relay-view.ts";
import type { TrustView } from "../../src/manager/view.ts";
import { policyOf, trustObject } from "../kits/trust-objects.ts";
import { TestAuthority } from "../kits/tls.ts";
import { type Causeway, eventually } from "./causeway-process.ts";
import { GATEWAYS_RBAC, type KubeCluster, KubeLab, type RbacUsage } from "./kube-lab.ts";
import { causeway, type TrustManagerProcess } from "./trust-manager-process.ts";
import { Management, NAMESPACE, textsOf } from "./trust-management.ts";

const RBAC = join(import.meta.dirname, "..", "..", "..", "deploy", "rbac", "trust-relay.yaml");
const SYSTEM = "istio-system";
const TOKEN = "relay-identity-token-secret";
const SEEN_MS = 30_000;
/** A manager that was killed holds its Lease for 15 s yet; and a cluster dials again after 30 s at the latest. */
const BACK_MS = 75_000;
/** What Workspaces bounded is opened two minutes after the last one went, or by a manager that never knew any. */
const OPEN_MS = 200_000;
/** The longest from one write of an object to the next, and some. */
const PUBLISHED_MS = 100_000;
const FILES = ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"];
/** Between one step of a change of the root and the next. */
const ROOT_WAIT = "1s";

suite("Control planes of Kubernetes clusters under a trust manager", function () {
  this.timeout(240_000);
  let lab: KubeLab;
  let mgmt: Management;
  let manager: TrustManagerProcess;
  let relayPort: number;
  let [east, west, north]: readonly KubeCluster[] = [];
  let plane: Causeway;
  let firstToken: string;

  before(async function () {
    lab = await KubeLab.open(this);
    mgmt = await Management.open(lab);
    await mgmt.apply(policyOf({ mgmtServerCa: { generated: {} } }));
    await mgmt.register("east", "west");
    manager = await mgmt.manager();
    relayPort = manager.relayPort;
    [east, west, north] = [await lab.cluster("east"), await lab.cluster("west"), await lab.cluster("north")];
    for (const cluster of [east, west, north]) await cluster.client.kubectl("apply", "-f", RBAC, "-f", GATEWAYS_RBAC);
  });
  after(() => lab?.close());

  const options = async (cluster: KubeCluster, name: string) => ({
    kubeconfig: await cluster.kubeconfigFor("istiod"),
    cluster: name,
    flags: ["--trust-manager", `127.0.0.1:${relayPort}`, "--root-wait", ROOT_WAIT],
  });
  const putToken = (cluster: KubeCluster, token: string) =>
    cluster.client.put(SECRETS, { metadata: { name: TOKEN, namespace: SYSTEM }, stringData: { token } });
  const says = (what: Causeway, words: RegExp, limitMs = SEEN_MS): Promise<number> =>
    eventually(`${String(words)} is logged`, limitMs, () => {
      if (words.test(what.log)) return true;
      throw new Error(what.log.slice(-1500));
    });
  const relayOf = (what: Causeway): Promise<RelayView> => what.debug<RelayView>("relayz");
  /** Statuses of one object that change quickly are written ever more seldom: here it counts what the manager knows. */
  const knows = (what: string, is: (view: TrustView) => boolean, limitMs = SEEN_MS): Promise<number> =>
    eventually(what, limitMs, async () => {
      const view = await manager.view();
      if (is(view)) return true;
      throw new Error(JSON.stringify([view.policy, view.rotation, view.clusters, view.roots]));
    });
  const linked = (name: string, connected = true): Promise<number> =>
    knows(
      `cluster ${name} is ${connected ? "" : "not "}connected`,
      ({ clusters }) => clusters.some(({ cluster, link }) => cluster === name && (link === "connected") === connected),
      BACK_MS,
    );
  const rootNow = async (): Promise<string> =>
    (await manager.view()).roots.find(({ role }) => role === "signing")!.sha256;
  const rotate = (value: string) =>
    mgmt.cluster.client.kubectl(
      ...["-n", NAMESPACE, "annotate", "--overwrite", "roottrustpolicy", "shared-trust"],
      `trust.causeway.dev/rotate-root=${value}`,
    );
  const grants = async () =>
    (await east!.client.list(PEER_GRANTS, SYSTEM)).filter(({ metadata }) => metadata.labels?.[BOUND_LABEL] === "true");

  /** Resolves once the mesh has another root, alone, and east's certificate is under it. */
  async function isOver(before: string): Promise<string> {
    await knows(
      "the root is another one",
      ({ rotation, roots, clusters }) =>
        rotation.phase === "steady" &&
        roots.length === 1 &&
        roots[0]!.sha256 !== before &&
        clusters.find(({ cluster }) => cluster === "east")!.signingRoot === roots[0]!.sha256,
      BACK_MS,
    );
    const root = await rootNow();
    const files = await secret(east!, "cacerts");
    assert.deepEqual(pemBlocks(files["root-cert.pem"]!, "CERTIFICATE").map(digest), [root]);
    checkSignedUnder(files);
    return root;
  }

  test("without cacerts it waits for a token and says so; with one it is ready, under the root of the policy", async () => {
    plane = lab.beginCauseway(await options(east!, "east"));
    await says(plane, /Secret istio-system\/relay-identity-token-secret, key token, holds no bootstrap token/);
    assert.doesNotMatch(plane.log, /causeway is ready/);
    firstToken = await mgmt.token("east");
    await putToken(east!, firstToken);
    await says(plane, /causeway is ready/, BACK_MS);
    assert.equal(await plane.ready(), true);
    const root = await rootNow();
    const { metadata, data } = await east!.client.get(SECRETS, "cacerts", SYSTEM);
    assert.equal(metadata.labels?.[CLUSTER_LABEL], "east");
    const files = textsOf(data);
    assert.deepEqual(Object.keys(files).sort(), FILES);
    assert.deepEqual(pemBlocks(files["root-cert.pem"]!, "CERTIFICATE").map(digest), [root]);
    checkSignedUnder(files);
    const names = (await east!.client.list(SECRETS, SYSTEM)).map(({ metadata: { name } }) => name);
    assert.ok(!names.includes("istio-ca-secret") && !names.includes("cacerts-previous"), names.join());
    const { state, message } = await mgmt.status(
      ...(["KubernetesCluster", "east"] as const),
      ({ relay }) => relay?.connected === true && relay.signingRoot === root,
      BACK_MS,
    );
    assert.equal(state, "ACCEPTED", message);
    const found = await causeway("check", "trust", "--admin", plane.connection!.admin, "--manager", manager.admin);
    assert.match(found, /^ok +TRUST101 /m);
    assert.match(await causeway("trust", "status", "--admin", manager.admin), /^east +connected /m);
  });

  test("the same token, used by somebody else, is refused: it may be stolen", async () => {
    const thief = lab.beginCauseway(await options(west!, "east"));
    await putToken(west!, firstToken);
    await says(thief, /bootstrap token \w+ of cluster east was used already/);
    const { refused } = await manager.view();
    assert.match(refused[0]!.why, /was used already.*causeway trust revoke --cluster east/);
    assert.match(manager.log, /a bootstrap token came a second time: it may be stolen/);
    await thief.stop();
    assert.doesNotMatch(thief.log, /causeway is ready/);
    assert.equal((await relayOf(plane)).state, "connected");
  });

  test("Workspaces come as PeerGrants with our label, and change with the Workspaces", async () => {
    const own = { metadata: { name: "own", namespace: SYSTEM }, spec: { cluster: "west" } };
    await east!.client.put(PEER_GRANTS, own);
    const workspace = (...namespaces: readonly string[]) => {
      const of = namespaces.map((name) => ({ name }));
      const workloadClusters = ["east", "west"].map((name) => ({ name, namespaces: of }));
      return trustObject("Workspace", "bank", { workloadClusters });
    };
    const bounded = (...namespaces: readonly string[]) =>
      eventually(`sharing is bounded to ${namespaces.join()}`, SEEN_MS, async () => {
        const found = await grants();
        const [west] = found.filter(({ spec }) => (spec as { cluster: string }).cluster === "west");
        const scope = west?.["spec"] as { export: { namespaces: readonly string[] } } | undefined;
        assert.deepEqual(scope?.export.namespaces, namespaces, JSON.stringify(found));
        return found.some(({ spec }) => (spec as { cluster: string }).cluster === "*");
      });
    await mgmt.apply(workspace("accounts"));
    await bounded("accounts");
    await mgmt.apply(workspace("accounts", "cards"));
    await bounded("accounts", "cards");
    await mgmt.delete("Workspace", "bank");
    assert.ok(await east!.client.get(PEER_GRANTS, "own", SYSTEM));
  });

  test("a new value of rotate-root changes the root, step by step, and what was there before is kept", async () => {
    const before = await rootNow();
    const { "ca-cert.pem": certificate } = await secret(east!, "cacerts");
    const phases = new Set<string>();
    await rotate("once");
    await knows(
      "the root is another one",
      ({ rotation: { phase }, roots }) => {
        phases.add(phase);
        return phase === "steady" && roots[0]!.sha256 !== before;
      },
      BACK_MS,
    );
    await isOver(before);
    assert.ok(phases.size > 1, [...phases].join());
    const previous = await secret(east!, "cacerts-previous");
    assert.deepEqual(Object.keys(previous).sort(), FILES);
    assert.notEqual((await secret(east!, "cacerts"))["ca-cert.pem"], certificate);
    assert.equal(await plane.ready(), true);
  });

  test("a manager that is killed in the middle of a change of the root goes on with it when it is back", async () => {
    const before = await rootNow();
    await rotate("twice");
    await knows("the change has begun", ({ rotation }) => rotation.phase === "add");
    const { roots } = await manager.view();
    await manager.stop("SIGKILL");
    assert.equal(roots!.length, 2);
    assert.equal(await plane.ready(), true);
    manager = await mgmt.manager(["--relay-port", `${relayPort}`]);
    const root = await isOver(before);
    assert.equal(root, roots!.find(({ sha256 }) => sha256 !== before)!.sha256);
  });

  test("a root that is replaced without overlap is refused with the plan that works, and by that plan it is changed", async () => {
    const before = await rootNow();
    const { "root-cert.pem": old } = await secret(east!, "cacerts");
    const root = await TestAuthority.create({ name: "CN=bring your own" });
    const metadata = { name: "byo", namespace: NAMESPACE };
    await mgmt.cluster.client.put(SECRETS, { metadata, stringData: { "tls.crt": root.root, "tls.key": root.key } });
    await mgmt.apply(
      trustObject("CASource", "byo", { secret: { name: "byo" } }),
      policyOf({ caSourceRef: { name: "byo" } }),
    );
    await knows("it is refused", ({ rotation }) => rotation.phase === "refused", BACK_MS);
    const { policy } = await manager.view();
    assert.equal(policy!.state, "FAILED");
    assert.match(policy!.messages.join(" "), /What works: 1\. put the certificate of .* into config\.passiveCert/);
    assert.equal((await secret(east!, "cacerts"))["root-cert.pem"], old);
    const passive = [{ certificate: old! }];
    await mgmt.apply(policyOf({ caSourceRef: { name: "byo" }, passiveCertificateAuthorities: passive }));
    await knows(
      "east signs under the new root, and the old one is trusted by the policy's word alone",
      ({ rotation, roots }) =>
        rotation.phase === "steady" &&
        roots
          .map(({ role }) => role)
          .sort()
          .join() === "passive,signing" &&
        roots.some(({ role, sha256 }) => role === "passive" && sha256 === before),
      BACK_MS,
    );
    await mgmt.apply(policyOf({ caSourceRef: { name: "byo" } }));
    assert.equal(await isOver(before), digest(pemBlocks(root.root, "CERTIFICATE")[0]!));
  });

  test("with the manager away a control plane starts and serves by what it has, and links up when that is back", async () => {
    const { "root-cert.pem": root } = await secret(east!, "cacerts");
    // One that changes quickly is written ever more seldom, and by the roots of long ago no control plane would start.
    await eventually("workloads are told of the root", PUBLISHED_MS, async () => {
      const { data } = await east!.client.get(CONFIG_MAPS, "istio-ca-root-cert", SYSTEM);
      const told = (data as Readonly<Record<string, string>>)["root-cert.pem"]!;
      return pemBlocks(told, "CERTIFICATE").map(digest).join() === pemBlocks(root!, "CERTIFICATE").map(digest).join();
    });
    await manager.stop();
    await plane.stop();
    const { "ca-cert.pem": certificate } = await secret(east!, "cacerts");
    plane = await lab.causeway(await options(east!, "east"));
    assert.equal(await plane.ready(), true);
    const view = await relayOf(plane);
    assert.deepEqual([view.state, view.kept?.owner], ["never", "ours"]);
    assert.ok(view.reason !== "");
    assert.equal((await secret(east!, "cacerts"))["ca-cert.pem"], certificate);
    manager = await mgmt.manager(["--relay-port", `${relayPort}`]);
    await linked("east");
    assert.equal((await secret(east!, "cacerts"))["ca-cert.pem"], certificate);
  });

  test("deleting the KubernetesCluster ends its stream, and it keeps serving; registered again it comes back", async () => {
    await mgmt.delete("KubernetesCluster", "east");
    await eventually("it is away, and knows why", SEEN_MS, async () =>
      /cluster east is not registered/.test((await relayOf(plane)).reason),
    );
    assert.equal(await plane.ready(), true);
    assert.ok((await secret(east!, "cacerts"))["ca-key.pem"]);
    await mgmt.register("east");
    await linked("east");
  });

  test("an identity that is revoked ends the stream, and a new token gives another", async () => {
    const certificate = (await secret(east!, "relay-client-tls-secret"))["tls.crt"];
    const { kubeconfig } = mgmt.cluster.client;
    await causeway("trust", "revoke", "--cluster", "east", "--kubeconfig", kubeconfig);
    await linked("east", false);
    await putToken(east!, await mgmt.token("east"));
    await linked("east");
    assert.notEqual((await secret(east!, "relay-client-tls-secret"))["tls.crt"], certificate);
  });

  test("somebody else's cacerts are used, never written, and both ends say so", async () => {
    const root = await TestAuthority.create({ name: "O=cluster.local" });
    const own = await TestAuthority.create({ name: "CN=own", uris: ["spiffe://cluster.local"] }, root);
    const stringData = {
      ...{ "ca-cert.pem": own.root, "ca-key.pem": own.key },
      ...{ "cert-chain.pem": own.root, "root-cert.pem": root.root },
    };
    await west!.client.put(SECRETS, { metadata: { name: "cacerts", namespace: SYSTEM }, stringData });
    const version = async () =>
      (await west!.client.get(SECRETS, "cacerts", SYSTEM)).metadata["resourceVersion"] as string;
    const before = await version();
    await putToken(west!, await mgmt.token("west"));
    const other = await lab.causeway(await options(west!, "west"));
    const { state, message } = await mgmt.status(
      "KubernetesCluster",
      "west",
      (status) => status.state === "WARNING",
      BACK_MS,
    );
    assert.match(message, /Secret istio-system\/cacerts has no label trust\.causeway\.dev\/cluster/, state);
    const { kept, problems } = await relayOf(other);
    assert.equal(kept?.owner, "foreign");
    assert.match(problems.join("\n"), /label it trust\.causeway\.dev\/cluster=west to hand it over, or delete it/);
    assert.equal(await version(), before);
    await other.stop();
  });

  test("a cluster that nobody registered is refused by name, and gets in with the same token once it is", async () => {
    await putToken(north!, await mgmt.token("north"));
    const other = lab.beginCauseway(await options(north!, "north"));
    await says(other, /cluster north is not registered; apply a KubernetesCluster of that name/);
    assert.match((await manager.view()).refused[0]!.why, /^cluster north is not registered/);
    await mgmt.register("north");
    await says(other, /causeway is ready/, BACK_MS);
    await linked("north");
    await other.stop();
  });

  test("once Workspaces are gone for long enough, nothing bounds any more what is shared, and other PeerGrants stay", async () => {
    await eventually("nothing is bounded", OPEN_MS, async () => (await grants()).length === 0);
    assert.ok(await east!.client.get(PEER_GRANTS, "own", SYSTEM));
  });

  test("it uses every rule of deploy/rbac/trust-relay.yaml, and neither end asks for anything else", async () => {
    const unused = ({ rules }: RbacUsage): readonly string[] =>
      rules
        .filter(({ binding, allowed }) => binding.includes("istiod-trust-relay") && allowed === 0)
        .map(({ verb, resource, name }) => `${verb} ${resource} ${name ?? ""}`);
    const usage = await east!.rbacUsage();
    assert.deepEqual(unused(usage), []);
    assert.ok(usage.rules.filter(({ binding }) => binding.includes("istiod-trust-relay")).length > 8);
    for (const { denied } of [usage, await west!.rbacUsage(), await north!.rbacUsage(), await mgmt.rbacUsage()])
      assert.deepEqual(denied, []);
  });
});

const secret = async (cluster: KubeCluster, name: string): Promise<Readonly<Record<string, string>>> =>
  textsOf((await cluster.client.get(SECRETS, name, SYSTEM))["data"]);

const digest = (der: Uint8Array): string => new X509Certificate(der).fingerprint256.replace(/:/g, "").toLowerCase();

/** What signs is for the key beside it, for its trust domain, and signed by the root that is there. */
function checkSignedUnder(files: Readonly<Record<string, string>>): void {
  const certificate = new X509Certificate(files["ca-cert.pem"]!);
  const root = new X509Certificate(files["root-cert.pem"]!);
  assert.ok(certificate.verify(root.publicKey) && certificate.checkIssued(root));
  assert.equal(certificate.subjectAltName, "URI:spiffe://cluster.local");
  assert.match(files["ca-key.pem"]!, /PRIVATE KEY/);
}
