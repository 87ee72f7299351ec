import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";

const tests = join(import.meta.dirname, "..", "..", "..", "test");
const transcripts = join(tests, "transcripts");
const text = readFileSync(join(transcripts, "COVERAGE.md"), "utf8");

interface Row {
  readonly row: string;
  readonly holders: string;
}
const tables: readonly (readonly Row[])[] = text
  .split(/^## /m)
  .slice(1)
  .map((section) =>
    [...section.matchAll(/^\| (.+?) \| (.+) \|$/gm)]
      .map(([, row, holders]) => ({ row: row!, holders: holders! }))
      .filter(({ row }) => row !== "Row" && row !== "Pitfall"),
  );
const rows = tables.flat();

const TRANSCRIPT = /`([\w-]+)\.txt`/g;
/** As `xds/wire.test.ts` "its title", row "of its table". */
const TEST = /`([\w/.-]+\.ts)` "([^"]+)"(?:, row "([^"]+)")?/g;

/** What `file` names that is not in it. */
function missing(file: string, title: string, row: string | undefined): readonly string[] {
  let source: string;
  try {
    source = readFileSync(join(tests, file), "utf8");
  } catch {
    return [file];
  }
  const titled = [`test("${title}"`, `test(\`${title}\``].some((start) =>
    source.replaceAll(/test\(\s+/g, "test(").includes(start),
  );
  const listed = row === undefined || source.includes(`"${row}"`);
  return [...(titled ? [] : [`${file}: no test "${title}"`]), ...(listed ? [] : [`${file}: no row "${row}"`])];
}

test("every test and transcript that the coverage names exists", () => {
  const files = readdirSync(transcripts);
  const absent = rows.flatMap(({ holders }) => [
    ...[...holders.matchAll(TRANSCRIPT)].map(([, name]) => `${name}.txt`).filter((name) => !files.includes(name)),
    ...[...holders.matchAll(TEST)].flatMap(([, file, title, row]) => missing(file!, title!, row)),
  ]);
  assert.deepEqual(absent, []);
});

test("every row of the coverage is held by something, or says why it cannot be", () => {
  const held = (holders: string) =>
    new RegExp(TRANSCRIPT).test(holders) || new RegExp(TEST).test(holders) || holders.startsWith("the client's");
  assert.deepEqual(
    rows.filter(({ holders }) => !held(holders)).map(({ row }) => row),
    [],
  );
  // A file without a title would be checked by nothing.
  for (const { row, holders } of rows)
    assert.doesNotMatch(holders.replaceAll(TEST, "").replaceAll(TRANSCRIPT, ""), /\.ts\b|\.txt\b/, row);
});

test("the coverage has all sections from 2.3 to 2.8, and pitfalls 1 to 38 once each", () => {
  const [sections, pitfalls] = tables;
  assert.deepEqual(
    new Set(sections!.map(({ row }) => row.slice(0, 3))),
    new Set(["2.3", "2.4", "2.5", "2.6", "2.7", "2.8"]),
  );
  assert.deepEqual(
    pitfalls!.map(({ row }) => Number.parseInt(row)),
    Array.from({ length: 38 }, (_, at) => at + 1),
  );
});

test("the coverage has every row of section 5.9", () => {
  assert.deepEqual(
    tables.at(-1)!.map(({ row }) => row),
    [
      "Remote clusters",
      "Scope",
      "Remote local-scoped services",
      "Global service in several clusters",
      "Workloads on the local network (any cluster)",
      "Workloads on a remote network",
      "Missing gateway",
      "Service SANs",
      "Gateways",
      "Gateway identity",
      "Gateway workload",
      "Without the flag",
    ],
  );
});

test("every transcript holds a row of the coverage", () => {
  const named = new Set([...text.matchAll(TRANSCRIPT)].map(([, name]) => `${name}.txt`));
  const written = readdirSync(transcripts).filter((file) => file.endsWith(".txt"));
  assert.deepEqual(
    written.filter((file) => !named.has(file)),
    [],
  );
});
