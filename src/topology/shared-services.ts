import type { FederatedService } from "../registry/model/federated-service.ts";
import type { TopologyDrains } from "./drains.ts";
import type { Shown, TopologyContribution, TopologyService } from "./topology.ts";

/** A table with more is searched, not read. */
const SERVICES_MAX = 300;
/** Clusters of one service; the counts of the rest can be explained. */
const CONTRIBUTIONS_MAX = 50;

/** Services by their name, whoever shares them, and where each can be asked about. */
export function sharedServices(
  records: readonly FederatedService[],
  hosts: readonly string[],
  drains: TopologyDrains,
  filter: string,
): Shown<TopologyService> {
  const byService = new Map<string, TopologyContribution[]>();
  for (const record of records) {
    const { namespace, name, cluster, ready, total } = record;
    const service = `${namespace}/${name}`;
    const contribution = { cluster, ready, total, drain: drains.ofShare(record) };
    const known = byService.get(service);
    if (known !== undefined) known.push(contribution);
    else byService.set(service, [contribution]);
  }
  const hostOf = hostsByService(hosts);
  const names = [...byService.keys()].filter((service) => matches(service, byService.get(service)!, filter)).sort();
  const shown = names.slice(0, SERVICES_MAX).map((service) => ({
    service,
    host: hostOf.get(service) ?? "",
    clusters: byService.get(service)!.sort(byName).slice(0, CONTRIBUTIONS_MAX),
  }));
  return { shown, total: names.length, more: false };
}

const byName = (a: TopologyContribution, b: TopologyContribution): number => (a.cluster < b.cluster ? -1 : 1);

function matches(service: string, clusters: readonly TopologyContribution[], filter: string): boolean {
  if (filter === "" || service.toLowerCase().includes(filter)) return true;
  return clusters.some(({ cluster }) => cluster.toLowerCase() === filter);
}

/** The first global name of each, which begins with the service and its namespace; aliases may not. */
function hostsByService(hosts: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const host of hosts) {
    const [name = "", namespace = ""] = host.split(".", 2);
    const service = `${namespace}/${name}`;
    if (!found.has(service)) found.set(service, host);
  }
  return found;
}
