import { objectKey, type ObjectKey } from "../../names.ts";
import type { AuthorizationPolicy, PolicyTarget } from "../kube/authorization-policy.ts";
import type { KubeGateway } from "../kube/gateway.ts";
import type { GatewayClass } from "../kube/namespace.ts";
import { WAYPOINT_ACCEPTED } from "../kube/object-status.ts";
import type { ServiceEntry } from "../kube/service-entry.ts";
import type { KubeService } from "../kube/service.ts";
import { chosenWaypoint, type WaypointReads } from "../waypoints.ts";
import type { Verdict } from "./wanted-status.ts";

export interface TargetReads extends WaypointReads {
  readonly gateways: { get(key: ObjectKey): KubeGateway | undefined };
  readonly gatewayClasses: { get(key: ObjectKey): GatewayClass | undefined };
  readonly services: { get(key: ObjectKey): KubeService | undefined };
  readonly serviceEntries: { get(key: ObjectKey): ServiceEntry | undefined };
}

type Reason = "Accepted" | "Invalid" | "AncestorNotBound" | "TargetNotFound";

/** What became of one target; `message` continues its name. */
interface Outcome {
  readonly reason: Reason;
  readonly message: string;
}

/** Whether waypoints enforce a policy with targetRefs: all that it names, some, or none. */
export function waypointVerdict(policy: AuthorizationPolicy, rootNamespace: string, reads: TargetReads): Verdict {
  const outcomes = policy.targets.map((target) => outcomeOf(policy, target, rootNamespace, reads));
  const bound = outcomes.filter(({ reason }) => reason === "Accepted");
  const first = outcomes.find(({ reason }) => reason !== "Accepted");
  return {
    type: WAYPOINT_ACCEPTED,
    holds: bound.length > 0,
    reason: first === undefined ? "Accepted" : bound.length > 0 ? "PartiallyInvalid" : first.reason,
    message: outcomes
      .map(({ message }, at) => `${policy.targets[at]!.kind} ${policy.targets[at]!.name} ${message}.`)
      .join(" "),
  };
}

const GATEWAY_API = "gateway.networking.k8s.io";
const WAYPOINT_CONTROLLER = "istio.io/mesh-controller";

function outcomeOf(
  { id: { cluster, namespace } }: AuthorizationPolicy,
  { group, kind, name, namespace: elsewhere }: PolicyTarget,
  rootNamespace: string,
  reads: TargetReads,
): Outcome {
  // Somebody else's namespace is not one's own to guard.
  if (elsewhere !== "" && elsewhere !== namespace)
    return invalid(`is in namespace ${elsewhere}, and a policy binds only in its own; move the policy there`);
  const key = objectKey(cluster, namespace, name);
  switch (`${group}/${kind}`) {
    case `${GATEWAY_API}/GatewayClass`:
      if (namespace !== rootNamespace)
        return invalid(`may be named only by a policy in the root namespace ${rootNamespace}`);
      return classOutcome(reads.gatewayClasses.get(objectKey(cluster, "", name)));
    case `${GATEWAY_API}/Gateway`:
      if (reads.waypoints.get(key)) return accepted("enforces it");
      return reads.gateways.get(key) ? unbound("has no address yet") : missing(namespace);
    case "/Service":
    case "core/Service":
      return userOutcome(reads.services.get(key), namespace, reads);
    case "networking.istio.io/ServiceEntry":
      return userOutcome(reads.serviceEntries.get(key), namespace, reads);
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

function userOutcome(found: KubeService | ServiceEntry | undefined, namespace: string, reads: TargetReads): Outcome {
  if (found === undefined) return missing(namespace);
  const user = { cluster: found.id.cluster, namespace, use: found.useWaypoint, kind: "service" } as const;
  const chosen = "ofGateway" in found && found.ofGateway ? undefined : chosenWaypoint(user, reads);
  if (chosen === undefined) return unbound("has no waypoint that could enforce it; label it istio.io/use-waypoint");
  if (chosen.refused !== undefined) return unbound(`asks for waypoint ${chosen.name}, which ${chosen.refused}`);
  return accepted(`has it enforced by waypoint ${chosen.name}`);
}

const accepted = (message: string): Outcome => ({ reason: "Accepted", message });
const invalid = (message: string): Outcome => ({ reason: "Invalid", message });
const unbound = (message: string): Outcome => ({ reason: "AncestorNotBound", message });
const missing = (namespace: string): Outcome => ({
  reason: "TargetNotFound",
  message: `does not exist in namespace ${namespace}`,
});
