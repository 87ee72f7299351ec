import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "mocha";
import { PROGRAM } from "./causeway-process.ts";

const ALL = 90_000;

/** What the demo prints until it has told everything, then it is stopped as by Ctrl-C. */
async function told(state: string): Promise<string> {
  const ports = ["--xds-port", "0", "--admin-port", "0", "--health-port", "0"];
  const demo = spawn(process.execPath, [PROGRAM, "demo", "--state", state, ...ports], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  const limit = setTimeout(() => demo.kill("SIGKILL"), ALL);
  for (const stream of [demo.stdout, demo.stderr])
    stream.on("data", (bytes: Buffer) => {
      out += bytes.toString();
      if (out.includes("Ctrl-C ends it.")) demo.kill("SIGINT");
    });
  const code = await new Promise((resolve) => demo.once("exit", resolve));
  clearTimeout(limit);
  assert.equal(code, 0, out);
  return out;
}

test("the demo: one manager, three intermediates under one root, one cluster refused and then let in, and a new root with no refused handshake", async () => {
  const state = await mkdtemp(join(tmpdir(), "causeway-trust-demo-"));
  try {
    const out = await told(state);
    const rows = [...out.matchAll(/^(edge|bank|vendor) +ACCEPTED +([0-9a-f]{8}) +O=cluster\.local, CN=Root CA/gm)];
    assert.equal(rows.length, 6, out);
    const [before, after] = [rows.slice(0, 3), rows.slice(3)].map((part) => new Set(part.map(([, , root]) => root)));
    assert.deepEqual([before!.size, after!.size], [1, 1]);
    assert.match(out, /vendor called and was refused: cluster vendor is not registered/);
    const [, from, to] = /root (\w{8}) became root (\w{8}) within \d+ ms/.exec(out) ?? [];
    assert.deepEqual([[...before!], [...after!]], [[from], [to]]);
    assert.notEqual(from, to);
    const [, handshakes, refused] = /did (\d+) handshakes; (\d+) were refused/.exec(out) ?? [];
    assert.ok(Number(handshakes) > 30, out);
    assert.equal(refused, "0", out);
    assert.match(out, /dialled anew \d+ times, .*; 0 were refused\./);
    assert.doesNotMatch(out, /Warning/);
  } finally {
    await rm(state, { recursive: true, force: true });
  }
}).timeout(120_000);
