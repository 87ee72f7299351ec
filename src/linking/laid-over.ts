import { isFields, type Fields } from "../kube/fields.ts";

/**
 * What an apply would most likely make of an object, for those who may read and not write: maps are joined, items of
 * lists that have names are, too, and all else is replaced. What an apply would take away does not show.
 */
export function laidOver(found: unknown, wanted: unknown): unknown {
  if (isNamedList(found) && isNamedList(wanted)) {
    const names = new Set(wanted.map(({ name }) => name));
    const kept = found.filter(({ name }) => !names.has(name));
    return [...wanted.map((item) => laidOver(found.find(({ name }) => name === item["name"]) ?? {}, item)), ...kept];
  }
  if (!isFields(found) || !isFields(wanted)) return wanted;
  const joined = Object.entries(wanted).map(([key, value]) => [key, laidOver(found[key], value)] as const);
  return { ...found, ...Object.fromEntries(joined) };
}

const isNamedList = (value: unknown): value is readonly Fields[] =>
  Array.isArray(value) && value.length > 0 && value.every((item) => isFields(item) && typeof item["name"] === "string");
