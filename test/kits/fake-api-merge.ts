import { copyOf } from "./fake-api-store.ts";

type Fields = Readonly<Record<string, unknown>>;
export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** JSON merge patch (RFC 7386). */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isFields(patch)) return copyOf(patch);
  const result: Record<string, unknown> = isFields(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch))
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  return result;
}

/** The operations of a JSON patch (RFC 6902) but move and copy. @throws Error if a test fails or a path is missing. */
export function jsonPatch(target: unknown, operations: readonly Fields[]): unknown {
  const result = copyOf({ root: target }) as Record<string, unknown>;
  for (const { op, path, value } of operations) {
    const steps = ["root", ...String(path).split("/").slice(1)].map((step) =>
      step.replaceAll("~1", "/").replaceAll("~0", "~"),
    );
    const last = steps.pop()!;
    let at: unknown = result;
    for (const step of steps) at = (at as Record<string, unknown> | undefined)?.[step];
    if (typeof at !== "object" || at === null) throw new Error(`nothing is at ${String(path)}`);
    patchOne(at as Record<string, unknown>, last, String(op), value);
  }
  return result["root"];
}

function patchOne(at: Record<string, unknown>, key: string, op: string, value: unknown): void {
  if (op === "test") {
    if (JSON.stringify(at[key]) !== JSON.stringify(value)) throw new Error(`test of ${key} failed`);
  } else if (Array.isArray(at) && op === "add") at.splice(key === "-" ? at.length : Number(key), 0, value);
  else if (op !== "remove") at[key] = value;
  else if (Array.isArray(at)) at.splice(Number(key), 1);
  else delete at[key];
}

/** Between the steps of a path: keys have slashes and dots. */
export const STEP = "\n";

/** Leaves of an applied configuration, by path; items of lists that have a `type` are kept apart by it. */
export function leavesOf(value: unknown, path = ""): Map<string, unknown> {
  const children: [string, unknown][] | undefined = isFields(value)
    ? Object.entries(value)
    : isTyped(value)
      ? value.map(({ type, ...item }) => [`[${String(type)}]`, item])
      : undefined;
  if (children === undefined || children.length === 0) return new Map([[path, value]]);
  return new Map(children.flatMap(([key, child]) => [...leavesOf(child, path === "" ? key : path + STEP + key)]));
}

const isTyped = (value: unknown): value is readonly Fields[] =>
  Array.isArray(value) && value.length > 0 && value.every((item) => isFields(item) && "type" in item);

/** `target` with the leaf at `path` set, or taken out if `value` is undefined, with what that leaves empty. */
export function withLeaf(target: unknown, path: readonly string[], value: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (step.startsWith("[")) {
    const list = Array.isArray(target) ? (target as readonly Fields[]) : [];
    const at = list.findIndex((item) => `[${String(item["type"])}]` === step);
    const { type = step.slice(1, -1), ...held } = list[at] ?? {};
    const item = withLeaf(held, rest, value);
    if (item === undefined) return list.filter((_, index) => index !== at);
    const next = { type, ...(item as Fields) };
    return at < 0 ? [...list, next] : list.map((other, index) => (index === at ? next : other));
  }
  const result: Record<string, unknown> = isFields(target) ? { ...target } : {};
  const next = withLeaf(result[step], rest, value);
  if (next === undefined) delete result[step];
  else result[step] = next;
  return Object.keys(result).length > 0 ? result : undefined;
}
