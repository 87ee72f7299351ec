import type { Finding } from "../inspect/finding.ts";
import { denialFindings } from "./denials.ts";
import type { Forecast } from "./forecast.ts";
import { gainFindings } from "./gains.ts";
import { nameOf, type Pair } from "./side.ts";
import { namesKnown, readinessKnown, unreadFindings } from "./unread.ts";

/** What would come of links, for callers of each cluster: names, who answers, and who says that they are not to. */
export function sharingFindings(
  plans: readonly { readonly pair: Pair }[],
  forecasts: readonly Forecast[],
): readonly Finding[] {
  const sides = [...new Set(plans.flatMap(({ pair }) => [pair.reader, pair.peer]))];
  const knows = (cluster: string): boolean => {
    const side = sides.find((each) => each.cluster === cluster);
    return side === undefined || readinessKnown(side);
  };
  return [
    ...sides.flatMap(unreadFindings),
    ...forecasts.flatMap((forecast) => [
      // Of a cluster that hides its own Services all would be new.
      ...(namesKnown(forecast.side) ? gainFindings(forecast, knows) : []),
      ...denialFindings(forecast),
      ...newProblems(forecast),
    ]),
  ];
}

/** What its control plane would report, and does not today. It never is an error here: a link is no reason to refuse. */
function newProblems({ side, before, after }: Forecast): readonly Finding[] {
  const known = new Set(before.problems.map((finding) => JSON.stringify(finding)));
  return after.problems
    .filter((finding) => !known.has(JSON.stringify(finding)))
    .map((finding) => ({
      ...finding,
      level: finding.level === "error" ? "warning" : finding.level,
      evidence: `${nameOf(side)} would report: ${finding.evidence}`,
    }));
}

/** The page of the documentation that has a code. */
export const pageOfCode = (code: string): string => (code.startsWith("CWY2") ? "analysis" : "linking");
