import type { KubeObject } from "../../kube/object.ts";
import { fieldsOf, isFields, type Labels, listOf, textOf } from "./fields.ts";
import { READY_ANNOTATION } from "./pod-drafts.ts";

/** Where a pod runs; undefined parts are not known yet, so it is still pending. */
export interface Placement {
  readonly node: string | undefined;
  readonly nodeAddress: string;
  readonly address: string | undefined;
  /** Its traffic goes through the node's ztunnel. */
  readonly redirected: boolean;
}

export const isHostNetwork = (pod: KubeObject): boolean => fieldsOf(pod["spec"])["hostNetwork"] === true;

/** True for a pod that ran to its end: it has no traffic and no identity any more. */
export function hasEnded(pod: KubeObject): boolean {
  const phase = fieldsOf(pod["status"])["phase"];
  return phase === "Succeeded" || phase === "Failed";
}

/** The address that a manifest states for a pod itself. */
export function statedPodAddress(pod: KubeObject): string {
  const status = fieldsOf(pod["status"]);
  return textOf(status["podIP"]) || textOf(fieldsOf(listOf(status["podIPs"])[0])["ip"]);
}

export function isReady(pod: KubeObject): boolean {
  const conditions = listOf(fieldsOf(pod["status"])["conditions"]).filter(isFields);
  return conditions.some((condition) => condition["type"] === "Ready" && condition["status"] === "True");
}

/** The pod as the API server would show it once it runs. What its manifest says of the status stays. */
export function runningPod(pod: KubeObject, placement: Placement): KubeObject {
  const { metadata } = pod;
  const spec = fieldsOf(pod["spec"]);
  const redirect = placement.redirected ? { [REDIRECTION_ANNOTATION]: "enabled" } : {};
  return {
    ...pod,
    metadata: { ...metadata, annotations: { ...metadata.annotations, ...redirect } },
    spec: {
      ...spec,
      serviceAccountName: textOf(spec["serviceAccountName"]) || textOf(spec["serviceAccount"]) || "default",
      ...(placement.node === undefined ? {} : { nodeName: placement.node }),
    },
    status: statusOf(pod, placement),
  };
}

function statusOf(pod: KubeObject, { node, nodeAddress, address }: Placement): unknown {
  const stated = fieldsOf(pod["status"]);
  if (node === undefined || address === undefined) return { phase: "Pending", ...stated };
  const annotated = pod.metadata.annotations?.[READY_ANNOTATION];
  const ready = annotated === "false" || hasEnded(pod) ? "False" : "True";
  // The annotation is there to be played with, so it also counts for a pod that was exported with its status.
  const kept = annotated === undefined ? stated : { ...stated, conditions: undefined };
  return {
    phase: "Running",
    ...(nodeAddress === "" ? {} : { hostIP: nodeAddress, hostIPs: [{ ip: nodeAddress }] }),
    ...(address === "" ? {} : { podIP: address, podIPs: [{ ip: address }] }),
    ...kept,
    conditions: kept["conditions"] ?? [
      { type: "PodScheduled", status: "True" },
      { type: "ContainersReady", status: ready },
      { type: "Ready", status: ready },
    ],
  };
}

/** Written by the CNI agent once it has redirected a pod's traffic (contract ztunnel.md 5.2, tunnel_protocol). */
const REDIRECTION_ANNOTATION = "ambient.istio.io/redirection";
const DATAPLANE_LABEL = "istio.io/dataplane-mode";

/**
 * What the CNI agent of an ambient mesh decides: the pod's own label wins over its namespace's. A pod on the host's
 * network has no traffic of its own to redirect, and one with a sidecar, or one that speaks HBONE itself, needs no help.
 */
export function isRedirected(pod: KubeObject, namespaceLabels: Labels): boolean {
  const labels = pod.metadata.labels ?? {};
  if (isHostNetwork(pod) || hasEnded(pod)) return false;
  if (pod.metadata.annotations?.["sidecar.istio.io/status"] !== undefined) return false;
  return (labels[DATAPLANE_LABEL] ?? namespaceLabels[DATAPLANE_LABEL]) === "ambient";
}
