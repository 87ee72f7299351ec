import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { clusterCost, costLines } from "./cluster-size.ts";
import { KubeLab } from "./kube-lab.ts";

/** `npm run bench -- kubernetes` has 50,000 pods and 5,000 services. */
const SIZE = { pods: 10_000, services: 1_000 };
const CHANGES = { changeS: 10, perSecond: 50 };
/** How many times longer than the raw list and JSON.parse all may take that a start does more than on an empty cluster. */
const RATIO_MAX = 3;

suite("Causeway and a large cluster", () => {
  let lab: KubeLab;
  before(async function () {
    lab = await KubeLab.open(this);
  });
  after(() => lab?.close());

  test(`${SIZE.pods} pods are read in under ${RATIO_MAX}x the time of a raw list, and change without delay`, async () => {
    const cost = await clusterCost(lab, SIZE, CHANGES);
    for (const line of costLines(cost)) console.log(`      ${line}`);
    assert.ok(cost.raw.objects > SIZE.pods + 2 * SIZE.services);
    assert.equal(cost.resources, SIZE.pods + SIZE.services + 1);
    const ratio = (cost.readyMs - cost.emptyMs) / cost.raw.listMs;
    assert.ok(ratio < RATIO_MAX, `the ratio is ${ratio.toFixed(2)}`);
    assert.ok(cost.change.lagMs.p99 < 1_000, `a change took ${Math.round(cost.change.lagMs.p99)} ms`);
  });
});
