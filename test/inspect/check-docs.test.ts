import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { checkPageOf, CHECKS } from "../../src/inspect/check/checks.ts";
import { checkCodes } from "../kits/check-codes.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const read = (...path: readonly string[]): string => readFileSync(join(root, ...path), "utf8");

test("every code of a check has a section on the check's page, and no section lacks a code", () => {
  const codes = checkCodes();
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

test("what the pages show of a check is what it prints, word for word", () => {
  const golden = readdirSync(join(root, "test", "inspect", "golden")).map((name) =>
    read("test", "inspect", "golden", name),
  );
  const blocks = Object.values(CHECKS).flatMap(({ page }) =>
    [...read("docs", "checks", `${page}.md`).matchAll(/(?:^ {4}.*\n)+/gm)].map(([block]) =>
      block.replace(/^ {4}/gm, ""),
    ),
  );
  assert.ok(blocks.length > 25, `${blocks.length}`);
  assert.deepEqual(
    blocks.filter((block) => !golden.some((text) => text.includes(block))),
    [],
  );
});
