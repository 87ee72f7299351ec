import type { NetworkId } from "../../names.ts";
import type { ProxyEndpoint } from "../model/proxy-backend.ts";
import type { ProxyGateway } from "../model/proxy-gateway.ts";
import type { LoadBalancing, LoadBalancingScope } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";

/** One way to one endpoint, which gets `part` of its endpoint's share: from more than 0 to 1. */
export interface Candidate {
  readonly workload: Workload;
  /** With all of the share. */
  readonly endpoint: ProxyEndpoint;
  readonly part: number;
}

/** Whom the proxies of one gateway send to, the nearest first: ranked as ztunnel does it (contract ztunnel.md 6.5). */
export function grouped(
  candidates: readonly Candidate[],
  balancing: LoadBalancing | undefined,
  gateway: ProxyGateway,
): readonly (readonly ProxyEndpoint[])[] {
  const { mode = "unspecified", preference = [] } = balancing ?? {};
  const scopes = scopesKnown(preference, gateway);
  if (mode === "strict")
    return listed(candidates.filter(({ workload }) => scopes.every((scope) => matches(workload, gateway, scope))));
  if (mode !== "failover" || scopes.length === 0) return listed(candidates);
  const ranks = new Map<number, Candidate[]>();
  for (const candidate of candidates) {
    const rank = rankOf(candidate.workload, gateway, scopes);
    const members = ranks.get(rank);
    if (members === undefined) ranks.set(rank, [candidate]);
    else members.push(candidate);
  }
  return [...ranks].sort(([a], [b]) => b - a).flatMap(([, members]) => listed(members));
}

/** A gateway is on many nodes, and nothing is near to a place that nobody knows. */
function scopesKnown(preference: readonly LoadBalancingScope[], { locality }: ProxyGateway): LoadBalancingScope[] {
  const scopes = preference.filter((scope) => scope !== "node");
  const end = scopes.findIndex((scope) => isPlace(scope) && !locality?.[scope]);
  return end < 0 ? scopes : scopes.slice(0, end);
}

const isPlace = (scope: LoadBalancingScope): scope is "region" | "zone" | "subzone" =>
  scope === "region" || scope === "zone" || scope === "subzone";

/** How many leading scopes match; a match of the network lifts above all, and a mismatch of it ends nothing. */
function rankOf(workload: Workload, gateway: ProxyGateway, scopes: readonly LoadBalancingScope[]): number {
  let rank = 0;
  for (const [at, scope] of scopes.entries()) {
    const network = scope === "network" && at === 0;
    if (matches(workload, gateway, scope)) rank += network ? scopes.length : 1;
    else if (!network) break;
  }
  return rank;
}

function matches(workload: Workload, gateway: ProxyGateway, scope: LoadBalancingScope): boolean {
  if (scope === "network") return sameNetwork(workload, gateway.network);
  if (scope === "cluster") return workload.cluster === gateway.cluster;
  return !isPlace(scope) || (workload.locality?.[scope] ?? "") === gateway.locality?.[scope];
}

export const sameNetwork = ({ network }: Workload, own: NetworkId): boolean => network === own;

/** Weights are whole numbers: where endpoints are in parts, all are counted in sixtieths. */
function listed(candidates: readonly Candidate[]): readonly (readonly ProxyEndpoint[])[] {
  if (candidates.length === 0) return [];
  if (candidates.every(({ part }) => part === 1)) return [candidates.map(({ endpoint }) => endpoint)];
  const weigh = (weight: number, part: number): number => Math.max(1, Math.round(weight * part * 60));
  return [candidates.map(({ endpoint, part }) => ({ ...endpoint, weight: weigh(endpoint.weight, part) }))];
}
