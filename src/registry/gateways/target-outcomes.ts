import { objectKey, serviceName, type ClusterId, type ObjectKey, type ServiceName } from "../../names.ts";
import { globalHostname } from "../global-hosts.ts";
import type { GlobalHost } from "../global-merge.ts";
import type { PolicyTarget } from "../kube/authorization-policy.ts";
import { REMOTE_CLASS, type KubeGateway } from "../kube/gateway.ts";
import { WAYPOINT_CONTROLLER } from "../kube/known-classes.ts";
import type { ObjectId } from "../kube/metadata.ts";
import type { GatewayClass } from "../kube/namespace.ts";
import type { ServiceEntry } from "../kube/service-entry.ts";
import type { KubeService } from "../kube/service.ts";
import type { UseWaypoint } from "../kube/traffic-labels.ts";
import { isEastWestClass } from "../network-gateways.ts";
import { NO_SEGMENT, type ClusterSegment } from "../segments.ts";
import { chosenWaypoint, type WaypointReads } from "../waypoints.ts";

export interface TargetReads extends WaypointReads {
  readonly gateways: { get(key: ObjectKey): KubeGateway | undefined };
  readonly gatewayClasses: { get(key: ObjectKey): GatewayClass | undefined };
  readonly services: { get(key: ObjectKey): KubeService | undefined };
  readonly serviceEntries: { get(key: ObjectKey): ServiceEntry | undefined };
  /** Objects of the local cluster by kind and name, as `Service cart`. */
  readonly namesakes: Readonly<Record<NamedKind, { get(name: string): readonly { readonly id: ObjectId }[] }>>;
  readonly hosts: { get(name: ServiceName): GlobalHost | undefined };
  readonly segments: { get(cluster: ClusterId): ClusterSegment | undefined };
}

type NamedKind = "Gateway" | "Service" | "ServiceEntry";
type Reason = "Accepted" | "Invalid" | "AncestorNotBound" | "TargetNotFound";

/** What became of one target; `message` continues its name. */
export interface Outcome {
  readonly reason: Reason;
  readonly message: string;
}

const GATEWAY_API = "gateway.networking.k8s.io";

/** Whether a waypoint enforces what a policy says of one of its targets. */
export function targetOutcome(
  { cluster, namespace }: ObjectId,
  { group, kind, name, namespace: elsewhere }: PolicyTarget,
  rootNamespace: string,
  reads: TargetReads,
): Outcome {
  // Somebody else's namespace is not one's own to guard.
  if (elsewhere !== "" && elsewhere !== namespace)
    return invalid(`is in namespace ${elsewhere}, and a policy binds only in its own; move the policy there`);
  const key = objectKey(cluster, namespace, name);
  const missing = (kind: NamedKind): Outcome => notFound(namespace, reads.namesakes[kind].get(name));
  switch (`${group}/${kind}`) {
    case `${GATEWAY_API}/GatewayClass`:
      if (namespace !== rootNamespace)
        return invalid(`may be named only by a policy in the root namespace ${rootNamespace}`);
      return classOutcome(reads.gatewayClasses.get(objectKey(cluster, "", name)));
    case `${GATEWAY_API}/Gateway`:
      return gatewayOutcome(reads.gateways.get(key), reads) ?? missing("Gateway");
    case "/Service":
    case "core/Service":
      return (
        userOutcome(reads.services.get(key), reads) ??
        globalOutcome(cluster, namespace, name, reads) ??
        missing("Service")
      );
    case "networking.istio.io/ServiceEntry":
      return userOutcome(reads.serviceEntries.get(key), reads) ?? missing("ServiceEntry");
    default:
      return invalid("cannot be a target; name a Gateway, GatewayClass, Service or ServiceEntry with its group");
  }
}

function classOutcome(found: GatewayClass | undefined): Outcome {
  if (found === undefined) return { reason: "TargetNotFound", message: "does not exist" };
  if (found.controllerName !== WAYPOINT_CONTROLLER)
    return invalid(`is no class of waypoints; theirs have spec.controllerName ${WAYPOINT_CONTROLLER}`);
  return accepted("has it enforced by its waypoints");
}

function gatewayOutcome(found: KubeGateway | undefined, reads: TargetReads): Outcome | undefined {
  if (found === undefined) return undefined;
  const { id, className } = found;
  if (className === REMOTE_CLASS || isEastWestClass(className))
    return invalid(`is no waypoint, and passes on unopened what comes through; name a Gateway of class istio-waypoint`);
  return reads.waypoints.get(objectKey(id.cluster, id.namespace, id.name))
    ? accepted("enforces it")
    : unbound("has no address yet");
}

function userOutcome(found: KubeService | ServiceEntry | undefined, reads: TargetReads): Outcome | undefined {
  if (found === undefined) return undefined;
  return "ofGateway" in found && found.ofGateway
    ? unbound(NO_WAYPOINT)
    : chosenOutcome(found.id, found.useWaypoint, reads);
}

const NO_WAYPOINT = "has no waypoint that could enforce it; label it istio.io/use-waypoint";

function chosenOutcome({ cluster, namespace }: ObjectId, use: UseWaypoint | undefined, reads: TargetReads): Outcome {
  const chosen = chosenWaypoint({ cluster, namespace, use, kind: "service" }, reads);
  if (chosen === undefined) return unbound(NO_WAYPOINT);
  if (chosen.refused !== undefined) return unbound(`asks for waypoint ${chosen.name}, which ${chosen.refused}`);
  return accepted(`has it enforced by waypoint ${chosen.name}`);
}

/** Services of one name and namespace are one in all clusters: one that only peers have can be guarded where it is called. */
function globalOutcome(cluster: ClusterId, namespace: string, name: string, reads: TargetReads): Outcome | undefined {
  const { domain } = reads.segments.get(cluster) ?? NO_SEGMENT;
  const global = reads.hosts.get(serviceName(namespace, globalHostname(name, namespace, domain)));
  if (global === undefined || global.kind !== "global") return undefined;
  const only = `is in other clusters only, as ${global.host}`;
  if (global.waypointPolicy === "destination")
    return unbound(`${only}, and to be guarded there (waypoint-policy destination); write the policy there`);
  const chosen = chosenWaypoint({ cluster, namespace, use: undefined, kind: "service" }, reads);
  if (chosen === undefined)
    return unbound(`${only}, and namespace ${namespace} has no waypoint; label the namespace istio.io/use-waypoint`);
  if (chosen.refused !== undefined)
    return unbound(`${only}, and its namespace asks for waypoint ${chosen.name}, which ${chosen.refused}`);
  return accepted(`${only}, and has it enforced here by waypoint ${chosen.name}`);
}

const accepted = (message: string): Outcome => ({ reason: "Accepted", message });
const invalid = (message: string): Outcome => ({ reason: "Invalid", message });
const unbound = (message: string): Outcome => ({ reason: "AncestorNotBound", message });

/** The trap of guide 000: the policy is somewhere else than what it is for. */
function notFound(namespace: string, namesakes: readonly { readonly id: ObjectId }[]): Outcome {
  const homes = [...new Set(namesakes.map(({ id }) => id.namespace))].sort();
  const listed = `${homes.slice(0, 3).join(", ")}${homes.length > 3 ? " and others" : ""}`;
  const hint =
    homes.length === 0
      ? ""
      : `; there is one in namespace ${listed}, and a policy binds only in its own namespace: move the policy there`;
  return { reason: "TargetNotFound", message: `does not exist in namespace ${namespace}${hint}` };
}
