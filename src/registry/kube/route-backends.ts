import type { Unread } from "./authorization-policy.ts";
import { fieldsOf, integerOf } from "./fields.ts";
import { NO_FILTERS, readFilters } from "./route-filters.ts";
import { readTarget } from "./route-target.ts";
import { attempt, type BackendRef } from "./route.ts";

const WEIGHT_MAX = 1_000_000;

/** One that cannot be read answers its share with 500. */
export function readBackend(item: unknown, field: string, ownNamespace: string, errors: Unread[]): BackendRef {
  const found = errors.length;
  const read = <V>(reading: () => V): V | undefined => attempt(errors, reading, "its share is answered with 500");
  const ref = read(() => fieldsOf(item, field)) ?? {};
  const target = read(() => readTarget(ref, field, ownNamespace));
  // Without its weight nobody knows its share: one that counts, so that nothing goes unnoticed.
  const weight = read(() => integerOf(ref["weight"], `${field}.weight`, 0, WEIGHT_MAX) ?? 1) ?? 1;
  const filters = read(() => readFilters(ref["filters"], `${field}.filters`, ownNamespace)) ?? NO_FILTERS;
  const error = errors[found];
  return {
    target: target ?? { field, group: "", kind: "", name: "", namespace: ownNamespace, port: undefined },
    weight,
    filters,
    broken: error && `${error.field} ${error.message}`,
  };
}
