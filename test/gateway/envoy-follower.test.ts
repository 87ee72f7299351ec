import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "mocha";
import { EnvoyFollower } from "../../src/gateway/envoy-follower.ts";
import { processBegunAt, processWithArgument } from "../../src/gateway/process-table.ts";
import type { AgentEvents, AgentSvids } from "../../src/spire/spire.ts";
import { until } from "../kits/until.ts";
import { VirtualClock } from "../sim/world.ts";

const NOTHING: AgentSvids = { svids: [], bundles: new Map() };

/** A machine whose processes are what the test says, and an agent that speaks of one of them at a time. */
function lab() {
  const clock = new VirtualClock();
  const began = new Map<number, string>();
  const envoy = { pid: undefined as number | undefined };
  const streams: { pid: number; events: AgentEvents; open: boolean }[] = [];
  const [said, broken]: [AgentSvids[], string[]] = [[], []];
  const follower = new EnvoyFollower(
    clock,
    { pid: () => envoy.pid, begunAt: (pid) => began.get(pid) },
    (pid, events) => {
      const stream = { pid, events, open: true };
      streams.push(stream);
      return { [Symbol.dispose]: () => void (stream.open = false) };
    },
    { said: (svids) => void said.push(svids), broke: (why) => void broken.push(why.message) },
  );
  const runs = (pid: number, begunAt: string): void => {
    envoy.pid = pid;
    began.set(pid, begunAt);
  };
  return { clock, began, envoy, streams, said, broken, follower, runs };
}

test("Envoy's process is followed once it runs; that it does not is said after five seconds", async () => {
  const { clock, streams, said, broken, runs } = lab();
  await clock.pass(4_999);
  assert.deepEqual([streams.length, broken.length], [0, 0]);
  await clock.pass(10_000);
  assert.equal(broken.length, 1);
  assert.match(
    broken[0]!,
    /^Envoy does not run where we can see its process, .*: start it, or name selectors with --spire/,
  );
  runs(7, "100");
  await clock.pass(1_000);
  assert.deepEqual([streams.length, streams[0]!.pid], [1, 7]);
  streams[0]!.events.said(NOTHING);
  streams[0]!.events.broke(new Error("nothing listens there"));
  assert.deepEqual([said, broken.at(-1)], [[NOTHING], "nothing listens there"]);
});

test("what is said of a number that another process has by now is not heard, and its subscription ends", async () => {
  const { clock, streams, said, broken, runs, began } = lab();
  runs(7, "100");
  await clock.pass(0);
  began.set(7, "200");
  streams[0]!.events.said(NOTHING);
  assert.deepEqual([said, streams[0]!.open], [[], false]);
  assert.deepEqual(broken, ["Envoy's process 7 has ended, and SPIRE's agent is asked no more"]);
});

test("a process that ends is noticed within a second, and the next Envoy is followed", async () => {
  const { clock, streams, said, broken, runs, began, follower } = lab();
  runs(7, "100");
  await clock.pass(0);
  began.delete(7);
  await clock.pass(1_000);
  assert.deepEqual([streams[0]!.open, broken.length], [false, 1]);
  runs(8, "200");
  await clock.pass(1_000);
  assert.deepEqual(
    streams.map(({ pid, open }) => [pid, open]),
    [
      [7, false],
      [8, true],
    ],
  );
  streams[0]!.events.said(NOTHING);
  streams[1]!.events.said(NOTHING);
  assert.equal(said.length, 1, "of 7 nothing more is heard");
  follower[Symbol.dispose]();
  assert.deepEqual([streams[1]!.open, clock.pending], [false, 0]);
});

test("a process is known by when it began, and found by a file among its arguments, if it is the only one", async () => {
  const file = join(tmpdir(), `causeway-bootstrap-${process.pid}.json`);
  assert.equal(processWithArgument(file), undefined);
  // A name with brackets and spaces makes `stat` hard to read.
  const start = () => spawn("sh", ["-c", "printf 'a) S 1 (' > /proc/$$/comm; echo; read line", "-c", file]);
  const first = start();
  await once(first.stdout, "data");
  assert.equal(processWithArgument(file), first.pid);
  const begun = processBegunAt(first.pid!);
  assert.match(begun!, /^[1-9]\d*$/);
  const second = start();
  await once(second.stdout, "data");
  assert.equal(processWithArgument(file), undefined, "there are two");
  assert.ok(Number(processBegunAt(second.pid!)) >= Number(begun));
  assert.equal(processBegunAt(first.pid!), begun);
  for (const child of [first, second]) {
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.equal(processBegunAt(child.pid!), undefined);
  }
});

test("a process that has ended is none, also while nobody has asked for its end", async () => {
  const parent = spawn("sh", ["-c", "sleep 0.2 & echo $!; exec sleep 60"]);
  const [text] = (await once(parent.stdout, "data")) as [Buffer];
  await until(() => processBegunAt(Number(text)) === undefined);
  assert.match(readFileSync(`/proc/${Number(text)}/stat`, "utf8"), /\) Z /);
  parent.kill("SIGKILL");
  await once(parent, "exit");
});
