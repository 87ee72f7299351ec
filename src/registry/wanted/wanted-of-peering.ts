import { SERVICE_ENTRIES } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import type { Collection } from "../collection/collection.ts";
import type { Graph } from "../collection/graph.ts";
import { union } from "../union.ts";
import { generatedOrphans, unsettledPeers } from "./generated-orphans.ts";
import { generatedServiceEntries } from "./generated-service-entries.ts";
import { peerGatewayStatuses } from "./peer-gateway-statuses.ts";
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
  return union(graph, "wanted-of-peering", [conditions, ...(objects === "off" ? [] : entriesOf(graph, inputs))]);
}

function entriesOf(graph: Graph, inputs: PeeringViewInputs): readonly Collection<string, WantedObject>[] {
  const unsettled = unsettledPeers(graph, inputs);
  const { generatedServiceEntries: found } = inputs.objects;
  const services = generatedServiceEntries(graph, inputs);
  return [services, generatedOrphans(graph, SERVICE_ENTRIES, found, services, unsettled, inputs)];
}
