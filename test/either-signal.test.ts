import assert from "node:assert/strict";
import { once } from "node:events";
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

test("a time limit aborts when its time is up, and not once it is disposed of", async () => {
  const host = new TestHost();
  const limit = timeLimit(host.clock, 50, new AbortController().signal);
  const kept = timeLimit(host.clock, 50, new AbortController().signal);
  kept[Symbol.dispose]();
  const heard = once(limit.signal, "abort");
  host.clock.advance(50);
  await heard;
  assert.equal(kept.signal.aborted, false);
});
