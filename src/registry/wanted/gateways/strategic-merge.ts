import { isFields, type Fields } from "../../kube/fields.ts";

/** By which field items of a list are told apart, by the list's name, best first; other lists are replaced whole. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  containers: ["name"],
  initContainers: ["name"],
  volumes: ["name"],
  env: ["name"],
  imagePullSecrets: ["name"],
  volumeMounts: ["mountPath"],
  hostAliases: ["ip"],
  topologySpreadConstraints: ["topologyKey"],
  ports: ["containerPort", "port"],
};

/**
 * `patch` over `base` as Kubernetes' strategic merge does it: maps are merged, null removes, lists of known names are
 * merged item by item, and `$patch: delete` or `replace` do what they say.
 */
export function strategicMerge(base: Fields, patch: Fields): Fields {
  if (patch["$patch"] === "replace") return without(patch, "$patch");
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith("$")) continue;
    if (value === null) delete merged[key];
    else merged[key] = mergedValue(key, merged[key], value);
  }
  return merged;
}

function mergedValue(name: string, before: unknown, after: unknown): unknown {
  if (isFields(before) && isFields(after)) return strategicMerge(before, after);
  if (!Array.isArray(before) || !Array.isArray(after)) return isFields(after) ? strategicMerge({}, after) : after;
  const key = keyOf(name, [...(before as unknown[]), ...(after as unknown[])]);
  return key === undefined ? after : mergedItems(before as Fields[], after as Fields[], key);
}

function keyOf(name: string, items: readonly unknown[]): string | undefined {
  const keys = Object.hasOwn(KEYS, name) ? KEYS[name]! : [];
  return keys.find((key) => items.every((item) => isFields(item) && Object.hasOwn(item, key)));
}

function mergedItems(before: readonly Fields[], after: readonly Fields[], key: string): readonly Fields[] {
  const items = new Map(before.map((item) => [item[key], item]));
  for (const item of after) {
    if (item["$patch"] === "delete") items.delete(item[key]);
    else items.set(item[key], strategicMerge(items.get(item[key]) ?? {}, item));
  }
  return [...items.values()];
}

const without = (fields: Fields, name: string): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name));
