import assert from "node:assert/strict";
import { test } from "mocha";
import { type RotationGates, ROTATION_GATES } from "../../src/manager/rotation/gates.ts";
import { type Outcome, simulateRotation } from "./rotation-simulation.ts";

const SEEDS = Array.from({ length: Number(process.env["SEEDS"] ?? 2) }, (_, at) => at + 1);
/**
 * They once failed: a change was turned back before anybody had switched, and a cluster joined; and what a cluster came
 * with became the mesh's root later.
 */
const FAILED = [193, 224, 671];

test("no two workloads ever refuse each other, whatever happens to roots, clusters and the manager, and each change ends", () => {
  const outcomes = [...SEEDS, ...FAILED].map((seed) => simulateRotation(seed));
  const sum = (of: keyof Outcome): number => outcomes.reduce((total, outcome) => total + outcome[of], 0);
  assert.ok(sum("changes") >= SEEDS.length * 2, `${sum("changes")} changes`);
  for (const of of ["aborts", "refused", "restarts", "joined", "handshakes"] as const)
    assert.ok(sum(of) >= SEEDS.length, `${sum(of)} ${of}`);
});

const without: readonly [string, Partial<RotationGates>][] = [
  ["a cluster's word that it trusts the new root", { told: () => true }],
  ["the time until all workloads trust it", { learned: () => true }],
  ["a cluster's word that it signs under the new root", { signs: () => false }],
  ["the time until nothing under the old root lives", { lives: () => false }],
];

for (const [what, gate] of without)
  test(`without ${what} workloads do refuse each other: the simulation would see it`, () => {
    const seeds = Array.from({ length: 5 }, (_, seed) => seed + 1);
    assert.throws(
      () => seeds.forEach((seed) => simulateRotation(seed, { ...ROTATION_GATES, ...gate })),
      /refuses what/,
    );
  });
