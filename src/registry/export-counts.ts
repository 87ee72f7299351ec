import type { ClusterId, NetworkId, ServiceName } from "../names.ts";
import { formatServiceAccountId, isPathSegment } from "../spiffe.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { CollectionNode, type Graph, rankAbove } from "./collection/graph.ts";
import type { Index } from "./collection/index-by.ts";
import { intern } from "./kube/metadata.ts";
import type { Locality } from "./model/address.ts";
import type { LocalityCount } from "./model/federated-service.ts";
import type { Workload } from "./model/workload.ts";
import type { RegistryOptions } from "./options.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

/** The endpoints that the local cluster has for one of its services, as peers are told of them. */
export interface EndpointCount {
  readonly ready: number;
  readonly total: number;
  /** As `spiffe://…`, sorted; also of those that are not ready: they may be soon. */
  readonly identities: readonly string[];
  /** Of those that are ready, by region and zone. */
  readonly localities: readonly LocalityCount[];
  /** Where each port of the service goes, by number; 0 if that differs by endpoint. */
  readonly targets: readonly (readonly [port: number, target: number])[];
}

export interface ExportCountInputs {
  readonly workloads: Collection<Workload["uid"], Workload>;
  readonly byService: Index<Workload["uid"], Workload>;
  /** Whose endpoints are counted. */
  readonly wanted: Collection<ServiceName, unknown>;
  readonly networks: Collection<ClusterId, NetworkId>;
}

/** True for what serves in the local cluster's own network, and can prove who it is: calls across networks end in a tunnel. */
export const servesHere = (workload: Workload, cluster: ClusterId, network: NetworkId): boolean =>
  workload.cluster === cluster && workload.network === network && isPathSegment(workload.serviceAccount);

/**
 * Endpoints of the local cluster, counted by service. A service may have ten thousand of them, so a change of one is a
 * step up or down; all are only counted when a service begins to be shared.
 */
export function exportCounts(
  graph: Graph,
  inputs: ExportCountInputs,
  { localCluster }: RegistryOptions,
): Collection<ServiceName, EndpointCount> {
  const node = new ExportCounts(inputs, localCluster);
  graph.add(node);
  return node;
}

class ExportCounts extends CollectionNode<ServiceName, EndpointCount> {
  readonly #counts = new Map<ServiceName, Count>();
  #network = DEFAULT_NETWORK;

  constructor(
    readonly inputs: ExportCountInputs,
    readonly cluster: ClusterId,
  ) {
    const { workloads, byService, wanted, networks } = inputs;
    super("export-counts", rankAbove([workloads, byService, wanted, networks]), isSameCount);
  }

  override settle(): void {
    const { workloads, wanted, networks } = this.inputs;
    const fresh = new Set<ServiceName>();
    const touched = new Set<ServiceName>();
    if (networks.changed.has(this.cluster)) {
      this.#network = networks.get(this.cluster) ?? DEFAULT_NETWORK;
      for (const [service] of wanted.entries()) this.#recount(service, fresh);
    }
    for (const { key, after } of wanted.batch) {
      if (after !== undefined && !fresh.has(key)) this.#recount(key, fresh);
      else if (after === undefined) this.#forget(key);
    }
    for (const { before, after } of workloads.batch) {
      if (after) this.#step(after, 1, fresh, touched);
      if (before) this.#step(before, -1, fresh, touched);
    }
    for (const service of [...fresh, ...touched]) this.write(service, this.#counts.get(service)!.value());
  }

  #recount(service: ServiceName, fresh: Set<ServiceName>): void {
    const count = new Count();
    for (const workload of this.inputs.byService.get(service))
      if (servesHere(workload, this.cluster, this.#network)) count.step(workload, service, 1);
    this.#counts.set(service, count);
    fresh.add(service);
  }

  #forget(service: ServiceName): void {
    this.#counts.delete(service);
    this.write(service, undefined);
  }

  #step(workload: Workload, step: 1 | -1, fresh: ReadonlySet<ServiceName>, touched: Set<ServiceName>): void {
    if (!servesHere(workload, this.cluster, this.#network)) return;
    for (const { service } of workload.services) {
      const count = fresh.has(service) ? undefined : this.#counts.get(service);
      if (count === undefined) continue;
      count.step(workload, service, step);
      touched.add(service);
    }
  }
}

class Count {
  #ready = 0;
  #total = 0;
  readonly #identities = new Map<string, number>();
  readonly #localities = new Map<string, { readonly region: string; readonly zone: string; ready: number }>();
  /** How many endpoints have each target, by port of the service. */
  readonly #targets = new Map<number, Map<number, number>>();

  step(workload: Workload, service: ServiceName, step: 1 | -1): void {
    this.#total += step;
    tick(this.#identities, intern(formatServiceAccountId(workload)), step);
    for (const { servicePort, targetPort } of workload.services.find((own) => own.service === service)!.ports) {
      let targets = this.#targets.get(servicePort);
      if (targets === undefined) this.#targets.set(servicePort, (targets = new Map()));
      tick(targets, targetPort, step);
      if (targets.size === 0) this.#targets.delete(servicePort);
    }
    if (!workload.healthy) return;
    this.#ready += step;
    if (workload.locality !== undefined && isPlace(workload.locality)) this.#place(workload.locality, step);
  }

  #place({ region, zone }: { readonly region: string; readonly zone: string }, step: 1 | -1): void {
    const key = `${region}\0${zone}`;
    const known = this.#localities.get(key);
    if (known === undefined) this.#localities.set(key, { region, zone, ready: step });
    else if ((known.ready += step) === 0) this.#localities.delete(key);
  }

  value(): EndpointCount {
    return {
      ready: this.#ready,
      total: this.#total,
      identities: [...this.#identities.keys()].sort(byCodeUnit),
      localities: [...this.#localities]
        .sort(([a], [b]) => byCodeUnit(a, b))
        .map(([, { region, zone, ready }]) => ({ region, zone, ready })),
      targets: [...this.#targets]
        .sort(([a], [b]) => a - b)
        .map(([port, targets]) => [port, targets.size === 1 ? [...targets.keys()][0]! : 0]),
    };
  }
}

/** Entries write what they like: what no label could say is no place that peers could know. */
const isPlace = ({ region, zone }: Locality): boolean => PLACE.test(region) && (zone === "" || PLACE.test(zone));
const PLACE = /^[A-Za-z0-9_.-]{1,63}$/;

/** Steps of one flush come in any order, so a count may pass through less than nothing. */
function tick<K>(counts: Map<K, number>, key: K, step: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + step;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

function isSameCount(a: EndpointCount, b: EndpointCount): boolean {
  return (
    a.ready === b.ready &&
    a.total === b.total &&
    isSameList(a.identities, b.identities, (one, other) => one === other) &&
    isSameList(
      a.localities,
      b.localities,
      (one, other) => one.region === other.region && one.zone === other.zone && one.ready === other.ready,
    ) &&
    isSameList(a.targets, b.targets, (one, other) => one[0] === other[0] && one[1] === other[1])
  );
}

const isSameList = <V>(a: readonly V[], b: readonly V[], same: (one: V, other: V) => boolean): boolean =>
  a.length === b.length && a.every((one, at) => same(one, b[at]!));
