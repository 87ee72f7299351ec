import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { checkPageOf, CHECKS } from "../../src/inspect/check/checks.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const read = (...path: readonly string[]): string => readFileSync(join(root, ...path), "utf8");

/** The codes that a check can find, as its source has them. */
function codesIn(): ReadonlySet<string> {
  const folder = join(root, "src", "inspect", "check");
  const found = new Set<string>(Object.values(CHECKS).map(({ codes }) => `${codes}00`));
  for (const file of readdirSync(folder)) {
    const text = read("src", "inspect", "check", file);
    const [, key] = /CHECKS\.(\w+)/.exec(text) ?? [];
    if (key === undefined) continue;
    const { codes } = CHECKS[key as keyof typeof CHECKS];
    const literal = /"(\d\d)"/g;
    for (const [, digits] of text.matchAll(literal)) found.add(`${codes}${digits}`);
  }
  return found;
}

test("every code of a check has a section on the check's page, and no section lacks a code", () => {
  const codes = codesIn();
  assert.ok(codes.size > 60, `${codes.size}`);
  const sections = new Set<string>();
  for (const { page, name } of Object.values(CHECKS)) {
    const text = read("docs", "checks", `${page}.md`);
    assert.ok(text.startsWith(`# ${name}\n`), page);
    for (const [, code] of text.matchAll(/^## (CWY\d{4})$/gm)) {
      sections.add(code!);
      assert.equal(checkPageOf(code!), `checks/${page}`);
    }
  }
  assert.deepEqual([...sections].sort(), [...codes].sort());
});

test("the index of checks leads to each page, in their order", () => {
  const pages = [...read("docs", "checks", "README.md").matchAll(/\((\S+)\.md\) \|/g)].map(([, page]) => page);
  assert.deepEqual(
    pages,
    Object.values(CHECKS).map(({ page }) => page),
  );
});
