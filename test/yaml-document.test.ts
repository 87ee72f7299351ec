import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { MeshError } from "../src/errors.ts";
import { parseYamlDocument } from "../src/yaml-document.ts";

const MEGABYTE = 1024 * 1024;
const refused = (text: string, message: RegExp): void =>
  assert.throws(
    () => parseYamlDocument(text, "it", MEGABYTE),
    (thrown) => thrown instanceof MeshError && message.test(thrown.message),
    text.slice(0, 40),
  );

test("a key that is there twice is refused at any depth, with its line", () => {
  refused("a: 1\nb: 2\na: 3", /^it, line 3: Map keys must be unique; keep one of the two$/);
  refused("a:\n- b: { c: 1, d: 2, c: 3 }", /line 2: Map keys must be unique/);
  refused('1: a\n"1": b', /line 2: Map keys must be unique/);
  refused("a: &x { b: 1 }\nc: { <<: *x, <<: *x }", /line 2: Map keys must be unique/);
  assert.deepEqual(parseYamlDocument("a: &x { b: 1 }\nc: { <<: *x, b: 2 }", "it", MEGABYTE).value, {
    a: { b: 1 },
    c: { b: 2 },
  });
});

test("a megabyte that would take the parser seconds is refused before it does", () => {
  for (const piece of ["- a\n", "- {}\n", "? ", "*a ", "&a ", "! ", '"', "%a\n", "---\n", "# a\n"])
    refused(piece.repeat(Math.floor(MEGABYTE / piece.length)), /: it (has more than 50000 words|nests deeper)/);
  refused(Array.from({ length: 50_000 }, (_, at) => `x${at}: 1`).join("\n"), /more than 50000 words and marks/);
});

test("a megabyte of text is one word", () => {
  const text = `pem: |\n${"  MIIB\n".repeat(100_000)}`;
  assert.equal((parseYamlDocument(text, "it", MEGABYTE).value as { pem: string }).pem.length, 500_000);
});

test("what is JSON is read as JSON reads it", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5, noUnicodeString: false }), (value) => {
      const text = JSON.stringify(value);
      assert.deepEqual(parseYamlDocument(text, "it", MEGABYTE).value, JSON.parse(text));
    }),
    { seed: 22, numRuns: 100 },
  );
});
