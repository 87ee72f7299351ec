import type { ObjectKey, ServiceName, WorkloadUid } from "../names.ts";
import type { Attachment } from "./attachments.ts";
import { coalescedWorkloads } from "./coalesced-workloads.ts";
import type { Collection } from "./collection/collection.ts";
import type { Graph } from "./collection/graph.ts";
import { endpointTallies, remoteIdentities, type Tally } from "./endpoint-tallies.ts";
import { serviceEntryWorkloads, workloadEntryWorkloads } from "./entry-workloads.ts";
import type { GlobalService } from "./global-services.ts";
import type { Objects } from "./kube/objects.ts";
import type { Workload } from "./model/workload.ts";
import { gatewayWorkloads } from "./network-gateways.ts";
import type { NetworkPaths } from "./network-paths.ts";
import type { RegistryOptions } from "./options.ts";
import { podTargets } from "./pod-targets.ts";
import { podWorkloads } from "./pod-workloads.ts";
import { remoteEndpoints, remoteEntryIdentities } from "./remote-endpoints.ts";
import type { Offer } from "./service-offers.ts";
import { sliceWorkloads } from "./slice-workloads.ts";
import { union } from "./union.ts";

export interface AllWorkloadsInputs {
  readonly paths: NetworkPaths;
  readonly attachments: Collection<string, Attachment>;
  readonly globals: Collection<ObjectKey, GlobalService>;
  readonly winners: Collection<ServiceName, Offer>;
  readonly owners: Collection<ServiceName, string>;
}

/** Everything that sends or receives traffic: one by one on our network, and coalesced on others. */
export interface AllWorkloads {
  readonly workloads: Collection<WorkloadUid, Workload>;
  /** Whom clients must expect behind the gateways of other networks. */
  readonly identities: Collection<ServiceName, readonly string[]>;
  readonly tallies: Collection<string, Tally>;
}

export function allWorkloads(
  graph: Graph,
  objects: Objects,
  { paths, attachments, globals, winners, owners }: AllWorkloadsInputs,
  options: RegistryOptions,
): AllWorkloads {
  const { networks, gateways } = paths;
  const entryInputs = { attachments, gateways: paths.gatewayOf, owners };
  const entries = union(graph, "entry-workloads", [
    workloadEntryWorkloads(graph, objects, entryInputs, options),
    serviceEntryWorkloads(graph, objects, entryInputs, options),
  ]);
  const targets = podTargets(graph, objects, globals, options);
  const remote = remoteEndpoints(graph, objects, attachments, targets, options);
  const tallies = endpointTallies(graph, remote);
  const workloads = union(graph, "workloads", [
    podWorkloads(graph, objects, attachments, targets, options),
    entries,
    sliceWorkloads(graph, objects, networks, globals, options),
    gatewayWorkloads(graph, gateways, options),
    coalescedWorkloads(graph, { tallies, gateways, winners }, options),
  ]);
  const identities = remoteIdentities(graph, [remote, remoteEntryIdentities(graph, entries, networks, options)]);
  return { workloads, identities, tallies };
}
