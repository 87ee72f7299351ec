import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "mocha";
import { demoCommand } from "../../src/commands/demo.ts";
import type { MeshSummary } from "../../src/demo/summary.ts";
import { UNSEEN } from "../kits/unseen.ts";

const left = () => readdirSync(tmpdir()).filter((name) => name.startsWith("causeway-once-"));

async function runOnce(): Promise<MeshSummary> {
  const out: string[] = [];
  const printer = { out: (text: string) => void out.push(text), err: () => {} };
  const options = { once: true, output: "json", log_output_level: "none" };
  const { signal } = new AbortController();
  assert.equal(await demoCommand(1).run({ args: [], options, environment: {}, printer, ...UNSEEN, signal }), 0);
  return JSON.parse(out.join("")) as MeshSummary;
}

/** As the table of examples/README.md says: host to endpoints by cluster. */
function promised(): ReadonlyMap<string, Readonly<Record<string, number>>> {
  const readme = readFileSync(join(import.meta.dirname, "..", "..", "..", "examples", "README.md"), "utf8");
  const rows = readme.matchAll(/^\| `([\w.-]+\.mesh\.internal)` \| (\d+) \| (\d+) \| (\d+) \|$/gm);
  return new Map(
    Array.from(rows, ([, host, ...counts]) => {
      const all = ["edge", "bank", "vendor"].map((cluster, at) => [cluster, Number(counts[at])] as const);
      return [host!, Object.fromEntries(all.filter(([, count]) => count > 0))];
    }),
  );
}

test("three clusters become one mesh, each with the global services that the examples imply, and nothing is left behind", async () => {
  const before = left();
  const { clusters, readyMs, convergedMs } = await runOnce();
  assert.deepEqual(
    clusters.map(({ name }) => name),
    ["edge", "bank", "vendor"],
  );
  assert.equal(promised().size, 2);
  for (const { name, peers, globalServices, svid, workloads } of clusters) {
    const others = ["edge", "bank", "vendor"].filter((other) => other !== name);
    assert.deepEqual(
      peers,
      others.map((cluster) => ({ cluster, state: "live" })),
    );
    assert.deepEqual(new Map(globalServices.map(({ host, endpoints }) => [host, endpoints])), promised());
    for (const { vip } of globalServices) assert.match(vip, /^240\.240\.\d+\.\d+$/);
    assert.match(svid.spiffeId, /^spiffe:\/\/cluster\.local\/ns\//);
    assert.ok(workloads > 0);
  }
  assert.ok(readyMs <= convergedMs);
  assert.deepEqual(left(), before);
});
