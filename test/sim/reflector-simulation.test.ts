import assert from "node:assert/strict";
import { test } from "mocha";
import { simulateReflectors, type ReflectorTally } from "./reflector-simulation.ts";

const SEEDS = 25;

test(`whatever an API server does, sinks lose nothing that it has, and end as it is (${SEEDS} seeds)`, async () => {
  const total: Partial<Record<keyof ReflectorTally, number>> = {};
  for (let seed = 1; seed <= SEEDS; seed++)
    for (const [what, count] of Object.entries(await simulateReflectors(seed)))
      total[what as keyof ReflectorTally] = (total[what as keyof ReflectorTally] ?? 0) + (count as number);
  for (const [what, count] of Object.entries(total))
    assert.ok(count > SEEDS / 4, `only ${count} ${what}: too quiet a world`);
});
