import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { CaMetrics } from "../src/ca/ca-metrics.ts";
import { debugPages } from "../src/commands/debug-pages.ts";
import { CONFIG_FLAGS } from "../src/config.ts";
import type { Metrics } from "../src/host.ts";
import { LOG_SCOPES } from "../src/log-levels.ts";
import { viewedMesh } from "./commands/served-mesh.ts";

const root = join(import.meta.dirname, "..", "..");
const read = (...path: string[]): string => readFileSync(join(root, ...path), "utf8");
const missing = (page: string, words: readonly string[]): readonly string[] => {
  const text = read("docs", page);
  assert.ok(words.length > 0);
  return words.filter((word) => !text.includes(`\`${word}`));
};

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((path) =>
  path.endsWith(".ts"),
);

test("operations.md names every metric that there is", () => {
  const literal = sources.flatMap((path) =>
    [...read("src", path).matchAll(/metrics\s*\.(?:counter|gauge|histogram|sampled)\(\s*"([a-z_]+)"/g)].map(
      ([, name]) => name!,
    ),
  );
  const made: string[] = [];
  const note = (name: string) => (
    made.push(name),
    { add: () => {}, set: () => {}, remove: () => {}, observe: () => {} }
  );
  new CaMetrics({ counter: note, gauge: note, histogram: note } satisfies Metrics);
  assert.ok(literal.length > 10 && made.length > 5);
  assert.deepEqual(missing("operations.md", [...literal, ...made]), []);
});

test("operations.md names every log scope and every debug page", () => {
  assert.deepEqual(missing("operations.md", Object.keys(LOG_SCOPES)), []);
  const pages = debugPages(viewedMesh([])).map(({ name }) => name);
  assert.deepEqual(missing("operations.md", pages), []);
});

test("cli.md names every setting and every command", () => {
  const flags = CONFIG_FLAGS.map(({ flags }) => /--[\w-]+/.exec(flags)![0]);
  assert.deepEqual(missing("cli.md", flags), []);
  const text = read("docs", "cli.md");
  for (const command of [
    "workloads",
    "services",
    "policies",
    "explain",
    "proxy-status",
    "remote-clusters",
    "create-remote-secret",
    "spire status",
    "trust status",
    "check trust",
    "ca init",
    "version",
  ])
    assert.match(text, new RegExp(`causeway .*\\b${command}\\b`));
});

test("no sentence sends anybody to a flag that there is not", () => {
  // Envoy's flags are its own.
  const own = sources.filter((path) => !/envoy-process|pod-template/.test(path));
  const named = own.flatMap((path) => read("src", path).match(/--[a-z]+(?:-[a-z]+)+/g) ?? []);
  assert.ok(named.length > 50);
  const text = read("docs", "cli.md");
  const unknown = new Set(named.filter((flag) => !new RegExp(`${flag}(?![a-z-])`).test(text)));
  assert.deepEqual([...unknown], []);
});
