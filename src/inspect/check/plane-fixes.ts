import type { KubeObject } from "../../kube/object.ts";
import { DEPLOYMENTS } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf } from "../cluster-facts.ts";
import { kubectl } from "./fixes.ts";
import { controlPlanePods, isWritten, systemNamespaces } from "./mesh-parts.ts";

/** As `istiod-canary`: the Deployment of a control plane has the name of its release. */
export function planeDeployment(facts: ClusterFacts): string {
  const [pod] = controlPlanePods(facts);
  // The ReplicaSet that made the pod has the Deployment's name before its own hash.
  const set = ownerOf(pod, "ReplicaSet");
  if (set !== undefined) return set.replace(/-[a-z0-9]+$/, "");
  const known = objectsOf(facts, DEPLOYMENTS).find(
    ({ metadata }) => metadata.namespace === pod?.metadata.namespace && metadata.labels?.["app"] === "istiod",
  );
  return known?.metadata.name ?? "istiod";
}

/** A variable of the control plane; undefined for none of that name. */
export function planeVariable(facts: ClusterFacts, name: string, value: string | undefined): string {
  if (isWritten(facts))
    return `start its control plane again with${value === undefined ? `out ${name}` : ` ${name}=${value}`}`;
  return planeCommand(facts, "set env", ` ${name}${value === undefined ? "-" : `=${value}`}`);
}

export const planeLogs = (facts: ClusterFacts): string =>
  isWritten(facts) ? "read what its control plane wrote to where it was started" : planeCommand(facts, "logs");

export const planeRestarted = (facts: ClusterFacts): string =>
  isWritten(facts) ? "start its control plane again" : planeCommand(facts, "rollout restart");

export const planeRolledOut = (facts: ClusterFacts): string =>
  isWritten(facts) ? "stop the older of its control planes" : planeCommand(facts, "rollout status");

function planeCommand(facts: ClusterFacts, verb: string, more = ""): string {
  const namespace = controlPlanePods(facts)[0]?.metadata.namespace ?? systemNamespaces(facts)[0]!;
  return `${kubectl(facts)} -n ${namespace} ${verb} deployment/${planeDeployment(facts)}${more}`;
}

/** As `daemonset/ztunnel`, of a DaemonSet or of one of its pods. */
export const daemonSetWord = (object: KubeObject | undefined, usual: string): string =>
  `daemonset/${(object?.kind === "DaemonSet" ? object.metadata.name : ownerOf(object, "DaemonSet")) ?? usual}`;

const ownerOf = (object: KubeObject | undefined, kind: string): string | undefined =>
  object?.metadata.ownerReferences?.find((owner) => owner.kind === kind)?.name;
