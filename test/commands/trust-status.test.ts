import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { trustStatusCommand } from "../../src/commands/trust-status.ts";
import type { ManagedClusterView, TrustView } from "../../src/manager/view.ts";
import { servedPages } from "./served-pages.ts";
import { run } from "./served-mesh.ts";

const golden = join(import.meta.dirname, "..", "..", "..", "test", "commands", "golden");

/** `UPDATE=1` writes them anew. */
function assertGolden(name: string, text: string): void {
  const path = join(golden, name);
  if (process.env["UPDATE"] === "1") writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"));
}

const NOW = Date.parse("2026-11-21T22:00:00Z");
const HOUR_MS = 3_600_000;
const [ONE, TWO] = ["1".repeat(64), "2".repeat(64)];

const cluster = (name: string, more: Partial<ManagedClusterView> = {}): ManagedClusterView => ({
  cluster: name,
  trustDomain: "mesh.example",
  state: "ACCEPTED",
  messages: [],
  link: "connected",
  from: "10.0.0.7",
  heardAt: NOW - 3000,
  reported: true,
  signingRoot: ONE,
  issuer: "mesh root",
  notAfter: NOW + 90 * 24 * HOUR_MS,
  roots: [ONE],
  current: true,
  ...{ waits: [], problems: [], restarts: [], skewMs: 12 },
  ...more,
});

const healthy: TrustView = {
  version: "1.0.0",
  now: NOW,
  policy: { title: "RootTrustPolicy gloo-mesh/root", state: "ACCEPTED", messages: [], source: "generated" },
  roots: [{ sha256: ONE, subject: '"mesh root" (11111111)', notAfter: NOW + 3650 * 24 * HOUR_MS, role: "signing" }],
  rotation: { phase: "steady", notes: [] },
  clusters: [cluster("east"), cluster("west")],
  refused: [],
  objects: [],
};

const changing: TrustView = {
  ...healthy,
  roots: [
    { sha256: TWO, subject: '"new root" (22222222)', notAfter: NOW + 3650 * 24 * HOUR_MS, role: "signing" },
    ...healthy.roots,
  ],
  rotation: {
    phase: "add",
    notes: [
      'clusters learn root "new root" (22222222) beside "mesh root" (11111111), and the first one switches when all have trusted it for 24h',
      'cluster west has not reported that it trusts "new root" (22222222) (last heard of at 2026-11-21T19:00Z); if it is gone for good, delete KubernetesCluster west',
    ],
  },
  clusters: [
    cluster("east", { roots: [TWO, ONE] }),
    cluster("west", { link: "away", heardAt: NOW - 3 * HOUR_MS, current: false, skewMs: -86_400_000 }),
    cluster("north", {
      ...{ link: "never", state: "PENDING", messages: ["it has not called yet"], heardAt: undefined, reported: false },
      ...{ signingRoot: undefined, issuer: "", notAfter: undefined, roots: [], skewMs: undefined },
    }),
  ],
  refused: [
    { cluster: "mallory", from: "10.9.9.9", at: NOW - 60_000, why: "cluster mallory is not registered\u001b[2J" },
  ],
  objects: [
    {
      title: "RootTrustPolicy gloo-mesh/second",
      state: "INVALID",
      messages: ["RootTrustPolicy gloo-mesh/root is older"],
    },
  ],
};

async function status(view: unknown, ...words: readonly string[]) {
  await using served = await servedPages({ trustz: view });
  return await run(trustStatusCommand, "--admin", served.url, ...words);
}

test("all is well: the exit code is 0, and each cluster has one line", async () => {
  const { code, out } = await status(healthy);
  assert.equal(code, 0, out);
  assertGolden("trust-status-healthy.txt", out);
});

test("what a change waits for, who is away and who was refused are named, and the exit code is 1", async () => {
  const { code, out } = await status(changing);
  assert.equal(code, 1);
  assert.ok(!out.includes("\u001b"), "what a caller calls itself cannot move the cursor");
  assertGolden("trust-status-changing.txt", out);
});

test("a change that goes on is nothing wrong, one that is refused is", async () => {
  assert.equal((await status({ ...healthy, rotation: { phase: "wait", notes: ["it waits"] } })).code, 0);
  assert.equal((await status({ ...healthy, rotation: { phase: "refused", notes: ["the plan"] } })).code, 1);
  assert.equal((await status({ ...healthy, policy: undefined })).code, 1);
});

test("scripts get all of it as JSON, and a control plane that is no trust manager is told from one", async () => {
  const { out } = await status(changing, "-o", "json");
  assert.deepEqual(JSON.parse(out), JSON.parse(JSON.stringify(changing)));
  const other = await status({ something: "else" });
  assert.equal(other.code, 2);
  assert.match(other.err, /is it a trust manager's\?/);
});
