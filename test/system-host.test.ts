import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "mocha";
import { parseLogLevels } from "../src/log-levels.ts";
import { systemClock, systemHost, systemRandom } from "../src/system-host.ts";

const fired = (delayMs: number): Promise<number> =>
  new Promise((resolve) => {
    const startedMs = systemClock.elapsedMs();
    systemClock.after(delayMs, () => resolve(systemClock.elapsedMs() - startedMs));
  });

test("a task runs once its delay has passed, one of delay 0 after the I/O that waits, and a disposed one never", async () => {
  const order: string[] = [];
  systemClock.after(0, () => order.push("0"));
  systemClock.after(0, () => order.push("disposed"))[Symbol.dispose]();
  systemClock.after(1, () => order.push("disposed"))[Symbol.dispose]();
  assert.deepEqual(order, []);
  // Node's timers may fire a millisecond early by the finer clock.
  assert.ok((await fired(20)) >= 18);
  assert.deepEqual(order, ["0"]);
});

test("a delay of more than 24 days waits, instead of running at once as setTimeout would have it", async () => {
  let ran = false;
  const task = systemClock.after(2 ** 31 + 1000, () => (ran = true));
  await fired(10);
  assert.equal(ran, false);
  task[Symbol.dispose]();
});

test("a delay that is no delay is refused", () => {
  for (const delayMs of [-1, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => systemClock.after(delayMs, () => {}), RangeError);
});

test("random bytes are as many as asked, and differ", () => {
  const [one, other] = [systemRandom.bytes(20), systemRandom.bytes(20)];
  assert.equal(one.length, 20);
  assert.notDeepEqual(one, other);
});

test("the metrics of a host say what runs, since when, and how its event loop does", async () => {
  const host = systemHost({ logLevels: parseLogLevels("test", "none"), logAsJson: false });
  const text = await host.metrics.text();
  for (const expected of [
    /^pilot_info\{version="\d+\.\d+\.\d+[^"]*"\} 1$/m,
    /^istio_build\{component="pilot",tag="[^"]+"\} 1$/m,
    /^istiod_uptime_seconds \d+\.\d+$/m,
    /^process_resident_memory_bytes \d+$/m,
    /^nodejs_eventloop_lag_seconds /m,
  ])
    assert.match(text, expected);
});

test("a reader of the log that goes away does not end the process", async () => {
  const program = `
    const { systemHost } = await import(${JSON.stringify(join(import.meta.dirname, "..", "src", "system-host.js"))});
    const { parseLogLevels } = await import(${JSON.stringify(join(import.meta.dirname, "..", "src", "log-levels.js"))});
    const host = systemHost({ logLevels: parseLogLevels("test", "info"), logAsJson: false });
    process.stdin.once("data", () => {
      for (let line = 0; line < 100; line++) host.log.scope("ads").info("line " + line);
      host.clock.after(20, () => process.exit(7));
    });
    process.stdout.write("ready");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "pipe" });
  await once(child.stdout, "data");
  child.stderr.destroy();
  child.stdin.end("go");
  const [code] = (await once(child, "exit")) as [number | null];
  assert.equal(code, 7);
});
