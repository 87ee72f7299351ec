import assert from "node:assert/strict";
import { test } from "mocha";
import { ProxySimulation, type Seen } from "./proxy-simulation.ts";

const SEEDS = 50;

async function all(faulty: boolean): Promise<Seen> {
  const total: Seen = { changes: 0, losses: 0, rejections: 0, removals: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      const seen = await new ProxySimulation({ seed, faulty }).run();
      for (const what of Object.keys(total) as (keyof Seen)[]) total[what] += seen[what];
    } catch (error) {
      throw new Error(`seed ${seed} of ${faulty ? "faulty" : "good"} worlds`, { cause: error });
    }
  }
  return total;
}

test(`nothing an Envoy does leads to a cluster that is not ready, whatever changes and is lost (${SEEDS} seeds)`, async () => {
  const { changes, losses, rejections, removals } = await all(false);
  assert.ok(changes > 40 * SEEDS && losses > SEEDS && removals > 5 * SEEDS, "too quiet a world");
  assert.equal(rejections, 0);
});

test(`an Envoy that rejects what is bad ends with all that is meant, once that is good (${SEEDS} seeds)`, async () => {
  const { rejections } = await all(true);
  assert.ok(rejections > 4 * SEEDS, `only ${rejections} rejections: too quiet a world`);
});
