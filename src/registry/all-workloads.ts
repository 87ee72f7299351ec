import type { ServiceName, WorkloadUid } from "../names.ts";
import { aggregateWorkloads } from "./aggregate-workloads.ts";
import type { AllOffers } from "./all-offers.ts";
import type { Attachment } from "./attachments.ts";
import { coalescedWorkloads } from "./coalesced-workloads.ts";
import type { Collection } from "./collection/collection.ts";
import type { Graph } from "./collection/graph.ts";
import type { Drains } from "./drains.ts";
import { endpointTallies, remoteIdentities, type Tally } from "./endpoint-tallies.ts";
import { serviceEntryWorkloads, workloadEntryWorkloads } from "./entry-workloads.ts";
import type { Objects } from "./kube/objects.ts";
import type { Problem } from "./model/problem.ts";
import type { Workload } from "./model/workload.ts";
import { gatewayWorkloads } from "./network-gateways.ts";
import type { NetworkPaths } from "./network-paths.ts";
import type { RegistryOptions } from "./options.ts";
import { nodeWorkloads } from "./peer-doors.ts";
import type { PeerSources } from "./peer-sources.ts";
import { peerWorkloads, takenAddressProblems } from "./peer-workloads.ts";
import { podTargets } from "./pod-targets.ts";
import { podWorkloads } from "./pod-workloads.ts";
import { remoteEndpoints, remoteEntryIdentities } from "./remote-endpoints.ts";
import type { ServedNames } from "./service-names.ts";
import type { Offer } from "./service-offers.ts";
import { sliceWorkloads } from "./slice-workloads.ts";
import { takenAddresses } from "./taken-addresses.ts";
import { union } from "./union.ts";

export interface AllWorkloadsInputs {
  readonly paths: NetworkPaths;
  readonly attachments: Collection<string, Attachment>;
  readonly names: ServedNames;
  readonly offers: AllOffers;
  readonly winners: Collection<ServiceName, Offer>;
  readonly peers: PeerSources;
  readonly drains: Drains;
}

/** Everything that sends or receives traffic: one by one on our network, and coalesced on others. */
export interface AllWorkloads {
  readonly workloads: Collection<WorkloadUid, Workload>;
  /** Whom clients must expect behind the gateways of other networks. */
  readonly identities: Collection<ServiceName, readonly string[]>;
  readonly tallies: Collection<string, Tally>;
  readonly problems: Collection<string, Problem>;
}

export function allWorkloads(
  graph: Graph,
  objects: Objects,
  { paths, attachments, names, offers, winners, peers, drains }: AllWorkloadsInputs,
  options: RegistryOptions,
): AllWorkloads {
  const { networks, gateways, standings } = paths;
  const { owners } = names;
  const entryInputs = { attachments, gateways: paths.gatewayOf, owners };
  const entries = union(graph, "entry-workloads", [
    workloadEntryWorkloads(graph, objects, entryInputs, options),
    serviceEntryWorkloads(graph, objects, entryInputs, options),
  ]);
  const shared = { members: offers.federated, hosts: offers.hosts, owners, spared: drains.spared };
  const targets = podTargets(graph, objects, names, options);
  const remote = remoteEndpoints(graph, objects, attachments, targets, options);
  const tallies = endpointTallies(graph, remote);
  const slices = sliceWorkloads(graph, objects, networks, names, options);
  const single = union(graph, "single-workloads", [
    podWorkloads(graph, objects, attachments, targets, options),
    entries,
    slices,
  ]);
  const taken = takenAddresses(graph, peers.workloads, single);
  const workloads = union(graph, "workloads", [
    single,
    gatewayWorkloads(graph, gateways, options),
    coalescedWorkloads(graph, { tallies, gateways, winners, shared: names.shared }, options),
    aggregateWorkloads(graph, { federated: peers.federated, standings, gateways, ...shared }, options),
    peerWorkloads(graph, { workloads: peers.workloads, standings, taken, ...shared }, options),
    nodeWorkloads(graph, paths.doors),
  ]);
  const others = [remote, remoteEntryIdentities(graph, entries, networks, options)];
  const identities = remoteIdentities(graph, others, offers.federated);
  return { workloads, identities, tallies, problems: takenAddressProblems(graph, peers.workloads, taken) };
}
