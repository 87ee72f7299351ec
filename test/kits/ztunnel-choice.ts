import type { NetworkId } from "../../src/names.ts";
import type { GatewayAddress, Locality } from "../../src/registry/model/address.ts";
import type { LoadBalancingScope, Service } from "../../src/registry/model/service.ts";
import type { Workload } from "../../src/registry/model/workload.ts";

/** Who calls. */
export interface Caller {
  readonly network: NetworkId;
  readonly cluster?: string;
  readonly node?: string;
  readonly locality?: Locality | undefined;
}

export interface Choice {
  readonly workload: Workload;
  /** Of the calls: from 0 to 1. */
  readonly share: number;
  /** Where it takes this port of the service. */
  readonly targetPort: number;
}

/** What a client holds: a registry's own, or what came over a wire. */
export interface Held {
  readonly workloads: { entries(): Iterable<readonly [string, Workload]> };
  readonly workloadsByService: { get(service: string): readonly Workload[] };
  readonly services: { get(key: Service["key"]): Service | undefined };
}

/** How ztunnel spreads calls to one port of a service, worked out from contract ztunnel.md 6.5. */
export function choices(
  { workloadsByService }: Held,
  service: Service,
  port: number,
  caller: Caller,
): readonly Choice[] {
  const offered = service.ports.find(({ servicePort }) => servicePort === port);
  if (offered === undefined) return [];
  const isKept = ({ healthy }: Workload): boolean => healthy || service.loadBalancing?.healthPolicy === "allow-all";
  const found = workloadsByService.get(service.key).flatMap((workload) => {
    const bound = workload.services.find((binding) => binding.service === service.key)!.ports;
    const targetPort = bound.find(({ servicePort }) => servicePort === port)?.targetPort || offered.targetPort;
    const isReachable = workload.addresses.length > 0 || workload.hostname !== "" || isBehindGateway(workload, caller);
    return isKept(workload) && isReachable && targetPort !== 0 ? [{ workload, targetPort }] : [];
  });
  const { mode = "unspecified", preference = [] } = service.loadBalancing ?? {};
  const ranks = found.map(({ workload }) => rankOf(workload, caller, preference));
  const best = mode === "failover" ? Math.max(...ranks) : mode === "strict" ? preference.length : undefined;
  const left = found.filter((_each, at) => best === undefined || ranks[at] === best);
  const all = left.reduce((sum, { workload }) => sum + (workload.capacity ?? 1), 0);
  return left.flatMap(({ workload, targetPort }) => {
    const share = all === 0 ? 0 : (workload.capacity ?? 1) / all;
    return share === 0 ? [] : [{ workload, targetPort, share }];
  });
}

const isBehindGateway = ({ network, networkGateway }: Workload, caller: Caller): boolean =>
  network !== caller.network && networkGateway !== undefined;

/** How many leading scopes match; a match of the network lifts above all, and a mismatch of it ends nothing. */
function rankOf(workload: Workload, caller: Caller, preference: readonly LoadBalancingScope[]): number {
  let rank = 0;
  for (const [at, scope] of preference.entries()) {
    const matches = placeOf(workload, scope) === placeOf(caller, scope);
    if (matches) rank += scope === "network" && at === 0 ? preference.length : 1;
    else if (scope !== "network" || at !== 0) break;
  }
  return rank;
}

type Placed = Pick<Caller, "network" | "cluster" | "node" | "locality">;

function placeOf({ network, cluster = "", node = "", locality }: Placed, scope: LoadBalancingScope): string {
  if (scope === "network") return network;
  if (scope === "cluster") return cluster;
  if (scope === "node") return node;
  return locality?.[scope] ?? "";
}

/** The workloads that stand for a gateway; none if ztunnel would call it unknown (contract ztunnel.md 6.4). */
export function gatewaysAt(
  { workloads, workloadsByService, services }: Held,
  { destination, hbonePort }: GatewayAddress,
): readonly Workload[] {
  const all = [...workloads.entries()].map(([, workload]) => workload);
  if (destination.kind === "address") {
    const { network, ip } = destination.address;
    return all.filter((workload) => workload.network === network && workload.addresses.includes(ip));
  }
  const { namespace, hostname } = destination;
  const key = `${namespace}/${hostname}` as Service["key"];
  const service = services.get(key);
  if (service === undefined)
    return all.filter((workload) => workload.namespace === namespace && workload.hostname === hostname);
  return service.ports.some(({ servicePort }) => servicePort === hbonePort) ? workloadsByService.get(key) : [];
}
