import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "mocha";

const main = join(import.meta.dirname, "..", "src", "main.js");

interface Running {
  readonly process: ReturnType<typeof spawn>;
  readonly ended: Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>;
}

const causeway = (...words: readonly string[]): Running => printingTo("pipe", ...words);

function printingTo(stdout: "pipe" | number, ...words: readonly string[]): Running {
  const child = spawn(process.execPath, [main, ...words], { stdio: ["ignore", stdout, "pipe"] });
  let [out, err] = ["", ""];
  child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr!.on("data", (chunk: Buffer) => (err += chunk.toString()));
  return { process: child, ended: once(child, "close").then(([code]) => ({ code: code as number | null, out, err })) };
}

/** A control plane that takes requests and never answers. */
async function silentServer(): Promise<{ url: string; asked: Promise<unknown>; [Symbol.dispose](): void }> {
  const server = createServer(() => {});
  const asked = once(server, "request");
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.dispose]: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

test("the program's exit code and streams are the command's", async () => {
  const [version, unknown] = await Promise.all([causeway("--version").ended, causeway("worklods").ended]);
  assert.deepEqual([version.code, version.err], [0, ""]);
  assert.match(version.out, /^\d+\.\d+\.\d+/);
  assert.deepEqual([unknown.code, unknown.out], [64, ""]);
  assert.match(unknown.err, /^causeway: unknown command 'worklods'\n\(Did you mean workloads\?\)/);
});

test("Ctrl-C ends a command that waits, and says that it is unfinished", async () => {
  using server = await silentServer();
  const running = causeway("workloads", "--admin", server.url);
  await server.asked;
  running.process.kill("SIGINT");
  const err = "causeway: workloads was stopped; it is unfinished\n";
  assert.deepEqual(await running.ended, { code: 130, out: "", err });
});

test("a reader of the output that goes away is no crash", async () => {
  const running = causeway("--help");
  running.process.stdout!.destroy();
  const { code, err } = await running.ended;
  assert.deepEqual([code, err], [0, ""]);
});

test("a disk that is full is no success", async () => {
  const full = openSync("/dev/full", "w");
  const { code, err } = await printingTo(full, "--help").ended;
  closeSync(full);
  assert.equal(code, 2);
  assert.match(err, /^causeway: what it printed could not be written: ENOSPC/);
});
