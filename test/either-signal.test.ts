import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { test } from "mocha";
import { eitherSignal } from "../src/either-signal.ts";
import { systemClock } from "../src/system-host.ts";
import { timeLimit } from "../src/time-limit.ts";
import { TestHost } from "./kits/test-host.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

test("who only listens to the first of two signals hears of it, also after a garbage collection", async () => {
  const first = new AbortController();
  const heard = new Promise((resolve) => {
    eitherSignal(first.signal, new AbortController().signal).addEventListener("abort", resolve);
  });
  // Twice, with a turn between: weak references are kept to the end of the task that made them.
  for (let round = 0; round < 2; round++) {
    await new Promise<void>((resolve) => void systemClock.after(0, resolve));
    collect();
  }
  first.abort();
  await heard;
});

test("a signal that has aborted already aborts at once, with its reason", () => {
  assert.equal(eitherSignal(new AbortController().signal, AbortSignal.abort("why")).reason, "why");
});

test("a time limit aborts when its time is up, and lets go of the other signal when its work is done", async () => {
  const host = new TestHost();
  const other = new AbortController();
  const limit = timeLimit(host.clock, 50, other.signal);
  const heard = once(limit.signal, "abort");
  timeLimit(host.clock, 100, other.signal)[Symbol.dispose]();
  assert.equal(host.clock.pending, 1);
  host.clock.advance(50);
  await heard;
  assert.deepEqual(getEventListeners(other.signal, "abort"), []);
});
