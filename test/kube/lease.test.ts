import assert from "node:assert/strict";
import { test } from "mocha";
import { LEASE_TIMES, LeaseElection, type LeaseRecord } from "../../src/kube/lease.ts";

const WALL = "2026-11-21T08:00:00.000000Z";
const heldBy = (holder: string, resourceVersion: string, leaseMs = 15_000): LeaseRecord => ({
  holder,
  leaseMs,
  acquired: WALL,
  transitions: 3,
  resourceVersion,
});

test("a lease that is not there is taken at once, and led on from when it was asked for", () => {
  const election = new LeaseElection("a");
  assert.ok(election.mustRead);
  assert.equal(election.proposal(0, WALL), undefined);
  election.observed(undefined, 100);
  const proposal = election.proposal(100, WALL);
  assert.deepEqual(proposal, { holder: "a", leaseMs: 15_000, acquired: WALL, transitions: 0, resourceVersion: "" });
  election.written({ ...proposal!, resourceVersion: "1" }, 100, 4_100);
  assert.equal(election.leadsUntilMs, 100 + LEASE_TIMES.renewMs);
  assert.ok(election.leads(10_099) && !election.leads(10_100));
});

test("another's lease is left alone for as long as it was promised since it last changed", () => {
  const election = new LeaseElection("a");
  election.observed(heldBy("b", "1"), 1_000);
  election.observed(heldBy("b", "1"), 10_000);
  assert.equal(election.proposal(15_999, WALL), undefined);
  assert.equal(election.proposal(16_000, WALL)?.holder, "a");
  election.observed(heldBy("b", "2"), 16_000);
  assert.equal(election.proposal(30_999, WALL), undefined);
  const taken = election.proposal(31_000, WALL);
  assert.deepEqual([taken?.transitions, taken?.resourceVersion], [4, "2"]);
});

test("a longer promise counts, up to two minutes; a shorter one does not", () => {
  for (const [leaseMs, freeMs] of [
    [60_000, 60_000],
    [1_000, 15_000],
    [9e9, 120_000],
  ] as const) {
    const election = new LeaseElection("a");
    election.observed(heldBy("b", "1", leaseMs), 0);
    assert.equal(election.proposal(freeMs - 1, WALL), undefined);
    assert.equal(election.proposal(freeMs, WALL)?.holder, "a");
  }
});

test("a lease that was given back is free at once", () => {
  const election = new LeaseElection("a");
  election.observed(heldBy("b", "1"), 0);
  election.observed(heldBy("", "2", 1_000), 10);
  assert.equal(election.proposal(10, WALL)?.holder, "a");
});

test("deleting a lease does not end the term of its holder", () => {
  const election = new LeaseElection("a");
  election.observed(heldBy("b", "7"), 0);
  election.observed(undefined, 5_000);
  assert.equal(election.proposal(14_999, WALL), undefined);
  assert.equal(election.proposal(15_000, WALL)?.resourceVersion, "");
});

test("a write of which nobody knows how it went leads nowhere until the lease was read and written again", () => {
  const election = new LeaseElection("a");
  election.observed(undefined, 0);
  election.failed();
  assert.equal(election.proposal(1, WALL), undefined);
  // It was stored after all.
  election.observed(heldBy("a", "1"), 2_000);
  assert.ok(!election.leads(2_000));
  election.written(heldBy("a", "2"), 2_000, 2_010);
  assert.ok(election.leads(2_010));
});

test("who sees another's name in the lease stops to lead", () => {
  const election = new LeaseElection("a");
  election.observed(undefined, 0);
  election.written(heldBy("a", "1"), 0, 1);
  election.failed();
  assert.ok(election.leads(2_000), "a failed renewal ends nothing by itself");
  election.observed(heldBy("b", "2"), 2_000);
  assert.ok(!election.leads(2_000));
});

test("only a lease that is held is given back, once", () => {
  const election = new LeaseElection("a");
  election.observed(heldBy("b", "1"), 0);
  assert.equal(election.release(), undefined);
  election.observed(heldBy("", "2"), 1);
  election.written(heldBy("a", "3"), 1, 2);
  assert.equal(election.release()?.holder, "");
  assert.ok(!election.leads(3));
  assert.equal(election.release(), undefined);
});
