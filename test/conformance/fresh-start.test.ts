import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import type { MeshSummary } from "../../src/demo/summary.ts";

const root = join(import.meta.dirname, "..", "..", "..");
/** What git has, and nothing that a build or an install left here; without git, all but that. */
function sources(): readonly string[] {
  try {
    const tracked = execFileSync("git", ["ls-files", "-z"], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return tracked.split("\0").filter(Boolean);
  } catch {
    const made = /(^|\/)(node_modules|dist|gen|\.git|\.causeway)(\/|$)/;
    return readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)))
      .filter((path) => !made.test(path));
  }
}

suite("a fresh clone", () => {
  let copy = "";
  before(() => void (copy = mkdtempSync(join(tmpdir(), "causeway-clone-"))));
  after(() => rmSync(copy, { recursive: true, force: true }));

  test("a fresh clone starts with nothing but Node and npm, and serves what a hand count says", () => {
    for (const path of sources()) cpSync(join(root, path), join(copy, path));
    const npm = ["start", "--silent", "--", "--once", "--output", "json"];
    const printed = execFileSync("npm", npm, { cwd: copy, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    const { clusters, readyMs, convergedMs } = JSON.parse(printed) as MeshSummary;
    assert.deepEqual(
      clusters.map(({ name, peers }) => [name, ...peers.map(({ state }) => state)]),
      ["edge", "bank", "vendor"].map((name) => [name, "live", "live"]),
    );
    for (const { svid, globalServices } of clusters) {
      assert.match(svid.spiffeId, /^spiffe:\/\/cluster\.local\/ns\//);
      assert.ok(Date.parse(svid.notAfter) > Date.now());
      assert.deepEqual(
        globalServices.map(({ host, endpoints }) => [host, endpoints]),
        [
          ["agent.accounts.mesh.internal", { bank: 3 }],
          ["converter.tools.mesh.internal", { bank: 1, vendor: 2 }],
        ],
      );
    }
    assert.deepEqual([typeof readyMs, typeof convergedMs], ["number", "number"]);
  });
});
