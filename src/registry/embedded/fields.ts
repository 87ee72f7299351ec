/** A map out of a manifest, of which nothing is known yet. */
export type Fields = Readonly<Record<string, unknown>>;
export type Labels = Readonly<Record<string, string>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value if it is a map, else an empty one. */
export const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});
/** The value if it is a list, else an empty one. */
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
/** The value if it is text, else empty. */
export const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** The entries of a map whose values are text. */
export function labelsOf(value: unknown): Labels {
  const entries = Object.entries(fieldsOf(value));
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

/** True if `labels` has every pair of `selector`; an empty selector selects nothing. */
export function selects(selector: Labels, labels: Labels): boolean {
  const pairs = Object.entries(selector);
  return pairs.length > 0 && pairs.every(([key, value]) => labels[key] === value);
}
