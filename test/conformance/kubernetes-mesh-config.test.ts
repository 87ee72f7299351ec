import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { CONFIG_MAPS } from "../../src/kube/resource-types.ts";
import type { Problem } from "../../src/registry/model/problem.ts";
import { type Causeway, eventually } from "./causeway-process.ts";
import { type KubeCluster, KubeLab } from "./kube-lab.ts";

suite("kubernetes-mesh-config: the ConfigMap of a real API server", () => {
  let lab: KubeLab;
  let east: KubeCluster;
  let plane: Causeway;
  before(async function () {
    lab = await KubeLab.open(this);
    east = await lab.cluster("east");
  });
  after(() => lab?.close());

  const write = (mesh: string) =>
    east.client.put(CONFIG_MAPS, { metadata: { name: "istio", namespace: "istio-system" }, data: { mesh } });
  const problems = async (): Promise<string> => {
    const shown = await plane.debug<readonly Problem[]>("problemz");
    return shown.map(({ object, message }) => `${object}: ${message}`).join("\n");
  };

  test("a first mesh config that cannot be read is logged, and nothing is served until it is fixed", async () => {
    await write("trustDomain: east/west");
    plane = lab.beginCauseway({ kubeconfig: await east.kubeconfigFor("istiod"), cluster: "east" });
    await eventually("it says what is wrong", 30_000, () => plane.log.includes('mesh.trustDomain is "east/west"'));
    assert.ok(!plane.log.includes("causeway is ready"));
    await write("trustDomain: east.example\ndefaultConfig: {}");
    await eventually("it is ready", 60_000, () => plane.log.includes("causeway is ready"));
    const { trustDomain } = await plane.debug<{ trustDomain: string }>("configz");
    assert.equal(trustDomain, "east.example");
  });

  test("a change that cannot be, one that must wait, and a deletion are said while the last good config holds", async () => {
    const says = (what: RegExp) => eventually(String(what), 10_000, async () => what.test(await problems()));
    await write("trustDomain: east.example\nserviceScopeConfigs: [{ scope: Everywhere }]");
    await says(/^ConfigMap istio-system\/istio: mesh.serviceScopeConfigs\[0\].scope must be LOCAL or GLOBAL/m);
    await write("trustDomain: west.example");
    await says(/mesh.trustDomain is now west.example, after a restart; until then it is east.example\.$/m);
    await east.client.delete(CONFIG_MAPS, "istio", "istio-system");
    await says(/It was deleted\. What it said stays in force until the next start/);
    await write("trustDomain: east.example");
    await eventually("nothing is wrong", 10_000, async () => !/ConfigMap istio-system\/istio:/.test(await problems()));
  });
});
