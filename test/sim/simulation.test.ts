import assert from "node:assert/strict";
import { test } from "mocha";
import { simulate, type Tally } from "./simulation.ts";

const SEEDS = 60;

test(`once faults stop, every client holds what the mesh holds, and never lacked a policy (${SEEDS} seeds)`, () => {
  const total: Tally = { responses: 0, rejections: 0, reconnects: 0, restarts: 0, expired: 0, demands: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const tally = simulate(seed);
    for (const key of Object.keys(total) as (keyof Tally)[]) total[key] += tally[key];
  }
  for (const [what, count] of Object.entries(total))
    assert.ok(count > SEEDS / 4, `only ${count} ${what}: too quiet a world`);
});
