import assert from "node:assert/strict";
import { test } from "mocha";
import { PacedWrites } from "../../src/peering/paced-writes.ts";
import { TestHost } from "../kits/test-host.ts";

/** Writes, what has been written, and in which order. */
function lab() {
  const { clock } = new TestHost();
  const written = new Map<string, number>();
  const order: string[] = [];
  const paced = new PacedWrites<string, number>(clock, {
    set: (key, value) => void (written.set(key, value), order.push(key)),
    delete: (key) => void (written.delete(key), order.push(key)),
  });
  return { clock, written, order, paced };
}

const many = (cluster: string, count: number): string[] =>
  Array.from({ length: count }, (_, at) => `${cluster}/shop/s${at}`);

test("few writes are written at once, and many in turns that end", () => {
  const { clock, written, paced } = lab();
  paced.pace();
  for (const key of many("big", 10_000)) paced.set(key, 1);
  assert.equal(written.size, 250);
  assert.equal(clock.pending, 1);
  clock.advance(1);
  assert.equal(written.size, 10_000);
  assert.equal(clock.pending, 0);
  paced.set("big/shop/late", 1);
  assert.equal(written.size, 10_001);
});

test("the last write of a key counts, also where an earlier one still waits", () => {
  const { clock, written, paced } = lab();
  paced.pace();
  const keys = many("big", 1_000);
  for (const key of keys) paced.set(key, 1);
  for (const key of keys) paced.delete(key);
  paced.set(keys[999]!, 2);
  clock.advance(1);
  assert.deepEqual([...written], [[keys[999], 2]]);
});

test("one peer's many do not keep back another's few", () => {
  const { clock, order, paced } = lab();
  paced.pace();
  for (const key of many("big", 50_000)) paced.set(key, 1);
  paced.set("small/shop/cart", 1);
  clock.advance(1);
  assert.equal(order.length, 50_001);
  // A turn or two later, not behind two hundred of them.
  assert.ok(order.indexOf("small/shop/cart") < 1_000, `${order.indexOf("small/shop/cart")}`);
});

test("before anybody is served all is written at once, and nothing after the end", () => {
  const { clock, written, paced } = lab();
  for (const key of many("kept", 5_000)) paced.set(key, 1);
  assert.equal(written.size, 5_000);
  paced.pace();
  for (const key of many("kept", 5_000)) paced.delete(key);
  paced.close();
  clock.advance(1);
  assert.equal(written.size, 4_750);
});
