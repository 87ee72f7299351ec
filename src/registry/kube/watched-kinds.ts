import type { ResourceType } from "../../kube/api.ts";
import * as types from "../../kube/resource-types.ts";

/** A kind that a cluster is read for. */
export interface WatchedKind {
  readonly type: ResourceType;
  /** False if a cluster may join without: not all readers may see it, and what it says has defaults. */
  readonly required: boolean;
  /** What is lost where the API server does not serve it, for the log. */
  readonly purpose?: string;
}

const required = (type: ResourceType, purpose?: string): WatchedKind => ({
  type,
  required: true,
  ...(purpose !== undefined && { purpose }),
});
const optional = (type: ResourceType, purpose?: string): WatchedKind => ({
  ...required(type, purpose),
  required: false,
});

/** What of another cluster counts: its policies and entries hold there only (contract ztunnel.md 5.9). */
export const REMOTE_KINDS: readonly WatchedKind[] = [
  required(types.NAMESPACES),
  required(types.NODES),
  required(types.SERVICES),
  required(types.ENDPOINT_SLICES),
  required(types.PODS),
  required(types.GATEWAYS),
  // The reader role of upstream's charts has no right to them.
  optional(types.GATEWAY_CLASSES),
];

/** Those that are required are guards or what they guard: without the right to read one, we would open what it closes. */
export const LOCAL_KINDS: readonly WatchedKind[] = [
  required(types.NAMESPACES),
  required(types.NODES),
  required(types.AUTHORIZATION_POLICIES, "policies of who may call whom"),
  required(types.PEER_AUTHENTICATIONS, "policies of who must use mutual TLS"),
  required(types.REQUEST_AUTHENTICATIONS, "policies of whose tokens count"),
  required(types.GATEWAY_CLASSES, "waypoints and gateways to other networks"),
  required(types.GATEWAYS, "waypoints and gateways to other networks"),
  required(types.SERVICES),
  required(types.SERVICE_ENTRIES, "services outside of the cluster"),
  required(types.WORKLOAD_ENTRIES, "workloads outside of the cluster"),
  required(types.ENDPOINT_SLICES),
  required(types.SERVICE_ACCOUNTS),
  required(types.SEGMENTS, "segments of a mesh of several clusters"),
  required(types.PEER_GRANTS, "what peers may take and bring"),
  // Whoever gave us no right to them has no waypoint of ours that would need them.
  optional(types.HTTP_ROUTES, "routes of waypoints"),
  optional(types.GRPC_ROUTES, "routes of waypoints"),
  optional(types.REFERENCE_GRANTS, "routes of waypoints to other namespaces"),
  optional(types.DESTINATION_RULES, "connection pools and outlier detection of waypoints"),
  required(types.PODS),
];

/** Of our own cluster, where identities are SPIRE's: who is to have which (contract peering.md C06). */
export const SPIRE_KINDS: readonly WatchedKind[] = [optional(types.CLUSTER_SPIFFE_IDS, "whether SPIRE knows all pods")];
