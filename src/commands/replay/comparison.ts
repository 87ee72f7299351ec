import { isDeepStrictEqual } from "node:util";
import { isFields } from "../../kube/fields.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Something that the archive's page and the replay say differently. */
export interface Difference {
  /** As `workload east//Pod/shop/cart-1`. */
  readonly of: string;
  readonly is: "missing" | "new" | "different";
  /** The fields that differ, each as `status: Healthy there, Unhealthy here`. */
  readonly fields: readonly string[];
}

export interface Comparison {
  /** How many of each the archive has. */
  readonly compared: Readonly<Record<string, number>>;
  readonly differences: readonly Difference[];
}

const KINDS = ["workloads", "services", "policies"] as const;
const TEXT_MAX = 120;

/** Holds what a replay derives to what the control plane of the archive served: both as `/debug/ambientz` has it. */
export function compared(there: unknown, here: unknown): Comparison {
  const compared: Record<string, number> = {};
  const differences: Difference[] = [];
  for (const kind of KINDS) {
    const [before, after] = [byName(there, kind), byName(here, kind)];
    compared[kind] = before.size;
    for (const [name, value] of before) {
      const of = `${kind.replace(/ies$/, "y").replace(/s$/, "")} ${name}`;
      const other = after.get(name);
      if (other === undefined) differences.push({ of, is: "missing", fields: [] });
      else if (!isDeepStrictEqual(value, other))
        differences.push({ of, is: "different", fields: fieldsOf(value, other) });
    }
    for (const name of after.keys())
      if (!before.has(name))
        differences.push({ of: `${kind.replace(/ies$/, "y").replace(/s$/, "")} ${name}`, is: "new", fields: [] });
  }
  return { compared, differences };
}

function byName(page: unknown, kind: string): ReadonlyMap<string, Fields> {
  const list = isFields(page) ? page[kind] : undefined;
  const values = Array.isArray(list) ? (list as readonly unknown[]).filter(isFields) : [];
  return new Map(values.map((value) => [nameOf(value), sorted(value) as Fields]));
}

/** Two services may have one hostname, in two namespaces. */
function nameOf({ uid, namespace, hostname, name }: Fields): string {
  if (typeof uid === "string") return uid;
  return [namespace, hostname ?? name].filter((part) => typeof part === "string").join("/");
}

/** The order of a list of texts is chance. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = (value as readonly unknown[]).map(sorted);
    return items.every((item) => typeof item === "string") ? items.sort() : items;
  }
  if (!isFields(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, sorted(item)]));
}

function fieldsOf(there: Fields, here: Fields): readonly string[] {
  const names = [...new Set([...Object.keys(there), ...Object.keys(here)])].sort();
  return names
    .filter((name) => !isDeepStrictEqual(there[name], here[name]))
    .map((name) => `${name}: ${shown(there[name])} there, ${shown(here[name])} here`);
}

function shown(value: unknown): string {
  const text = value === undefined ? "nothing" : typeof value === "string" ? value : JSON.stringify(value);
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}...` : text;
}
