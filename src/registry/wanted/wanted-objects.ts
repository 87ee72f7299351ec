import type { WantedObject } from "../../kube/wanted-object.ts";
import type { Collection } from "../collection/collection.ts";
import type { Graph } from "../collection/graph.ts";
import { union } from "../union.ts";
import { policyStatuses, tokenPolicyStatuses } from "./policy-statuses.ts";
import { type ListsOptions, revocationLists } from "./revocation-lists.ts";
import { rootCertificates, type Roots } from "./root-certificates.ts";
import { routeStatuses } from "./route-statuses.ts";
import type { StatusInputs } from "./status-inputs.ts";
import { type FoundBundle, trustBundle } from "./trust-bundle.ts";
import { serviceEntryStatuses, serviceStatuses, workloadEntryStatuses } from "./waypoint-bindings.ts";

export interface WantedOptions {
  readonly roots: Roots;
  /** What was revoked, and where that stands already; undefined if it is not handed on. */
  readonly lists?: Omit<ListsOptions, "localCluster"> | undefined;
  /** What the ClusterTrustBundle holds; undefined if none is to be written. */
  readonly bundle?: FoundBundle | undefined;
  /** The name of the ConfigMap with the roots; `istio-ca-root-cert` unless PILOT_CA_CERT_CONFIGMAP says another. */
  readonly configMap?: string;
}

/**
 * All that is to be written to the local cluster, as `Kind namespace/name`: statuses, the roots and what was revoked in each namespace.
 * Before the graph's first flush.
 */
export function wantedObjects(
  graph: Graph,
  inputs: StatusInputs,
  { roots, lists, bundle, configMap = "istio-ca-root-cert" }: WantedOptions,
): Collection<string, WantedObject> {
  const { objects, localCluster } = inputs;
  return union(graph, "wanted", [
    policyStatuses(graph, inputs),
    routeStatuses(graph, objects, inputs.routes, localCluster),
    tokenPolicyStatuses(graph, inputs),
    serviceStatuses(graph, inputs),
    serviceEntryStatuses(graph, inputs),
    workloadEntryStatuses(graph, inputs),
    rootCertificates(graph, objects.namespaces, roots, { localCluster, configMap }),
    ...(bundle === undefined ? [] : [trustBundle(graph, roots, bundle)]),
    ...(lists === undefined ? [] : [revocationLists(graph, objects.namespaces, { ...lists, localCluster })]),
  ]);
}
