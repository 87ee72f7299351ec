/** One thing that has to be so for clusters to trust each other, and how it is. */
export interface TrustFinding {
  /** Stays the same for good: docs/trust-checks.md has a section for each. */
  readonly code: TrustCode;
  readonly level: "ok" | "warning" | "error";
  /** As `cluster east`, or `gateway 10.0.0.1:15008`. */
  readonly object: string;
  /** What was seen. */
  readonly evidence: string;
  /** What mends it; empty if nothing is to be done. */
  readonly fix: string;
}

/** In the order in which they are looked at. */
export const TRUST_CODES = [
  "TRUST100",
  "TRUST101",
  "TRUST102",
  "TRUST103",
  "TRUST201",
  "TRUST202",
  "TRUST203",
  "TRUST301",
  "TRUST302",
  "TRUST303",
  "TRUST304",
  "TRUST305",
  "TRUST306",
  "TRUST401",
  "TRUST402",
  "TRUST403",
  "TRUST500",
  "TRUST501",
  "TRUST502",
  "TRUST503",
] as const;
export type TrustCode = (typeof TRUST_CODES)[number];

export const good = (code: TrustCode, object: string, evidence: string): TrustFinding => ({
  ...{ code, level: "ok", object, evidence, fix: "" },
});

export const warning = (code: TrustCode, object: string, evidence: string, fix: string): TrustFinding => ({
  ...{ code, level: "warning", object, evidence, fix },
});

export const error = (code: TrustCode, object: string, evidence: string, fix: string): TrustFinding => ({
  ...{ code, level: "error", object, evidence, fix },
});
