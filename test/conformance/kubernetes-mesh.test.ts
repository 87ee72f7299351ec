import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { eventually, type Causeway } from "./causeway-process.ts";
import { EXAMPLES, type KubeCluster, KubeLab } from "./kube-lab.ts";
import { MeshWatcher } from "./mesh-watcher.ts";
import { objectSteps } from "./object-steps.ts";
import { oracle, sends } from "./oracle.ts";

suite("Causeway on a Kubernetes API server", () => {
  let lab: KubeLab;
  let cluster: KubeCluster;
  /** It was there before the first object. */
  let plane: Causeway;

  before(async function () {
    lab = await KubeLab.open(this);
    cluster = await lab.cluster();
    plane = await lab.causeway({ kubeconfig: await cluster.kubeconfigFor("istiod") });
    await cluster.applyExamples();
  });
  after(() => lab?.close());

  /** How many events of a kind it took: some are in the plural, as in istiod. */
  const events = async (kind: string): Promise<number> =>
    (await plane.metric("pilot_k8s_reg_events", `type="${kind}"`)) +
    (await plane.metric("pilot_k8s_reg_events", `type="${kind}s"`)) +
    (await plane.metric("pilot_k8s_cfg_events", `type="${kind}"`));

  test("kubectl apply of examples/shop gives clients, to the bit, what --manifests examples/shop gives them", async () => {
    const folder = await lab.causeway({ flags: ["--manifests", EXAMPLES] });
    const expected = await folder.digests();
    // One saw every object come, the other finds all of them.
    await sends(plane, expected);
    const late = await lab.causeway({ kubeconfig: await cluster.kubeconfigFor("istiod") });
    await sends(late, expected);
    assert.deepEqual(await oracle([cluster]), expected);
    console.log(`      ${JSON.stringify(expected)}`);
    await folder.stop();
    await late.stop();
  });

  test("a ztunnel's token, reviewed by the API server, lets a client in, which then holds what is served", async () => {
    const token = await cluster.ztunnelToken();
    const watcher = await MeshWatcher.start(plane, token);
    assert.deepEqual(watcher.digests(), await plane.digests());
    await watcher.close();
    await assert.rejects(MeshWatcher.start(plane, await cluster.ztunnelToken("another-audience")), {
      code: "denied",
    });
  });

  test("every kind of object is added, changed and deleted, and each time clients hold what a fresh start would", async function () {
    this.timeout(5 * 60_000);
    const took: number[] = [];
    for (const { kind, what, shows, run } of objectSteps(cluster)) {
      const [before, seen] = [await oracle([cluster]), await events(kind)];
      await run();
      const expected = await oracle([cluster]);
      await eventually(`${kind}: ${what} is seen`, 5_000, async () => (await events(kind)) > seen);
      assert.equal(JSON.stringify(before) !== JSON.stringify(expected), shows, `${kind}: ${what} changes the mesh`);
      took.push(
        await sends(plane, expected).catch((thrown: Error) => assert.fail(`${kind}: ${what}: ${thrown.message}`)),
      );
    }
    const fresh = await lab.causeway({ kubeconfig: await cluster.kubeconfigFor("istiod") });
    assert.deepEqual(await fresh.digests(), await plane.digests());
    await fresh.stop();
    const worst = Math.max(...took);
    console.log(`      ${took.length} steps; each was out within ${worst} ms`);
  });
});
