import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { test } from "mocha";
import type { MeshSummary } from "../../src/demo/summary.ts";
import { PROGRAM } from "./causeway-process.ts";

const run = promisify(execFile);
const CLUSTERS = ["edge", "bank", "vendor"];

test("the demo with SPIRE: a trust domain for each cluster, links with every check, and no identity without an entry", async () => {
  const { stdout, stderr } = await run(process.execPath, [
    ...[PROGRAM, "demo", "--once", "--identity", "spire", "--output", "json", "--log_output_level", "none"],
  ]);
  const { clusters, withheld } = JSON.parse(stdout) as MeshSummary;
  assert.equal(stderr, "");
  assert.deepEqual(
    clusters.map(({ name, svid: { issuer, spiffeId } }) => [name, issuer, spiffeId.split("/")[2]]),
    CLUSTERS.map((name) => [name, "spire", name]),
  );
  for (const { name, peers, globalServices } of clusters) {
    const others = CLUSTERS.filter((other) => other !== name);
    assert.deepEqual(
      peers,
      others.map((cluster) => ({ cluster, state: "live" })),
    );
    assert.deepEqual(
      globalServices.map(({ host, endpoints }) => [host, endpoints]),
      [
        ["agent.accounts.mesh.internal", { bank: 3 }],
        ["converter.tools.mesh.internal", { bank: 1, vendor: 2 }],
      ],
    );
  }
  assert.equal(withheld!.spiffeId, clusters[0]!.svid.spiffeId);
  assert.match(withheld!.refusal, /SPIRE has no registration entry for spiffe:/);
});
