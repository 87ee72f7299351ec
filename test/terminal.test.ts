import assert from "node:assert/strict";
import { test } from "mocha";
import { terminalOf } from "../src/terminal.ts";

const wide = { isTTY: true, columns: 120 };
const pipe = {};

test("what is a terminal has its width, colours, and a line that is taken back", () => {
  assert.deepEqual(terminalOf(wide, wide, {}), { columns: 120, colour: true, progressColumns: 120 });
});

test("results in a pipe are neither cut nor coloured, and progress is as wide as where it is read", () => {
  const narrow = { isTTY: true, columns: 40 };
  assert.deepEqual(terminalOf(pipe, narrow, {}), { columns: undefined, colour: false, progressColumns: 40 });
  assert.deepEqual(terminalOf(narrow, pipe, {}), { columns: 40, colour: true, progressColumns: undefined });
});

test("NO_COLOR, if it is not empty, and a dumb terminal have no colours; a dumb one takes no line back", () => {
  assert.equal(terminalOf(wide, wide, { NO_COLOR: "1" }).colour, false);
  assert.equal(terminalOf(wide, wide, { NO_COLOR: "" }).colour, true);
  const dumb = terminalOf(wide, wide, { TERM: "dumb" });
  assert.deepEqual(dumb, { columns: 120, colour: false, progressColumns: undefined });
});

test("a terminal that does not know its width has 80 columns", () => {
  const unsaid = { isTTY: true, columns: 0 };
  assert.deepEqual(terminalOf(unsaid, { isTTY: true }, {}), { columns: 80, colour: true, progressColumns: 80 });
});
