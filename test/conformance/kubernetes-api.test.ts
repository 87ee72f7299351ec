import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { PODS, SERVICES } from "../../src/kube/resource-types.ts";
import { controlled } from "./controller-stand-in.ts";
import { EXAMPLES, KubeLab } from "./kube-lab.ts";
import { kubeapiFolder } from "./kubeapi-build.ts";

suite("the API server of the tests", () => {
  let lab: KubeLab;
  before(async function () {
    lab = await KubeLab.open(this);
  });
  after(() => lab?.close());

  test("the API server that the other tests believe passes its own tests", async function () {
    this.timeout(10 * 60_000);
    const { stdout } = await promisify(execFile)("make", ["test"], {
      cwd: (await kubeapiFolder()) as string,
      timeout: 9 * 60_000,
    });
    assert.match(stdout, /^ok\s+kubeapi\s/m);
  });

  test("kubectl apply of the examples, and what controllers add, are one mesh with the addresses of --manifests", async () => {
    const cluster = await lab.cluster();
    await cluster.applyExamples();
    const expected = (await controlled(EXAMPLES)).filter(({ kind }) => kind === "Pod" || kind === "Service");
    const addresses = expected.map(({ metadata, spec, status }) => [
      `${metadata.namespace}/${metadata.name}`,
      (status as { podIP?: string } | undefined)?.podIP ?? (spec as { clusterIP: string }).clusterIP,
    ]);
    const [pods, services] = [await cluster.client.list(PODS), await cluster.client.list(SERVICES)];
    const found = [
      ...pods.map(({ metadata, status }) => [metadata, (status as { podIP: string }).podIP] as const),
      ...services.map(({ metadata, spec }) => [metadata, (spec as { clusterIP: string }).clusterIP] as const),
    ].map(([{ namespace, name }, address]) => [`${namespace}/${name}`, address]);
    assert.deepEqual(found.sort(), addresses.sort());
    assert.equal(found.length, 19);
  });
});
