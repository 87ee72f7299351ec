import type { ClusterId } from "../../names.ts";
import { endpointAddress } from "./endpoint-address.ts";
import { FieldError, fieldsOf, integerOf, isFields, listOf, textOf, truthOf, type Fields } from "./fields.ts";
import { Interned } from "./interned.ts";
import { placementOf, type Placement } from "./labels.ts";
import { intern, type Metadata } from "./metadata.ts";
import { podWorkloadName } from "./pod-owner.ts";
import { tunnelOf, type Tunnel } from "./traffic-labels.ts";

/** What the mesh needs of a pod. There may be a hundred thousand, so texts that repeat are shared. */
export interface Pod {
  readonly cluster: ClusterId;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Its labels, and where they count. */
  readonly placement: Placement;
  /** Empty until it is scheduled. */
  readonly node: string;
  /** Never empty: Kubernetes runs a pod without one as `default`. */
  readonly serviceAccount: string;
  readonly phase: PodPhase;
  /** A deletion was asked for; it may still run. */
  readonly deleting: boolean;
  readonly ready: boolean;
  readonly hostNetwork: boolean;
  /** Canonical, in the order of the status; empty until it has one. */
  readonly ips: readonly string[];
  /** Named TCP ports of its containers. */
  readonly ports: ReadonlyMap<string, number>;
  readonly tunnel: Tunnel;
  /** The Deployment or the like that made it. */
  readonly workloadName: string;
}

export type PodPhase = "Pending" | "Running" | "Succeeded" | "Failed" | "Unknown";
const PHASES: readonly string[] = ["Pending", "Running", "Succeeded", "Failed", "Unknown"];

/** A pod that ended has no address and no identity any more. */
export const podEnded = (pod: Pod): boolean => pod.phase === "Succeeded" || pod.phase === "Failed";

/** @throws FieldError; one address that cannot be read makes the pod unreadable (contract ztunnel.md 5.2). */
export function readPod(metadata: Metadata, object: Fields): Pod {
  const spec = fieldsOf(object["spec"], "spec");
  const status = fieldsOf(object["status"], "status");
  const phase = textOf(status["phase"], "status.phase") || "Pending";
  if (!PHASES.includes(phase)) throw new FieldError("status.phase", `is ${JSON.stringify(phase)}, which no pod has`);
  return {
    cluster: metadata.cluster,
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    placement: placementOf(metadata.cluster, metadata.namespace, metadata.labels),
    node: intern(textOf(spec["nodeName"], "spec.nodeName", 253)),
    serviceAccount: intern(textOf(spec["serviceAccountName"], "spec.serviceAccountName", 253) || "default"),
    phase: phase as PodPhase,
    deleting: metadata.deleting,
    ready: isReady(status),
    hostNetwork: truthOf(spec["hostNetwork"], "spec.hostNetwork") ?? false,
    ips: podIps(status),
    ports: namedPorts(spec),
    tunnel: tunnelOf(metadata.labels, metadata.annotations),
    workloadName: intern(podWorkloadName(metadata, object)),
  };
}

function isReady(status: Fields): boolean {
  return listOf(status["conditions"], "status.conditions").some(
    (condition) => isFields(condition) && condition["type"] === "Ready" && condition["status"] === "True",
  );
}

function podIps(status: Fields): readonly string[] {
  const all = listOf(status["podIPs"], "status.podIPs", 16).map((item, at) => {
    const field = `status.podIPs[${at}]`;
    return [field, textOf(isFields(item) ? item["ip"] : item, field)] as [string, string];
  });
  const only = textOf(status["podIP"], "status.podIP");
  if (all.length === 0 && only !== "") all.push(["status.podIP", only]);
  return all.map(([field, text]) => endpointAddress(text, field));
}

const NO_PORTS: ReadonlyMap<string, number> = new Map();
const interned = new Interned<ReadonlyMap<string, number>>();

/** Also of init containers that keep running beside the others; the first of a name counts. */
function namedPorts(spec: Fields): ReadonlyMap<string, number> {
  const containers = [
    ...listOf(spec["containers"], "spec.containers").map((item, at) => [item, `spec.containers[${at}]`] as const),
    ...listOf(spec["initContainers"], "spec.initContainers")
      .map((item, at) => [item, `spec.initContainers[${at}]`] as const)
      .filter(([item]) => isFields(item) && item["restartPolicy"] === "Always"),
  ];
  const ports = new Map<string, number>();
  for (const [container, path] of containers) {
    const declared = listOf(fieldsOf(container, path)["ports"], `${path}.ports`);
    declared.forEach((item, at) => {
      const port = fieldsOf(item, `${path}.ports[${at}]`);
      const name = textOf(port["name"], `${path}.ports[${at}].name`);
      const protocol = textOf(port["protocol"], `${path}.ports[${at}].protocol`) || "TCP";
      const number = integerOf(port["containerPort"], `${path}.ports[${at}].containerPort`, 1, 65_535);
      if (name !== "" && protocol === "TCP" && number !== undefined && !ports.has(name)) ports.set(name, number);
    });
  }
  if (ports.size === 0) return NO_PORTS;
  return interned.get(JSON.stringify([...ports]), () => ports);
}
