import { createHash } from "node:crypto";
import { flatUid, objectKey, type ClusterId, type ObjectKey, type ServiceName, type WorkloadUid } from "../names.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { isMembersName, type GlobalMember } from "./global-members.ts";
import type { GlobalHost } from "./global-merge.ts";
import type { Problem } from "./model/problem.ts";
import type { ServiceBinding, Workload } from "./model/workload.ts";
import type { RegistryOptions } from "./options.ts";
import { isFlat, type PeerStanding } from "./peer-standings.ts";

export interface PeerWorkloadInputs {
  readonly workloads: Collection<WorkloadUid, Workload>;
  readonly standings: Collection<ClusterId, PeerStanding>;
  readonly members: Collection<ObjectKey, GlobalMember>;
  readonly hosts: Collection<ServiceName, GlobalHost>;
  readonly owners: Collection<ServiceName, string>;
  /** What keeps its calls though its peer is drained. */
  readonly spared: Collection<ObjectKey, true>;
  /** Those of workloads of our own. */
  readonly taken: Collection<string, true>;
}

/**
 * Pods of peers on our own network, one by one (contract peering.md 2.6, no. 8). Only with addresses on the network that
 * we, the Gateway and the peer all call ours, or clients would dial where nobody answers (C28); and only while the peer
 * is there, for nothing else says that they still are.
 */
export function peerWorkloads(
  graph: Graph,
  inputs: PeerWorkloadInputs,
  options: RegistryOptions,
): Collection<WorkloadUid, Workload> {
  const { workloads, standings, members, hosts, owners, spared, taken } = inputs;
  return derive(graph, {
    name: "flat-workloads",
    distinct: true,
    from: workloads,
    reads: { standings, members, hosts, owners, spared, taken },
    to: (workload, reads, key) => {
      const standing = reads.standings.get(workload.cluster);
      if (standing === undefined || !isFlat(standing, options) || standing.state !== "present") return [];
      if (workload.network !== standing.network || workload.trustDomain !== standing.trustDomain) return [];
      const services = workload.services
        .flatMap((binding) => namesOf(workload, binding, reads, options))
        .filter(({ service }, at, all) => all.findIndex((other) => other.service === service) === at)
        .sort((a, b) => byCodeUnit(a.service, b.service));
      if (services.length === 0 || workload.addresses.length === 0) return [];
      if (workload.addresses.some((address) => reads.taken.get(address))) return [];
      const drained =
        standing.drainedUntilMs !== undefined && !services.some(({ service }) => isSpared(workload, service, reads));
      const uid = flatUid(workload.cluster, key);
      const flat: Workload = {
        ...workload,
        uid,
        name: flatName(workload, services),
        services,
        healthy: workload.healthy && !drained,
        locality: workload.locality ?? standing.locality,
        hostname: "",
        waypoint: undefined,
        networkGateway: undefined,
        policies: [],
      };
      return [[uid, flat] as const];
    },
  });
}

/** Pods that have, so their peer says, the address of one of ours. */
export function takenAddressProblems(
  graph: Graph,
  workloads: Collection<WorkloadUid, Workload>,
  taken: Collection<string, true>,
): Collection<string, Problem> {
  return derive(graph, {
    name: "taken-address-problems",
    distinct: true,
    from: workloads,
    reads: { taken },
    to: ({ cluster, namespace, name, addresses }, { taken }, key): readonly (readonly [string, Problem])[] => {
      const found = addresses.find((address) => taken.get(address));
      if (found === undefined) return [];
      const message =
        `Pod ${namespace}/${name} of cluster ${cluster} has the address ${found}, as one of our own has, so it is left out; ` +
        "if the clusters are not on one network, correct topology.istio.io/network on the Gateway that leads there.";
      const object = `Pod ${cluster}/${namespace}/${name}`;
      return [[`Peer ${key}#address`, { object, origin: "", field: "status.podIPs", message, severity: "warning" }]];
    },
  });
}

/** It is healthy, or not, for all that it serves. */
function isSpared(
  { cluster }: Workload,
  service: ServiceName,
  { hosts, spared }: Reads & { readonly spared: { get(key: ObjectKey): true | undefined } },
): boolean {
  const host = hosts.get(service);
  return host !== undefined && spared.get(objectKey(cluster, host.namespace, host.name)) === true;
}

interface Reads {
  readonly members: { get(key: ObjectKey): GlobalMember | undefined };
  readonly hosts: { get(name: ServiceName): GlobalHost | undefined };
  readonly owners: { get(name: ServiceName): string | undefined };
}

/** What it serves of what its cluster shares; with the global name go all others that it has here. */
function namesOf(
  { cluster }: Workload,
  { service, ports }: ServiceBinding,
  { members, hosts, owners }: Reads,
  { localCluster }: RegistryOptions,
): readonly ServiceBinding[] {
  const host = hosts.get(service);
  const member = host && members.get(objectKey(cluster, host.namespace, host.name));
  const said = member?.names.find((name) => name.service === service);
  if (member === undefined || said === undefined || said.kind === "local") return [];
  return (said.kind === "global" ? member.names : [said])
    .filter((name) => isMembersName(owners.get(name.service), member, localCluster))
    .map((name) => ({ service: name.service, ports }));
}

/** The digits tell apart what serves different services under one name (contract peering.md 2.5). */
function flatName({ cluster, namespace, name }: Workload, services: readonly ServiceBinding[]): string {
  const digest = createHash("sha256").update(services.map(({ service }) => service).join(" "));
  return `autogenflat.${cluster}.${namespace}.${name}.${digest.digest("hex").slice(0, 12)}`;
}
