import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { Agenda } from "../../src/kube/agenda.ts";

const step = fc.oneof(
  fc.record({
    do: fc.constant("put" as const),
    key: fc.integer({ max: 40, min: 0 }),
    due: fc.integer({ min: 0, max: 50 }),
  }),
  fc.record({ do: fc.constant("delete" as const), key: fc.integer({ max: 40, min: 0 }), due: fc.constant(0) }),
  fc.record({ do: fc.constant("take" as const), key: fc.constant(0), due: fc.integer({ min: 0, max: 60 }) }),
);

test("an agenda gives what a sorted list would, however keys are moved about", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const agenda = new Agenda();
      let model: { readonly key: string; readonly due: number }[] = [];
      for (const { do: deed, key: number, due } of steps) {
        const key = `k${number}`;
        if (deed === "put") {
          agenda.put(key, due);
          model = [...model.filter((other) => other.key !== key), { key, due }];
        } else if (deed === "delete") {
          agenda.delete(key);
          model = model.filter((other) => other.key !== key);
        } else {
          const [first] = [...model].sort((a, b) => a.due - b.due);
          const expected = first !== undefined && first.due <= due ? first.key : undefined;
          const taken = agenda.take(due);
          assert.deepEqual(
            [taken?.key, taken?.dueMs],
            expected === undefined ? [undefined, undefined] : [expected, first!.due],
          );
          model = model.filter((other) => other.key !== expected);
        }
        assert.equal(agenda.size, model.length);
        assert.equal(agenda.firstMs, model.length === 0 ? undefined : Math.min(...model.map((other) => other.due)));
      }
    }),
  );
});
