import { isDeepStrictEqual } from "node:util";
import type { ClusterId, Hostname, ServiceName } from "../names.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { CollectionNode, type Graph, rankAbove } from "./collection/graph.ts";
import type { GlobalMember, MemberName } from "./global-members.ts";
import { mergedPorts, type PortConflict } from "./global-ports.ts";
import type { TrafficDistribution } from "./kube/traffic-labels.ts";
import type { FederatedPort, WaypointPolicy } from "./model/federated-service.ts";
import type { Port } from "./model/address.ts";

/** One name of a service that clusters share, and what they agree on (contract peering.md 2.12). */
export interface GlobalHost {
  readonly key: ServiceName;
  readonly host: Hostname;
  readonly kind: MemberName["kind"];
  readonly namespace: string;
  /** Of the Services that it is made of. */
  readonly name: string;
  /** Whose word counts where members differ: the local cluster's, else the oldest. */
  readonly base: ClusterId;
  readonly createdMs: number;
  /** True if the local cluster shares it, too. */
  readonly local: boolean;
  /** The names under which identities of its members are counted: one, unless segments share an alias. */
  readonly firsts: readonly ServiceName[];
  readonly ports: readonly Port[];
  /** Of each of them, as `HTTP`; empty if nobody says. */
  readonly protocols: readonly string[];
  readonly distribution: TrafficDistribution | undefined;
  readonly waypointPolicy: WaypointPolicy;
  readonly conflicts: readonly PortConflict[];
  /** Clusters that want L7 to be enforced elsewhere than the base does, as `both in west`. */
  readonly otherPolicies: readonly string[];
  /** Other services that wanted this name, as `name of cluster`. */
  readonly rivals: readonly string[];
}

const NAMED_MAX = 8;

/**
 * The names of all members. Five hundred clusters may share one, so members that say the same are counted together: one
 * that comes or goes is a step, and not a new merge of all.
 */
export function globalHosts<K extends string>(
  graph: Graph,
  members: Collection<K, GlobalMember>,
): Collection<ServiceName, GlobalHost> {
  const node = new GlobalHosts(members);
  graph.add(node);
  return node;
}

class GlobalHosts<K extends string> extends CollectionNode<ServiceName, GlobalHost> {
  readonly #groups = new Map<ServiceName, Map<string, Group>>();
  readonly #portIds = new Ids();

  constructor(readonly members: Collection<K, GlobalMember>) {
    super("global-hosts", rankAbove([members]), isDeepStrictEqual);
  }

  override settle(): void {
    const touched = new Set<ServiceName>();
    for (const { key, before, after } of this.members.batch) {
      if (before) for (const name of before.names) this.#remove(key, before, name, touched);
      if (after) for (const name of after.names) this.#add(key, after, name, touched);
    }
    for (const service of touched) {
      const groups = this.#groups.get(service);
      this.write(service, groups && mergedHost(service, [...groups.values()]));
    }
  }

  #add(key: K, member: GlobalMember, name: MemberName, touched: Set<ServiceName>): void {
    touched.add(name.service);
    let groups = this.#groups.get(name.service);
    if (groups === undefined) this.#groups.set(name.service, (groups = new Map()));
    const id = this.#groupOf(member, name);
    let group = groups.get(id);
    if (group === undefined) groups.set(id, (group = new Group(name)));
    group.add(key, member);
  }

  #remove(key: K, member: GlobalMember, name: MemberName, touched: Set<ServiceName>): void {
    touched.add(name.service);
    const groups = this.#groups.get(name.service)!;
    const id = this.#groupOf(member, name);
    if (groups.get(id)!.remove(key)) groups.delete(id);
    if (groups.size === 0) this.#groups.delete(name.service);
  }

  #groupOf({ name, via, ports, waypointPolicy, names: [first] }: GlobalMember, { kind }: MemberName): string {
    return [kind, via === "local", name, first.service, waypointPolicy, this.#portIds.of(ports)].join(" ");
  }
}

/** Equal lists of ports are one list: which one it is needs no look at what is in it. */
class Ids {
  readonly #known = new WeakMap<readonly FederatedPort[], number>();
  #last = 0;

  of(ports: readonly FederatedPort[]): number {
    let id = this.#known.get(ports);
    if (id === undefined) this.#known.set(ports, (id = ++this.#last));
    return id;
  }
}

/** Members that say the same of one name, but for when they were made. */
class Group {
  readonly #members = new Map<string, GlobalMember>();
  /** Undefined if nobody has looked since it went. */
  #oldest: GlobalMember | undefined;

  constructor(readonly name: MemberName) {}

  get size(): number {
    return this.#members.size;
  }
  get oldest(): GlobalMember {
    return (this.#oldest ??= first([...this.#members.values()], compareAges)!);
  }

  add(key: string, member: GlobalMember): void {
    this.#members.set(key, member);
    if (this.#oldest !== undefined && compareAges(member, this.#oldest) < 0) this.#oldest = member;
  }

  /** @returns true if nobody is left. */
  remove(key: string): boolean {
    if (this.#members.get(key) === this.#oldest) this.#oldest = undefined;
    this.#members.delete(key);
    return this.#members.size === 0;
  }
}

function mergedHost(key: ServiceName, groups: readonly Group[]): GlobalHost {
  const { oldest: best } = first(groups, compareServices)!;
  const own = groups.filter(({ oldest }) => oldest.name === best.name).sort(compareGroups);
  const [{ oldest: base, name }] = own as [Group, ...Group[]];
  const rivals = groups.filter(({ oldest }) => oldest.name !== best.name);
  const declaring = own.map(({ oldest, size }) => ({ cluster: oldest.cluster, ports: oldest.ports, size }));
  const { ports, protocols, conflicts } = mergedPorts(declaring);
  return {
    key,
    host: name.host,
    kind: name.kind,
    namespace: base.namespace,
    name: base.name,
    base: base.cluster,
    createdMs: base.createdMs,
    local: base.via === "local",
    firsts: [...new Set(own.map(({ oldest }) => oldest.names[0].service))].sort(byCodeUnit),
    ports,
    protocols,
    distribution: base.distribution,
    waypointPolicy: base.waypointPolicy,
    conflicts: conflicts.slice(0, NAMED_MAX),
    otherPolicies: own
      .filter(({ oldest }) => oldest.waypointPolicy !== base.waypointPolicy)
      .slice(0, NAMED_MAX)
      .map(({ oldest }) => `${oldest.waypointPolicy} in ${oldest.cluster}`),
    rivals: rivals
      .sort(compareGroups)
      .slice(0, NAMED_MAX)
      .map(({ oldest }) => `${oldest.name} of ${oldest.cluster}`),
  };
}

function first<V>(all: readonly V[], compare: (a: V, b: V) => number): V | undefined {
  return all.reduce<V | undefined>(
    (best, each) => (best === undefined || compare(each, best) < 0 ? each : best),
    undefined,
  );
}

/** A name of its own beats an alias, and the older service the younger. */
const compareServices = (a: Group, b: Group): number =>
  Number(a.name.kind === "alias") - Number(b.name.kind === "alias") || compareAges(a.oldest, b.oldest);

/** Within one service the local cluster counts, then the oldest. */
const compareGroups = (a: Group, b: Group): number =>
  Number(b.oldest.via === "local") - Number(a.oldest.via === "local") || compareAges(a.oldest, b.oldest);

const compareAges = (a: GlobalMember, b: GlobalMember): number =>
  a.createdMs - b.createdMs || byCodeUnit(a.cluster, b.cluster) || byCodeUnit(a.name, b.name);
