import assert from "node:assert/strict";
import { test } from "mocha";
import { simulateClusters, type Tally } from "./cluster-simulation.ts";

const SEEDS = 5;

test(`nothing goes that an API server still has, and once faults end all is as if read anew (${SEEDS} seeds)`, async () => {
  const total: Tally = { changes: 0, faults: 0, rotations: 0, restarts: 0, leaves: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const tally = await simulateClusters(seed).catch((error: Error) => {
      throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
    });
    for (const key of Object.keys(total) as (keyof Tally)[]) total[key] += tally[key];
  }
  for (const [what, count] of Object.entries(total))
    assert.ok(count >= SEEDS, `only ${count} ${what}: too quiet a world`);
});
