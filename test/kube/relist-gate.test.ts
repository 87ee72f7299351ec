import assert from "node:assert/strict";
import { test } from "mocha";
import { Backoff } from "../../src/backoff.ts";
import { RelistGate } from "../../src/kube/relist-gate.ts";
import { seededRandom } from "../sim/world.ts";

test("two lists run at a time, and clusters take turns", async () => {
  const gate = new RelistGate();
  const order: string[] = [];
  const turns: Disposable[] = [];
  const { signal } = new AbortController();
  const enter = (cluster: string, which: string) =>
    void gate.enter(cluster, signal).then((turn) => (order.push(which), turns.push(turn!)));
  for (const which of ["a1", "a2", "a3", "a4"]) enter("a", which);
  enter("b", "b1");
  enter("b", "b2");
  enter("c", "c1");
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
  await settled();
  assert.deepEqual(order, ["a1", "a2"]);
  while (turns.length > 0) {
    assert.ok(gate.running <= 2);
    const turn = turns.shift()!;
    turn[Symbol.dispose]();
    turn[Symbol.dispose]();
    await settled();
  }
  assert.deepEqual(order, ["a1", "a2", "a3", "b1", "c1", "a4", "b2"]);
  assert.equal(gate.running, 0);
});

test("an idle list keeps no other cluster from listing, but its own", async () => {
  const gate = new RelistGate();
  const { signal } = new AbortController();
  const idle = [(await gate.enter("a", signal))!, (await gate.enter("a", signal))!];
  const entered: string[] = [];
  const enter = (cluster: string) => gate.enter(cluster, signal).then((turn) => (entered.push(cluster), turn!));
  const [third, other] = [enter("a"), enter("b")];
  for (const turn of idle) turn.idle();
  (await other)[Symbol.dispose]();
  assert.deepEqual(entered, ["b"]);
  assert.equal(gate.running, 0);
  idle[0]!.idle();
  idle[0]![Symbol.dispose]();
  idle[0]![Symbol.dispose]();
  await third;
  assert.deepEqual(entered, ["b", "a"]);
  assert.equal(gate.running, 1);
});

test("who stops waiting for a turn leaves the queue", async () => {
  const gate = new RelistGate(1);
  const stop = new AbortController();
  const first = await gate.enter("a", stop.signal);
  const second = gate.enter("a", stop.signal);
  const third = gate.enter("b", new AbortController().signal);
  stop.abort();
  assert.equal(await second, undefined);
  first![Symbol.dispose]();
  assert.ok(await third);
  assert.equal(gate.running, 1);
});

test("waits double from 0.8 s to 30 s, are never all the same, and honour what a server asks within reason", () => {
  const backoff = new Backoff(seededRandom(1));
  const waits = Array.from({ length: 50 }, () => backoff.next());
  assert.ok(waits[0]! >= 800 && waits[0]! <= 1_600);
  assert.ok(waits.every((ms) => ms >= 800 && ms <= 30_000));
  assert.ok(new Set(waits.slice(10)).size > 30 && Math.max(...waits.slice(10)) > 25_000);
  assert.ok(waits.slice(10).every((ms) => ms >= 15_000));
  backoff.reset();
  assert.ok(backoff.next() <= 1_600);
  assert.ok(backoff.next(60_000) >= 60_000);
  assert.ok(backoff.next(1e12) <= 125_000);
});
