import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { withSourcePlaces } from "./source-places.ts";

const source = join(import.meta.dirname, "..", "..", "..", "test", "kits", "source-places.test.ts");
const placed = new Error("made for its stack");

test("a stack names the source, its line and its column, and not what was compiled", () => {
  const lines = readFileSync(source, "utf8").split("\n");
  const line = lines.findIndex((text) => text.startsWith("const placed"));
  const stack = withSourcePlaces(placed.stack!);
  assert.match(stack, new RegExp(`${source}:${line + 1}:${lines[line]!.indexOf("new") + 1}\\b`));
  assert.doesNotMatch(stack, /source-places\.test\.js/);
});

test("a place of which there is no map stays as it is", () => {
  const stack = "Error: gone\n    at make (file:///nowhere/made.js:3:5)\n    at node:internal/timers:1:2";
  assert.equal(withSourcePlaces(stack), stack);
});
