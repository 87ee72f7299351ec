import { describe, FieldError, isAbsent } from "./fields.ts";

const PARTS = /([0-9]+(?:\.[0-9]+)?)(h|ms|m|s)/g;
const WHOLE = /^(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:h|ms|m|s)){1,4}$/;
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
/** A year: beyond it nobody means a time. */
const DURATION_MAX_MS = 31_536_000_000;

/** In whole milliseconds, as `10s` or `1m30s`; undefined if absent. @throws FieldError */
export function durationOf(value: unknown, field: string): number | undefined {
  if (isAbsent(value)) return undefined;
  if (typeof value !== "string" || !WHOLE.test(value))
    throw new FieldError(field, `must be a time as 10s, 250ms or 1m30s, not ${describe(value)}`);
  let ms = 0;
  for (const [, number, unit] of value.matchAll(PARTS)) ms += Number(number) * UNIT_MS[unit!]!;
  if (ms > DURATION_MAX_MS) throw new FieldError(field, `is ${describe(value)}; at most 8760h are allowed`);
  return Math.ceil(ms);
}
