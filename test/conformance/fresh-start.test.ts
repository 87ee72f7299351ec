import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";

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
    const summary = JSON.parse(printed) as Record<string, unknown> & { svid: { spiffeId: string; notAfter: string } };
    assert.deepEqual([summary["workloads"], summary["services"], summary["policies"]], [14, 7, 3]);
    assert.match(summary.svid.spiffeId, /^spiffe:\/\/cluster\.local\/ns\/bookshop\/sa\//);
    assert.ok(Date.parse(summary.svid.notAfter) > Date.now());
    assert.deepEqual([typeof summary["readyMs"], typeof summary["snapshotMs"]], ["number", "number"]);
  });
});
