import {
  aggregateUid,
  type ClusterId,
  type NetworkId,
  type ObjectKey,
  type ServiceName,
  type WorkloadUid,
} from "../names.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { dealt, usableWays, type Share } from "./coalesced-workloads.ts";
import { commonLocality } from "./endpoint-tallies.ts";
import { isMembersName, type GlobalMember, type MemberNames } from "./global-members.ts";
import type { Locality, Port } from "./model/address.ts";
import type { FederatedPort, FederatedService } from "./model/federated-service.ts";
import type { ServiceBinding, Workload } from "./model/workload.ts";
import { gatewayAddress, hostText, type NetworkGateway } from "./network-gateways.ts";
import type { RegistryOptions } from "./options.ts";
import type { PeerStanding } from "./peer-standings.ts";
import { bareWorkload } from "./workload-shape.ts";

export interface AggregateInputs {
  readonly federated: Collection<ObjectKey, FederatedService>;
  readonly members: Collection<ObjectKey, GlobalMember>;
  readonly standings: Collection<ClusterId, PeerStanding>;
  readonly gateways: Collection<NetworkId, readonly NetworkGateway[]>;
  readonly owners: Collection<ServiceName, string>;
  /** What keeps its calls though its peer is drained. */
  readonly spared: Collection<ObjectKey, true>;
}

/**
 * What stands for all endpoints that a peer has of a service: one workload for each address that leads to them
 * (contract peering.md 2.6). One change of a count is one workload, whoever else has the service.
 */
export function aggregateWorkloads(
  graph: Graph,
  { federated, members, standings, gateways, owners, spared }: AggregateInputs,
  { localCluster }: RegistryOptions,
): Collection<WorkloadUid, Workload> {
  const bindings = new SharedBindings();
  return derive(graph, {
    name: "aggregate-workloads",
    distinct: true,
    from: federated,
    reads: { members, standings, gateways, owners, spared },
    to: (record, reads, key) => {
      const member = reads.members.get(key);
      const standing = reads.standings.get(record.cluster);
      // On our own network there is no gateway to go through: ztunnel would drop it (contract peering.md 2.6).
      if (member === undefined || standing === undefined || standing.onLocalNetwork) return [];
      const owned = member.names.filter(({ service }) =>
        isMembersName(reads.owners.get(service), member, localCluster),
      );
      if (owned.length === 0) return [];
      const services = bindings.of(owned.length === member.names.length ? member.names : owned, member.ports);
      const drained = standing.drainedUntilMs !== undefined && reads.spared.get(key) === undefined;
      const state = drained ? "away" : standing.state;
      return sharesOf(record, standing, reads.gateways.get(standing.network) ?? []).map((share) => {
        const workload = aggregated(record, { ...standing, state }, share, services);
        return [workload.uid, workload] as const;
      });
    },
  });
}

/** Only what leads to this peer: another's gateway does not know its endpoints. */
export function sharesOf(
  record: FederatedService,
  standing: PeerStanding,
  all: readonly NetworkGateway[],
): readonly Share[] {
  const ways = usableWays(all.filter(({ gateway }) => gateway === standing.gateway));
  const { cluster, ready, total, namespace, name } = record;
  const endpoints = Math.max(ready, total, 1);
  const locality = standing.locality ?? localityOf(record);
  return dealt({ cluster, endpoints, healthy: ready, locality }, ways, `${namespace}/${name}`);
}

/** What its endpoints share; unknown if one of them is nowhere. */
function localityOf({ localities, ready }: FederatedService): Locality | undefined {
  const known = localities.reduce((sum, each) => sum + each.ready, 0);
  return known < ready
    ? undefined
    : commonLocality(localities.map(({ region, zone }) => ({ region, zone, subzone: "" })));
}

function aggregated(
  { cluster, namespace, name, total, ready }: FederatedService,
  { network, trustDomain, state }: PeerStanding,
  { way, endpoints, healthy, locality }: Share,
  services: readonly ServiceBinding[],
): Workload {
  const uid = aggregateUid(cluster, namespace, name, network, hostText(way.host));
  return {
    ...bareWorkload(uid, `autogen.${cluster}.${namespace}.${name}`, namespace, cluster, trustDomain),
    // It is nobody's: telemetry is about the services behind it.
    canonicalName: "",
    canonicalRevision: "",
    workloadName: "",
    network,
    tunnel: "hbone",
    networkGateway: gatewayAddress(way),
    services,
    // One without ready endpoints stays, so that it is back at once (contract peering.md 2.10).
    healthy: healthy > 0 && state === "present",
    capacity: healthy > 0 ? healthy : total === 0 && ready === 0 ? 0 : endpoints,
    locality,
  };
}

/** Peers that share a service under the same names and ports are bound to it alike: they share one list. */
class SharedBindings {
  readonly #known = new WeakMap<MemberNames, WeakMap<readonly FederatedPort[], readonly ServiceBinding[]>>();

  of(names: readonly MemberNames[number][] | MemberNames, ports: readonly FederatedPort[]): readonly ServiceBinding[] {
    const key = names as MemberNames;
    let known = this.#known.get(key);
    if (known === undefined) this.#known.set(key, (known = new WeakMap()));
    let list = known.get(ports);
    if (list === undefined) known.set(ports, (list = bindings(names, ports)));
    return list;
  }
}

function bindings(
  names: readonly MemberNames[number][],
  declared: readonly FederatedPort[],
): readonly ServiceBinding[] {
  // The far side finds the target port; here it must be one.
  const ports: readonly Port[] = declared.map(({ number, targetPort }) => ({
    servicePort: number,
    targetPort: targetPort || number,
  }));
  return names.map(({ service }) => ({ service, ports })).sort((a, b) => byCodeUnit(a.service, b.service));
}
