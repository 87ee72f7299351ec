import { matchesPattern } from "../../registry/model/peer-grant.ts";
import type { Finding, FindingLevel } from "../finding.ts";
import { ANALYSIS_CODES } from "./codes.ts";

/** What is not to be said: a code, of all objects or of those that the pattern fits. */
export interface Suppression {
  readonly code: string;
  /** As `Service shop/*`. */
  readonly object: string;
}

/** Undefined if `text` is neither `CODE` nor `CODE=Kind namespace/name`. */
export function suppressionOf(text: string): Suppression | undefined {
  const [, code, object = "*"] = /^(CWY\d{4})(?:=(.+))?$/.exec(text.trim()) ?? [];
  return code === undefined || !Object.hasOwn(ANALYSIS_CODES, code) ? undefined : { code, object };
}

export const unsuppressed = (all: readonly Finding[], suppressions: readonly Suppression[]): readonly Finding[] =>
  all.filter(
    (finding) =>
      !suppressions.some(({ code, object }) => code === finding.code && matchesPattern(object, finding.object)),
  );

export type Threshold = Exclude<FindingLevel, "ok">;
const RANK: Readonly<Record<FindingLevel, number>> = { ok: 0, info: 1, warning: 2, error: 3 };

export const reaches = ({ level }: Finding, threshold: Threshold): boolean => RANK[level] >= RANK[threshold];
