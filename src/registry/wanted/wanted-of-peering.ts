import { SERVICE_ENTRIES, WORKLOAD_ENTRIES } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import type { Collection } from "../collection/collection.ts";
import type { Graph } from "../collection/graph.ts";
import { union } from "../union.ts";
import { generatedOrphans, unsettledPeers } from "./generated-orphans.ts";
import { generatedServiceEntries } from "./generated-service-entries.ts";
import { flatEntries } from "./flat-entries.ts";
import { nodeEntries, nodeServiceEntries } from "./node-entries.ts";
import { peerEntries } from "./peer-entries.ts";
import { peerGatewayStatuses } from "./peer-gateway-statuses.ts";
import { peerStatusObjects } from "./peer-status-objects.ts";
import type { PeeringViewInputs } from "./peering-view-inputs.ts";

export interface PeeringViewOptions {
  /** Of the conditions that are the product's, as `gloo.solo.io/`. */
  readonly conditionPrefix: string;
  /** Conditions only, ServiceEntries, or WorkloadEntries as well (contract peering.md 2.17). */
  readonly objects: "off" | "summary" | "full";
}

/**
 * All of peering that is to be written to the local cluster, as `Kind namespace/name` (contract peering.md 2.5, 2.14).
 * Nothing here is read back: it is a view, and the mesh is as it is without it. Before the graph's first flush.
 */
export function wantedOfPeering(
  graph: Graph,
  inputs: PeeringViewInputs,
  { conditionPrefix, objects }: PeeringViewOptions,
): Collection<string, WantedObject> {
  const conditions = peerGatewayStatuses(graph, inputs, conditionPrefix);
  const entries = objects === "off" ? [] : entriesOf(graph, inputs, objects);
  return union(graph, "wanted-of-peering", [conditions, ...entries]);
}

function entriesOf(
  graph: Graph,
  inputs: PeeringViewInputs,
  mode: "summary" | "full",
): readonly Collection<string, WantedObject>[] {
  const unsettled = unsettledPeers(graph, inputs);
  const { generatedServiceEntries: services, generatedWorkloadEntries: workloads } = inputs.objects;
  const forServices = union(graph, "generated-service-entries-wanted", [
    generatedServiceEntries(graph, inputs, unsettled),
    nodeServiceEntries(graph, inputs),
  ]);
  const forWorkloads = union(graph, "generated-workload-entries-wanted", [
    ...(mode === "full" ? [peerEntries(graph, inputs), flatEntries(graph, inputs), nodeEntries(graph, inputs)] : []),
  ]);
  return [
    peerStatusObjects(graph, inputs),
    forServices,
    forWorkloads,
    generatedOrphans(graph, SERVICE_ENTRIES, services, forServices, unsettled, inputs),
    generatedOrphans(graph, WORKLOAD_ENTRIES, workloads, forWorkloads, unsettled, inputs),
  ];
}
