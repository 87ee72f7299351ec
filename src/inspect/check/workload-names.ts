import type { KubeObject } from "../../kube/object.ts";
import { DEPLOYMENTS } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf } from "../cluster-facts.ts";
import { controlPlanePods, systemNamespaces } from "./mesh-parts.ts";
import { kubectl } from "./outcome.ts";

/** How kubectl reaches a control plane: its Deployment has the name of its release, and lies where that was installed. */
export interface PlaneWords {
  /** As `kubectl --context east -n mesh-system`. */
  readonly kubectl: string;
  /** As `deployment/istiod-canary`. */
  readonly deployment: string;
}

export function planeWords(facts: ClusterFacts): PlaneWords {
  const [pod] = controlPlanePods(facts);
  const namespace = pod?.metadata.namespace ?? systemNamespaces(facts)[0]!;
  return { kubectl: `${kubectl(facts)} -n ${namespace}`, deployment: `deployment/${deploymentOf(facts, pod)}` };
}

/** By the ReplicaSet that made the pod, which has the Deployment's name before its own hash. */
function deploymentOf(facts: ClusterFacts, pod: KubeObject | undefined): string {
  const set = ownerOf(pod, "ReplicaSet");
  if (set !== undefined) return set.replace(/-[a-z0-9]+$/, "");
  const known = objectsOf(facts, DEPLOYMENTS).find(
    ({ metadata }) => metadata.namespace === pod?.metadata.namespace && metadata.labels?.["app"] === "istiod",
  );
  return known?.metadata.name ?? "istiod";
}

/** As `daemonset/ztunnel`, of a DaemonSet or of one of its pods. */
export const daemonSetWord = (object: KubeObject | undefined, usual: string): string =>
  `daemonset/${(object?.kind === "DaemonSet" ? object.metadata.name : ownerOf(object, "DaemonSet")) ?? usual}`;

const ownerOf = (object: KubeObject | undefined, kind: string): string | undefined =>
  object?.metadata.ownerReferences?.find((owner) => owner.kind === kind)?.name;
