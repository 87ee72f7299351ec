import type { ClusterId, Hostname, ServiceName } from "../names.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import type { Graph } from "./collection/graph.ts";
import { merge } from "./collection/merge.ts";
import type { GlobalMember, MemberName } from "./global-members.ts";
import { mergedPorts, type PortConflict } from "./global-ports.ts";
import type { TrafficDistribution } from "./kube/traffic-labels.ts";
import type { WaypointPolicy } from "./model/federated-service.ts";
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
  readonly distribution: TrafficDistribution | undefined;
  readonly waypointPolicy: WaypointPolicy;
  readonly conflicts: readonly PortConflict[];
  /** Other services that wanted this name, as `name of cluster`. */
  readonly rivals: readonly string[];
}

const CONFLICTS_MAX = 8;

export function globalHosts<K extends string>(
  graph: Graph,
  members: Collection<K, GlobalMember>,
): Collection<ServiceName, GlobalHost> {
  return merge(graph, {
    name: "global-hosts",
    from: members,
    by: ({ names }) => names.map(({ service }) => service),
    combine: mergedHost,
  });
}

interface Claim {
  readonly member: GlobalMember;
  readonly name: MemberName;
}

function mergedHost(key: ServiceName, members: readonly GlobalMember[]): GlobalHost | undefined {
  const [first, ...others] = claimsOf(key, members);
  if (first === undefined) return undefined;
  const { name, namespace } = first.member;
  const own = [first, ...others.filter(({ member }) => member.name === name)];
  const rivals = others.filter(({ member }) => member.name !== name);
  const { ports, conflicts } = mergedPorts(own.map(({ member }) => member));
  return {
    key,
    host: first.name.host,
    kind: first.name.kind,
    namespace,
    name,
    base: first.member.cluster,
    createdMs: first.member.createdMs,
    local: first.member.via === "local",
    firsts: [...new Set(own.map(({ member }) => member.names[0].service))].sort(byCodeUnit),
    ports,
    distribution: first.member.distribution,
    waypointPolicy: first.member.waypointPolicy,
    conflicts: conflicts.slice(0, CONFLICTS_MAX),
    rivals: rivals.slice(0, CONFLICTS_MAX).map(({ member }) => `${member.name} of ${member.cluster}`),
  };
}

/** The best first. A name of its own beats an alias, and the older service the younger; within one the local cluster counts. */
function claimsOf(key: ServiceName, members: readonly GlobalMember[]): readonly Claim[] {
  const claims = members.map((member) => ({ member, name: member.names.find(({ service }) => service === key)! }));
  const best = first(claims, compareServices)!;
  const isOwn = ({ member }: Claim): boolean => member.name === best.member.name;
  const own = claims.filter(isOwn);
  const base = first(own, compareMembers)!;
  return [base, ...own.filter((claim) => claim !== base), ...claims.filter((claim) => !isOwn(claim))];
}

function first<V>(all: readonly V[], compare: (a: V, b: V) => number): V | undefined {
  return all.reduce<V | undefined>(
    (best, each) => (best === undefined || compare(each, best) < 0 ? each : best),
    undefined,
  );
}

const compareServices = (a: Claim, b: Claim): number =>
  Number(a.name.kind === "alias") - Number(b.name.kind === "alias") || compareAges(a, b);

const compareMembers = (a: Claim, b: Claim): number =>
  Number(b.member.via === "local") - Number(a.member.via === "local") || compareAges(a, b);

const compareAges = ({ member: a }: Claim, { member: b }: Claim): number =>
  a.createdMs - b.createdMs || byCodeUnit(a.cluster, b.cluster) || byCodeUnit(a.name, b.name);
