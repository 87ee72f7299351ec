import assert from "node:assert/strict";
import { suite, suiteSetup as before, suiteTeardown as after, test } from "mocha";
import { seededRandom } from "../sim/world.ts";
import { RandomGateway } from "../xds/envoy/random-gateway.ts";
import { gateway } from "../xds/envoy/samples.ts";
import { activeIn, meantBy } from "./config-dump.ts";
import { envoyBinary } from "./envoy-binary.ts";
import { PathsLab } from "./paths-lab.ts";

const CONFIGURATIONS = 1_000;
/** A gateway becomes one of the other kind, with all that is in it new. */
const NEW_WORLD_EVERY = 50;
/** A dump takes Envoy and us longer than a change does. */
const COMPARED_EVERY = 10;
const SEED = Number(process.env["SEED"] ?? 7);
const SETTLE_MS = 15_000;

suite("random configurations of gateways on stock Envoy", () => {
  let lab: PathsLab;

  before(async function () {
    this.timeout(60_000);
    const binary = await envoyBinary();
    if (typeof binary === "object") {
      console.log(`    gateway-configs: skipped; ${binary.missing}`);
      this.skip();
    }
    lab = await PathsLab.open(binary);
  });
  after(async () => lab?.close());

  test(`Envoy takes ${CONFIGURATIONS} of them in a row, seed ${SEED}, rejects none, and works with what was meant`, async function () {
    this.timeout(300_000);
    const random = seededRandom(SEED);
    const world = new RandomGateway(random, lab.world);
    let kinds = 0;
    let largest = 0;
    for (let turn = 0; turn < CONFIGURATIONS; turn++) {
      if (turn % NEW_WORLD_EVERY === 0) world.become(gateway((kinds += 1) % 4 === 0 ? { kind: "east-west" } : {}));
      for (let more = random.below(4); more >= 0; more--) world.change();
      lab.world.graph.flush();
      await answered(turn);
      if (turn % COMPARED_EVERY === COMPARED_EVERY - 1) largest = Math.max(largest, await compared(turn));
    }
    assert.deepEqual(lab.world.refusals(), [], "every value has an encoding");
    assert.ok(largest > 60, `only ${largest} resources`);
  });

  /** Resolves once Envoy has taken all of it. */
  async function answered(turn: number): Promise<void> {
    const until = performance.now() + SETTLE_MS;
    // What was flushed is sent in the turn that follows.
    do await new Promise((resolve) => setTimeout(resolve, 2));
    while (!lab.answered && performance.now() < until);
    assert.deepEqual(lab.rejections, [], `configuration ${turn} was rejected`);
    assert.ok(lab.answered, `configuration ${turn} was not answered`);
  }

  /** Resolves once Envoy works with exactly what was meant. @returns how many resources that is. */
  async function compared(turn: number): Promise<number> {
    const meant = meantBy(lab.meant);
    for (const until = performance.now() + SETTLE_MS; ;) {
      const active = await activeIn(lab.envoy);
      if (active.join("\n") === meant.join("\n")) return meant.length;
      if (performance.now() > until)
        assert.deepEqual(active, meant, `configuration ${turn} is not what Envoy works with`);
    }
  }
});
