import assert from "node:assert/strict";
import { test } from "mocha";
import { EventLoopWatch } from "../src/event-loop-watch.ts";
import { TestHost } from "./kits/test-host.ts";

/** A host whose clock can go on while nothing runs. */
function stallingHost(): { host: TestHost; clock: TestHost["clock"]; stall: (ms: number) => void } {
  const host = new TestHost();
  let stalledMs = 0;
  const clock = Object.create(host.clock, {
    elapsedMs: { value: () => host.clock.elapsedMs() + stalledMs },
    after: { value: (delayMs: number, task: () => void) => host.clock.after(delayMs, task) },
  }) as TestHost["clock"];
  return { host, clock, stall: (ms) => void (stalledMs += ms) };
}

test("a process whose timers run is alive, and one whose timers have not run for 30 s says why it is not", () => {
  const { host, clock, stall } = stallingHost();
  const watch = new EventLoopWatch(clock, host.log.scope("admin"));
  host.clock.advance(3_600_000);
  assert.equal(watch.whyDead(), undefined);
  stall(30_000);
  assert.equal(watch.whyDead(), undefined);
  stall(2000);
  assert.match(watch.whyDead()!, /^the event loop has not run its timers for 31 s$/);
  host.clock.advance(1000);
  assert.equal(watch.whyDead(), undefined);
});

test("a stall of more than a second is worth a line, once", () => {
  const { host, clock, stall } = stallingHost();
  using _watch = new EventLoopWatch(clock, host.log.scope("admin"));
  stall(900);
  host.clock.advance(1000);
  assert.deepEqual(host.lines, []);
  stall(2500);
  host.clock.advance(10_000);
  assert.equal(host.lines.length, 1);
  assert.match(host.lines[0]!, /^warn admin: the event loop stood still; .* ms=2500$/);
});

test("a watch that is disposed leaves no timer behind", () => {
  const { host, clock } = stallingHost();
  new EventLoopWatch(clock, host.log.scope("admin"))[Symbol.dispose]();
  assert.equal(host.clock.pending, 0);
});
