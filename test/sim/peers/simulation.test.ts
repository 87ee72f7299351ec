import assert from "node:assert/strict";
import { test } from "mocha";
import { type PeersTally, simulatePeers } from "./simulation.ts";

const SEEDS = 10;

test(`nothing of a peer goes on a guess, and once faults end every ztunnel holds what all clusters say (${SEEDS} seeds)`, async () => {
  const total: Partial<Record<keyof PeersTally, number>> = {};
  for (let seed = 1; seed <= SEEDS; seed++)
    for (const [what, count] of Object.entries(await simulatePeers(seed)))
      total[what as keyof PeersTally] = (total[what as keyof PeersTally] ?? 0) + (count as number);
  for (const [what, count] of Object.entries(total))
    assert.ok(count > SEEDS / 4, `only ${count} ${what}: too quiet a world`);
});
