import type { ClusterId, NetworkId, ServiceName } from "../names.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { CollectionNode, type Graph, rankAbove } from "./collection/graph.ts";
import type { GlobalMember } from "./global-members.ts";
import type { Locality } from "./model/address.ts";
import type { RemoteEndpoint, RemoteIdentity } from "./remote-endpoints.ts";

/** What stands behind the gateways of one network for one service. */
export interface Tally {
  readonly network: NetworkId;
  readonly service: ServiceName;
  /** By name; never empty. */
  readonly clusters: readonly ClusterTally[];
}

export interface ClusterTally {
  readonly cluster: ClusterId;
  /** At least one. */
  readonly endpoints: number;
  readonly healthy: number;
  /** The parts that all its endpoints share; undefined if they share none. */
  readonly locality: Locality | undefined;
}

/**
 * Endpoints counted by network and service. A service may have ten thousand of them, so a change of one is a step up or
 * down, and never a new count.
 */
export function endpointTallies(
  graph: Graph,
  endpoints: Collection<string, RemoteEndpoint>,
): Collection<string, Tally> {
  const node = new Tallies(endpoints);
  graph.add(node);
  return node;
}

class Tallies extends CollectionNode<string, Tally> {
  readonly #counts = new Map<string, ServiceCount>();

  constructor(readonly endpoints: Collection<string, RemoteEndpoint>) {
    super("endpoint-tallies", rankAbove([endpoints]), isSameTally);
  }

  override settle(): void {
    const touched = new Set<string>();
    for (const { before, after } of this.endpoints.batch) {
      if (after) this.#count(after, 1, touched);
      if (before) this.#count(before, -1, touched);
    }
    for (const key of touched) {
      const tally = this.#counts.get(key)!.tally();
      if (tally === undefined) this.#counts.delete(key);
      this.write(key, tally);
    }
  }

  #count(endpoint: RemoteEndpoint, step: 1 | -1, touched: Set<string>): void {
    for (const service of endpoint.services) {
      const key = `${endpoint.network} ${service}`;
      touched.add(key);
      let count = this.#counts.get(key);
      if (count === undefined) this.#counts.set(key, (count = new ServiceCount(endpoint.network, service)));
      count.add(endpoint, step);
    }
  }
}

class ServiceCount {
  readonly #clusters = new Map<ClusterId, ClusterCount>();

  constructor(
    readonly network: NetworkId,
    readonly service: ServiceName,
  ) {}

  add(endpoint: RemoteEndpoint, step: 1 | -1): void {
    const { cluster } = endpoint;
    let count = this.#clusters.get(cluster);
    if (count === undefined) this.#clusters.set(cluster, (count = new ClusterCount()));
    count.add(endpoint, step);
    if (count.endpoints === 0) this.#clusters.delete(cluster);
  }

