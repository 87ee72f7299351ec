import { isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";

const label = ({ metadata }: KubeObject, name: string): string => metadata.labels?.[name] ?? "";

/** Pods of a control plane, in whichever namespace, of whichever revision. */
export const isControlPlanePod = (pod: KubeObject): boolean =>
  label(pod, "app") === "istiod" || label(pod, "istio") === "pilot";

export const isZtunnelPod = (pod: KubeObject): boolean => label(pod, "app") === "ztunnel";

export const isCniPod = (pod: KubeObject): boolean => label(pod, "k8s-app") === "istio-cni-node";

/** The Gateway whose proxy it is, in its namespace; empty if it is none. */
export const gatewayOfPod = (pod: KubeObject): string => label(pod, "gateway.networking.k8s.io/gateway-name");

export const isMeshPod = (pod: KubeObject): boolean =>
  isControlPlanePod(pod) || isZtunnelPod(pod) || isCniPod(pod) || gatewayOfPod(pod) !== "";

/** What a container of a pod, or of a pod template, is told by a variable; undefined if none has it as text. */
export function variableOf(spec: unknown, name: string): string | undefined {
  const containers = isFields(spec) && Array.isArray(spec["containers"]) ? (spec["containers"] as unknown[]) : [];
  const variables = containers.flatMap((container) =>
    isFields(container) && Array.isArray(container["env"]) ? (container["env"] as unknown[]) : [],
  );
  const found = variables.filter(isFields).find((variable) => variable["name"] === name)?.["value"];
  return typeof found === "string" ? found : undefined;
}
