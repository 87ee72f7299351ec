/** One thing that has to be so between a mesh and SPIRE, and how it is. */
export interface SpireCheck {
  /** As `server`, or `bundle west.test`. */
  readonly name: string;
  /** `unknown` if it cannot be seen from here. */
  readonly state: "ok" | "warn" | "fail" | "unknown";
  /** What was seen. */
  readonly evidence: string;
  /** What mends it, or shows it; empty if nothing is to be done. */
  readonly fix: string;
}

export const ok = (name: string, evidence: string): SpireCheck => ({ name, state: "ok", evidence, fix: "" });

export const warn = (name: string, evidence: string, fix: string): SpireCheck => ({
  name,
  state: "warn",
  evidence,
  fix,
});

export const fail = (name: string, evidence: string, fix: string): SpireCheck => ({
  name,
  state: "fail",
  evidence,
  fix,
});

export const unknown = (name: string, evidence: string, fix: string): SpireCheck => ({
  ...{ name, state: "unknown", evidence, fix },
});

/** As `a, b, c and 4 more`. */
export function inFew(names: readonly string[], namedMax = 3): string {
  const more = names.length - namedMax;
  const first = names.slice(0, namedMax).join(", ");
  return more > 0 ? `${first} and ${more} more` : first;
}

export const countOf = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;