  /** Undefined once there is nothing left. */
  tally(): Tally | undefined {
    if (this.#clusters.size === 0) return undefined;
    const clusters = [...this.#clusters]
      .sort(([a], [b]) => byCodeUnit(a, b))
      .map(([cluster, { endpoints, healthy, locality }]) => ({ cluster, endpoints, healthy, locality }));
    return { network: this.network, service: this.service, clusters };
  }
}

class ClusterCount {
  endpoints = 0;
  healthy = 0;
  readonly #localities = new Map<string, { readonly locality: Locality | undefined; count: number }>();

  add({ healthy, locality }: RemoteEndpoint, step: 1 | -1): void {
    this.endpoints += step;
    if (healthy) this.healthy += step;
    const key = locality === undefined ? "" : `${locality.region}/${locality.zone}/${locality.subzone}`;
    const known = this.#localities.get(key);
    if (known === undefined) this.#localities.set(key, { locality, count: step });
    else if ((known.count += step) === 0) this.#localities.delete(key);
  }

  get locality(): Locality | undefined {
    return commonLocality([...this.#localities.values()].map(({ locality }) => locality));
  }
}

/** The parts that all share, from the region on; undefined if they share none, or one of them is nowhere. */
export function commonLocality(all: readonly (Locality | undefined)[]): Locality | undefined {
  const [first, ...others] = all;
  if (first === undefined) return undefined;
  const shares = (part: keyof Locality): boolean => others.every((other) => other?.[part] === first[part]);
  if (first.region === "" || !shares("region")) return undefined;
  const { region, zone, subzone } = first;
  if (!shares("zone")) return { region, zone: "", subzone: "" };
  return { region, zone, subzone: shares("subzone") ? subzone : "" };
}

function isSameTally(a: Tally, b: Tally): boolean {
  return (
    a.clusters.length === b.clusters.length &&
    a.clusters.every((one, at) => {
      const other = b.clusters[at]!;
      return (
        one.cluster === other.cluster &&
        one.endpoints === other.endpoints &&
        one.healthy === other.healthy &&
        one.locality?.region === other.locality?.region &&
        one.locality?.zone === other.locality?.zone &&
        one.locality?.subzone === other.locality?.subzone
      );
    })
  );
}

/** The identities of each service's remote endpoints, sorted; also of those that are not ready: they may be soon. */
export function remoteIdentities(
  graph: Graph,
  inputs: readonly Collection<string, RemoteIdentity>[],
  members: Collection<string, GlobalMember>,
): Collection<ServiceName, readonly string[]> {
  const node = new Identities(inputs, members);
  graph.add(node);
  return node;
}

class Identities extends CollectionNode<ServiceName, readonly string[]> {
  readonly #uses = new Map<ServiceName, IdentityUses>();

  constructor(
    readonly inputs: readonly Collection<string, RemoteIdentity>[],
    /** What peers say of theirs, counted under the first name of each. */
    readonly members: Collection<string, GlobalMember>,
  ) {
    const isSame = (a: readonly string[], b: readonly string[]): boolean =>
      a.length === b.length && a.every((id, at) => id === b[at]);
    super("remote-identities", rankAbove([...inputs, members]), isSame);
  }

  override settle(): void {
    const touched = new Set<ServiceName>();
    for (const { batch } of this.inputs)
      for (const { before, after } of batch) {
        if (after) this.#useOne(after, 1, touched);
        if (before) this.#useOne(before, -1, touched);
      }
    for (const { before, after } of this.members.batch) {
      if (after) this.#useAll(after, 1, touched);
      if (before) this.#useAll(before, -1, touched);
    }
    for (const service of touched) this.write(service, this.#uses.get(service)?.sorted);
  }

  #useOne({ services, identity }: RemoteIdentity, step: 1 | -1, touched: Set<ServiceName>): void {
    for (const service of services) this.#use(service, identity, step, touched);
  }

  #useAll({ names: [{ service }], identities }: GlobalMember, step: 1 | -1, touched: Set<ServiceName>): void {
    for (const identity of identities) this.#use(service, identity, step, touched);
  }

  /** Touches a service only where an identity comes or goes, not for each endpoint that has it. */
  #use(service: ServiceName, identity: string, step: 1 | -1, touched: Set<ServiceName>): void {
    let uses = this.#uses.get(service);
    if (uses === undefined) this.#uses.set(service, (uses = new IdentityUses()));
    if (uses.step(identity, step)) touched.add(service);
    if (uses.sorted.length === 0) this.#uses.delete(service);
  }
}

/** How often each identity is used. Five hundred peers may have one each, so the list is kept in order, not put in order. */
class IdentityUses {
  readonly #counts = new Map<string, number>();
  sorted: readonly string[] = [];

  /** @returns true if the identity came or went. */
  step(identity: string, step: 1 | -1): boolean {
    const count = (this.#counts.get(identity) ?? 0) + step;
    if (count > 0) this.#counts.set(identity, count);
    else this.#counts.delete(identity);
    if (count > 1 || (count === 1 && step === -1)) return false;
    const at = placeOf(this.sorted, identity);
    const added = count === 0 ? [] : [identity];
    this.sorted = [...this.sorted.slice(0, at), ...added, ...this.sorted.slice(at + 1 - added.length)];
    return true;
  }
}

/** Where `text` is, or belongs. */
function placeOf(sorted: readonly string[], text: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < text) low = middle + 1;
    else high = middle;
  }
  return low;
}
