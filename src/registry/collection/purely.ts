import { AssertionError } from "node:assert/strict";
import { messageOf } from "../../errors.ts";

/** Runs a derivation. What it throws is a broken invariant, and says where: the graph is half settled and must end. */
export function purely<R>(collection: string, key: string, derivation: () => R): R {
  try {
    return derivation();
  } catch (thrown) {
    const message = `collection ${collection}, key ${key}: a derivation must not throw: ${messageOf(thrown)}`;
    throw Object.assign(new AssertionError({ message }), { cause: thrown });
  }
}
