import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { jsonSlices } from "../src/json-slices.ts";

test("the slices together are what JSON.stringify would say", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assert.deepEqual(JSON.parse([...jsonSlices(value)].join("")), JSON.parse(JSON.stringify(value)));
    }),
  );
  for (const value of [{ a: undefined, b: [undefined] }, [], {}, null, { a: [], b: {} }])
    assert.deepEqual(JSON.parse([...jsonSlices(value)].join("")), JSON.parse(JSON.stringify(value)));
});

test("an iterable is an array with one element a line, made only as far as it is taken", () => {
  let made = 0;
  function* many(): Generator<unknown> {
    for (; made < 1e6; made++) yield { at: made };
  }
  const slices = jsonSlices({ many: many() });
  const first = slices.next().value as string;
  assert.match(first, /^\{\n"many": \[\n\{"at":0\},\n\{"at":1\},\n/);
  assert.ok(made < 20_000);
});
