import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Source } from "../../src/registry/collection/source.ts";
import { AliasBook } from "../../src/xds/alias-book.ts";

test("aliases resolve the same whether they were asked for early or late", () => {
  const key = fc.constantFrom("a", "b", "c");
  const aliases = fc.array(fc.constantFrom("1", "2", "3"), { maxLength: 2 });
  const step = fc.tuple(key, fc.option(aliases, { nil: undefined }));
  fc.assert(
    fc.property(fc.array(fc.array(step, { maxLength: 4 }), { maxLength: 6 }), fc.nat(6), (flushes, askedAt) => {
      const graph = new Graph();
      const source = new Source<string, readonly string[]>(graph, "values");
      const early = new AliasBook(graph, source, (value) => value);
      flushes.forEach((steps, at) => {
        if (at === askedAt) early.resolve("1");
        for (const [name, value] of steps) {
          if (value === undefined) source.delete(name);
          else source.set(name, value);
        }
        graph.flush();
      });
      for (const alias of ["1", "2", "3"]) {
        const wanted = [...source.entries()].filter(([, value]) => value.includes(alias)).map(([name]) => name);
        assert.deepEqual(early.resolve(alias), wanted.sort());
      }
    }),
  );
});
