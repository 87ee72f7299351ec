import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { parse } from "yaml";
import { TokenReviewAuthenticator } from "../../src/ca/token-review-authenticator.ts";
import { ApiError, pathOf } from "../../src/kube/api.ts";
import { HttpKubeApi } from "../../src/kube/http-api.ts";
import { readKubeconfig } from "../../src/kube/kubeconfig.ts";
import { NAMESPACES, NODES, PODS, SECRETS, SERVICE_ACCOUNTS } from "../../src/kube/resource-types.ts";
import { KubeTokenReviewer } from "../../src/kube/token-reviewer.ts";
import { clusterId } from "../../src/names.ts";
import { REMOTE_KINDS } from "../../src/registry/kube/watched-kinds.ts";
import { livePods, type LivePod } from "../ca/live-pods.ts";
import { realHost } from "../kits/real-host.ts";
import { eventually, PROGRAM } from "./causeway-process.ts";
import { type KubeCluster, KubeLab } from "./kube-lab.ts";

/** Its accounts and roles are the command's own; deploy/rbac has those of istio-system. */
const NAMESPACE = "readers";
const run = promisify(execFile);

suite("kubernetes-access: what one cluster is told of another", () => {
  let lab: KubeLab;
  let west: KubeCluster;
  const apis: HttpKubeApi[] = [];
  before(async function () {
    lab = await KubeLab.open(this);
    west = await lab.cluster("west");
    await west.client.put(NAMESPACES, { metadata: { name: NAMESPACE } });
    await west.client.put(NODES, { metadata: { name: "n1" } });
    await west.client.put(SERVICE_ACCOUNTS, { metadata: { name: "cart", namespace: NAMESPACE } });
  });
  after(async () => {
    await Promise.all(apis.map((api) => api.close()));
    await lab?.close();
  });

  const create = async (...flags: readonly string[]): Promise<{ readonly out: string; readonly err: string }> => {
    const words = ["create-remote-secret", "--name", "west", "-n", NAMESPACE, ...flags];
    const { stdout, stderr } = await run("node", [PROGRAM, ...words, "--kubeconfig", west.api.kubeconfig]);
    return { out: stdout, err: stderr };
  };
  /** As a control plane that finds the secret, in a lab where API servers are on this machine. */
  const reading = (yaml: string): HttpKubeApi => {
    const { stringData } = parse(yaml.replace(/---\n$/, "")) as { stringData: { west: string } };
    const connection = readKubeconfig(stringData.west, { trusted: false, allowed: new Set(["loopback"]) });
    const api = new HttpKubeApi(realHost(), connection);
    apis.push(api);
    return api;
  };
  const list = (api: HttpKubeApi, type = PODS): Promise<unknown> =>
    api.call({ method: "GET", path: pathOf(type, type.versions[0]!) });
  const refused = (attempt: Promise<unknown>, status: number): Promise<void> =>
    assert.rejects(
      attempt,
      (error) => (error instanceof ApiError && error.status === status) || assert.fail(String(error)),
    );

  test("a printed secret is one that kubectl applies, and lets us read what counts of a cluster, and no secrets", async () => {
    const { out, err } = await create();
    assert.match(err, /created ClusterRole istio-reader-clusterrole-readers/);
    assert.match(err, /means another machine wherever the secret is used/);
    assert.doesNotMatch(err, /lacks rights/);
    const path = join(lab.folder, "secret.yaml");
    writeFileSync(path, out);
    await west.client.kubectl("apply", "-f", path);
    const applied = await west.client.get(SECRETS, "istio-remote-secret-west", NAMESPACE);
    assert.equal(applied.metadata.labels!["istio/multiCluster"], "true");
    const api = reading(out);
    for (const { type } of REMOTE_KINDS)
      // An API server that has just begun still opens the storage of custom resources.
      await eventually(`${type.plural} can be listed`, 20_000, () => list(api, type).then(() => true));
    await refused(list(api, SECRETS), 403);
    assert.equal((await create()).out, out);
  });

  test("a rotated token works beside the old one, which ends with its Secret", async () => {
    const [before, rotated] = [await create(), await create("--rotate")];
    assert.notEqual(rotated.out, before.out);
    const [, old = ""] = /kubectl -n readers delete secret (\S+)\n/.exec(rotated.err) ?? [];
    const [first, second] = [reading(before.out), reading(rotated.out)];
    await Promise.all([list(first), list(second)]);
    await west.client.delete(SECRETS, old, NAMESPACE);
    await refused(list(first), 401);
    await list(second);
    assert.equal((await create()).out, rotated.out);
  });

  test("a token that ends is minted each time, and its end is the API server's", async () => {
    const { out, err } = await create("--duration", "2h");
    assert.match(err, /the token ends at \S+Z, in (1h|2h): apply a new secret/);
    await list(reading(out));
    assert.notEqual((await create("--duration", "2h")).out, out);
  });

  test("an account that lacks rights is named with what it lacks", async () => {
    const { err } = await create("--create-service-account=false", "--service-account", "cart");
    assert.match(err, /service account readers\/cart lacks rights, .* it may not list namespaces, watch namespaces, /);
    assert.match(err, /create tokenreviews\.authentication\.k8s\.io\n/);
  });

  /** Who verifies the tokens of west's pods by the rights of its reader, and one such pod. */
  const reviewing = async (pod: string) => {
    const spec = { serviceAccountName: "cart", nodeName: "n1", containers: [{ name: "c", image: "c" }] };
    const { metadata } = await west.client.create(PODS, { metadata: { name: pod, namespace: NAMESPACE }, spec });
    const uid = metadata.uid!;
    const live: Record<string, LivePod> = { [`west/readers/${pod}`]: { uid, node: "n1", serviceAccount: "cart" } };
    const authenticator = new TokenReviewAuthenticator(realHost(), {
      cluster: clusterId("west"),
      trustDomain: "cluster.local",
      reviewer: new KubeTokenReviewer(reading((await create("--duration", "1h")).out)),
      pods: livePods(live),
    });
    const shown = { clusterId: "west", certificateChain: [], remoteAddress: "test" };
    return {
      live,
      uid,
      token: (audience = "istio-ca") => west.podToken(NAMESPACE, pod, "cart", audience),
      show: (token: string) => authenticator.authenticate({ ...shown, authorization: `Bearer ${token}` }),
    };
  };

  test("the cluster's own API server says, by the rights of its reader, whose its tokens are", async () => {
    const { live, uid, token, show } = await reviewing("cart-0");
    const [first, second] = [await token(), await token()];
    const { identity, cluster, pod, expiresAt } = await show(first);
    const cart = { trustDomain: "cluster.local", namespace: NAMESPACE, serviceAccount: "cart" };
    assert.deepEqual([identity, cluster, pod], [cart, "west", { name: "cart-0", uid }]);
    assert.ok(expiresAt > Date.now());
    await assert.rejects(show(await token("vault")), /not for audience istio-ca/);
    const forged = first.replace(/.(?=[^.]{20}$)/, (character) => (character === "A" ? "B" : "A"));
    await assert.rejects(show(forged), /does not accept the token/);
    await west.client.delete(PODS, "cart-0", NAMESPACE);
    await assert.rejects(show(second), /does not accept the token: .*invalidated/);
    delete live["west/readers/cart-0"];
    await assert.rejects(show(first), /which is not live/);
  });

  test("while the API server is down, tokens that it has proven are good, and others wait until it is back", async () => {
    const { token, show } = await reviewing("cart-1");
    const [known, unknown] = [await token(), await token()];
    const caller = await show(known);
    await west.api.stop("SIGKILL");
    assert.equal(await show(known), caller);
    await assert.rejects(show(unknown), { code: "unavailable" });
    await west.api.startAgain();
    await eventually("it is reviewed", 20_000, () => show(unknown).then(() => true));
  });

  test("a printed secret that is applied elsewhere makes its cluster one of those that are read there", async () => {
    const east = await lab.cluster("east");
    const plane = await lab.causeway({
      kubeconfig: await east.kubeconfigFor("istiod"),
      cluster: "east",
      environment: { PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS: "loopback" },
    });
    const path = join(lab.folder, "west.yaml");
    writeFileSync(path, (await create()).out.replace(`namespace: ${NAMESPACE}`, "namespace: istio-system"));
    await east.client.kubectl("apply", "-f", path);
    const { admin } = plane.connection!;
    const clusters = (): Promise<{ readonly stdout: string }> =>
      run("node", [PROGRAM, "remote-clusters", "--admin", admin]);
    await eventually("west is synced", 20_000, async () => /^west .*synced/m.test((await clusters()).stdout));
    const [, own, other] = (await clusters()).stdout.split("\n").map((line) => line.split(/\s{2,}/));
    assert.deepEqual(own, ["east", "synced", "istiod.istio-system"]);
    assert.deepEqual(other, ["west", "istio-system/istio-remote-secret-west", "synced", "istiod.istio-system"]);
    for (const { name } of await plane.debug<{ name: string }[]>("list"))
      if (name !== "config_dump") await plane.debug(name);
  });
});
