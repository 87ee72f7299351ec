import type { KubeObject } from "../../src/kube/object.ts";

type Path = readonly (string | number)[];
const GARBAGE: readonly unknown[] = [7, true, "a b", [7], { x: 7 }, -1, "", [[]], { "": {} }, "\u0000"];

/** Every place in a value, itself left out. */
function placesIn(value: unknown, at: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const here = [...at, Array.isArray(value) ? Number(key) : key];
    return [here, ...placesIn(inner, here)];
  });
}

function replaced(value: unknown, [key, ...rest]: Path, by: unknown): unknown {
  if (key === undefined) return by;
  const copy: Record<string | number, unknown> | unknown[] = Array.isArray(value)
    ? [...(value as unknown[])]
    : { ...(value as object) };
  (copy as Record<string | number, unknown>)[key] = replaced((copy as Record<string | number, unknown>)[key], rest, by);
  return copy;
}

/** The object with each of its fields turned to garbage, or what else is given, one at a time, and which it was. */
export function* corrupted(
  whole: KubeObject,
  by: readonly unknown[] = GARBAGE,
): Iterable<readonly [field: string, KubeObject]> {
  for (const place of placesIn(whole)) {
    if (place[0] === "kind" || place.join() === "apiVersion") continue;
    for (const garbage of by)
      yield [`${place.join(".")} = ${JSON.stringify(garbage)}`, replaced(whole, place, garbage) as KubeObject];
  }
}
