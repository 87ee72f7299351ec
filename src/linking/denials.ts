import type { Finding } from "../inspect/finding.ts";
import type { Forecast } from "./forecast.ts";
import { nameOf, type Side } from "./side.ts";
import type { Told } from "./told.ts";

type Refused = Told & { readonly cause: NonNullable<Told["cause"]> };

/** What somebody has decided, by the reason of `explain`; all else is seldom meant. */
const DECIDED: ReadonlyMap<string, readonly [code: string, verb: string]> = new Map([
  ["export denied", ["CWY3028", "would not hear of"]],
  ["import denied", ["CWY3029", "would not take"]],
]);
const NAMED_MAX = 5;

/** What clusters share and a reader would not get, once for each cause: which object says so, and where (contract peering.md 2.18). */
export function denialFindings({ side, told }: Forecast): readonly Finding[] {
  const groups = new Map<string, Refused[]>();
  for (const each of told) {
    if (!isRefused(each)) continue;
    const { peer, cause } = each;
    const key = JSON.stringify([peer, cause.reason, cause.cluster, cause.object]);
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return [...groups.values()].map((group) => denialFinding(side, group[0]!, group));
}

const isRefused = (told: Told): told is Refused => told.cause !== undefined;

function denialFinding(side: Side, { peer, service, cause }: Refused, group: readonly Refused[]): Finding {
  const { reason, object, cluster, field, fix, message } = cause;
  const what = `${group.length === 1 ? "1 service" : `${group.length} services`} of ${peer} (${servicesText(group)})`;
  const finding = (code: string, level: Finding["level"], evidence: string): Finding => ({
    ...{ code, level, cluster: side.cluster, object, field, evidence },
    fix: group.length === 1 ? fix : `for ${service}, and alike for the others: ${fix}`,
  });
  const [code, verb] = DECIDED.get(reason) ?? [];
  if (code === undefined)
    return finding(
      "CWY3030",
      "warning",
      `${nameOf(side)} would not reach ${what}, ${reason}: ${message.replace(/\.$/, "")}`,
    );
  const where = cluster === side.cluster ? "" : ` of cluster ${cluster}`;
  return finding(code, "info", `${nameOf(side)} ${verb} ${what}, left out by ${object}${where}`);
}

function servicesText(group: readonly Told[]): string {
  const named = group.slice(0, NAMED_MAX).map(({ service }) => service);
  return named.join(", ") + (group.length > NAMED_MAX ? ` and ${group.length - NAMED_MAX} more` : "");
}
