import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { LineSplitter } from "../../src/kube/line-splitter.ts";

test("lines come out whole, wherever the stream was cut", () => {
  const lines = fc.array(fc.string({ unit: fc.constantFrom("a", "ü", "😀", " ") }), { maxLength: 8 });
  fc.assert(
    fc.property(lines, fc.array(fc.nat(60)), (texts, cuts) => {
      const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(""));
      const splitter = new LineSplitter(1000);
      const found: string[] = [];
      const points = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
      for (const [at, start] of points.entries())
        for (const line of splitter.push(bytes.subarray(start, points[at + 1] ?? bytes.length)))
          found.push(line.toString());
      assert.deepEqual(
        found,
        texts.filter((text) => text !== ""),
      );
      assert.equal(splitter.hasRest, false);
    }),
  );
});

test("a line may be as long as allowed, and no longer, and is not kept once it is", () => {
  const splitter = new LineSplitter(10);
  assert.deepEqual([...splitter.push(Buffer.from("0123456789\n"))].map(String), ["0123456789"]);
  assert.equal(splitter.isOver, false);
  for (let round = 0; round < 3; round += 1) assert.deepEqual([...splitter.push(Buffer.from("0123"))], []);
  assert.equal(splitter.isOver, true);
});
