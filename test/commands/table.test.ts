import assert from "node:assert/strict";
import { test } from "mocha";
import { table } from "../../src/commands/table.ts";

const HEADERS = ["NAME", "CLUSTER", "SUBSCRIBED TYPES"];
const ROWS = [
  ["ztunnel-5f8rb.kube-system", "east", "2 (WADS,WDS)"],
  ["istiod-6bc6765484.istio-system", "west", "3 (FSDS,SGDS,WDS)"],
];

test("columns are as wide as their widest cell, in a pipe whatever that makes", () => {
  const [header, first] = table(HEADERS, ROWS).split("\n");
  assert.equal(header!.indexOf("CLUSTER"), first!.indexOf("east"));
  assert.equal(table(HEADERS, ROWS, 200), table(HEADERS, ROWS));
});

test("on a terminal of 40 columns each row is a block, and no line is longer", () => {
  const text = table(HEADERS, ROWS, 40);
  assert.match(text, /^NAME {14}ztunnel-5f8rb\.kube-system\nCLUSTER {11}east\n/);
  assert.equal(text.split("\n\n").length, 2);
  assert.ok(
    text.split("\n").every((line) => line.length <= 50),
    text,
  );
  assert.equal(table(["A", "B"], [["1", "2"]], 40), "A   B\n1   2\n");
});
