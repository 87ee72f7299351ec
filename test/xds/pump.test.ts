import assert from "node:assert/strict";
import { test } from "mocha";
import type { Clock } from "../../src/host.ts";
import { Pump } from "../../src/xds/pump.ts";

/** Time that passes only while something is served; each turn of the event loop is taken by `turn`. */
function slowWorld(msEach: number) {
  let nowMs = 0;
  const turns: (() => void)[] = [];
  const clock: Clock = {
    now: () => nowMs,
    elapsedMs: () => nowMs,
    after: (_, task) => {
      turns.push(task);
      return { [Symbol.dispose]: () => void turns.splice(turns.indexOf(task), 1) };
    },
  };
  const served: number[] = [];
  const pump = new Pump<number>(clock, (item) => {
    nowMs += msEach;
    served.push(item);
  });
  return { pump, served, turn: () => turns.shift()?.(), turns };
}

test("a thousand clients are served in turns of a few milliseconds, between which pings are answered", () => {
  const { pump, served, turn, turns } = slowWorld(1);
  for (let item = 0; item < 1_000; item++) pump.add(item);
  assert.deepEqual(served, [], "nothing is served in the turn that found the work");
  for (let most = 0; turns.length > 0; most = served.length) {
    assert.equal(turns.length, 1);
    turn();
    assert.ok(served.length - most <= 5, `${served.length - most} ms without giving way`);
  }
  assert.deepEqual(
    served,
    Array.from({ length: 1_000 }, (_, item) => item),
  );
});

test("a client that takes longer than a turn alone is served, and then gives way", () => {
  const { pump, served, turn } = slowWorld(100);
  for (const item of [1, 2]) pump.add(item);
  turn();
  assert.deepEqual(served, [1]);
  turn();
  assert.deepEqual(served, [1, 2]);
});

test("who has work twice before it is served is served once, and who has left is not", () => {
  const { pump, served, turn, turns } = slowWorld(1);
  for (const item of [1, 2, 1, 3]) pump.add(item);
  pump.remove(2);
  turn();
  assert.deepEqual(served, [1, 3]);
  pump.add(4);
  pump.close();
  assert.equal(turns.length, 0);
});
