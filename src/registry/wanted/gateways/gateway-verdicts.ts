import type { FoundAddress } from "../../kube/gateway-deployment.ts";
import { objectKey, type ObjectKey } from "../../../names.ts";
import type { ServiceAccount } from "../../kube/service-account.ts";
import type { Verdict } from "../wanted-status.ts";
import type { FoundPart } from "./found-part.ts";
import { partKey, type PartTrouble } from "./gateway-inputs.ts";
import type { GatewayPlan, RefusedPlan } from "./gateway-plan.ts";
import { isConflict, type ListenerVerdict } from "./listener-verdicts.ts";
import { whyNotOurs } from "./wanted-parts.ts";

/** What is known of what a Gateway has. */
export interface PlanReads {
  readonly parts: { get(key: string): FoundPart | undefined };
  readonly troubles: { get(key: string): PartTrouble | undefined };
  readonly accounts: { get(key: ObjectKey): ServiceAccount | undefined };
}

type Answer = Pick<Verdict, "holds" | "reason" | "message">;
const yes = (reason: string, message: string): Answer => ({ holds: true, reason, message });
const no = (reason: string, message: string): Answer => ({ holds: false, reason, message });

/** Whether what a Gateway says can be done, and whether it is (Gateway API's Accepted and Programmed). */
export function gatewayVerdicts(plan: GatewayPlan | RefusedPlan, addresses: readonly FoundAddress[], reads: PlanReads) {
  const answers = { Accepted: accepted(plan), Programmed: programmed(plan, addresses, reads) };
  return Object.entries(answers).map(([type, answer]): Verdict => ({ type, ...answer }));
}

function accepted(plan: GatewayPlan | RefusedPlan): Answer {
  if ("refused" in plan) return no(plan.refused.reason, `${plan.refused.message} What was deployed stays as it is.`);
  const refused = plan.listeners.filter((listener) => listener.refused !== undefined).map(({ name }) => name);
  if (refused.length === 0) return yes("Accepted", "It is deployed as it says.");
  return yes("ListenersNotValid", `Of its listeners these are not served: ${refused.join(", ")}; each says why.`);
}

function programmed(plan: GatewayPlan | RefusedPlan, addresses: readonly FoundAddress[], reads: PlanReads): Answer {
  if ("refused" in plan) return no("Invalid", "It is not accepted, so nothing of it is changed.");
  const { namespace, name } = plan.gateway.id;
  const trouble = troubleOf(plan, reads);
  if (trouble !== undefined) return trouble;
  const service = reads.parts.get(partKey("Service", namespace, name));
  const deployment = reads.parts.get(partKey("Deployment", namespace, name));
  if (service !== undefined && addresses.length === 0)
    return no("AddressNotAssigned", pendingAddress(plan, service.state.serviceType));
  // One sentence for all of its making, so that it is written once.
  if (service === undefined || deployment === undefined || deployment.state.available === 0)
    return no(
      "Pending",
      `No replica of Deployment ${namespace}/${name} is ready; see kubectl -n ${namespace} describe pods -l gateway.networking.k8s.io/gateway-name=${name}.`,
    );
  return yes("Programmed", `It takes traffic at ${addresses.map(({ value }) => value).join(", ")}.`);
}

function pendingAddress({ gateway: { id } }: GatewayPlan, serviceType: string): string {
  const service = `Service ${id.namespace}/${id.name}`;
  if (serviceType !== "LoadBalancer") return `${service} has no address yet.`;
  return (
    `${service} is of type LoadBalancer, and nothing has given it an address; see kubectl -n ${id.namespace} describe service ${id.name}, ` +
    "or annotate the Gateway networking.istio.io/service-type: NodePort where there is no load balancer."
  );
}

/** The first thing that keeps a part from being as it is wanted. */
function troubleOf(plan: GatewayPlan, { parts, troubles, accounts }: PlanReads): Answer | undefined {
  const { gateway, serviceAccount, makesAccount } = plan;
  const { cluster, namespace, name } = gateway.id;
  if (!makesAccount && accounts.get(objectKey(cluster, namespace, serviceAccount)) === undefined)
    return no(
      "NoResources",
      `ServiceAccount ${namespace}/${serviceAccount}, which the annotation gateway.istio.io/service-account names, does not exist; make it, or remove the annotation.`,
    );
  const named = [["ServiceAccount", serviceAccount] as const].filter(() => makesAccount);
  const kinds = ["Service", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"];
  for (const [kind, title] of [...named, ...kinds.map((kind) => [kind, name] as const)]) {
    const key = partKey(kind, namespace, title);
    const found = parts.get(key);
    const why = found && whyNotOurs(found, gateway.uid, kind);
    if (why !== undefined) return no("NoResources", `${key} ${why}. Delete or rename it, or rename the Gateway.`);
    const trouble = troubles.get(key);
    if (trouble !== undefined) return no("NoResources", sentenceOf(key, trouble));
  }
  return undefined;
}

function sentenceOf(key: string, { kind, message }: PartTrouble): string {
  if (kind === "foreign")
    return `${key} is somebody else's: no ownerReference of it is this Gateway. Delete or rename it, or rename the Gateway.`;
  const fix = kind === "denied" ? "grant what deploy/rbac/gateways.yaml does" : "correct what asks for it";
  return `The API server does not take ${key}; ${fix}. It says: ${message}`;
}

/** What each listener says; conditions in the order of their types. */
export function listenerConditions(
  { name, refused }: ListenerVerdict,
  plan: GatewayPlan | RefusedPlan,
  gateway: readonly Verdict[],
): readonly Verdict[] {
  const conflict = refused !== undefined && isConflict(refused.reason);
  const whole = gateway.find(({ type }) => type === "Programmed")!;
  const answers: Readonly<Record<string, Answer>> = {
    Accepted: refused ? no(refused.reason, refused.message) : yes("Accepted", `Listener ${name} is served.`),
    Conflicted: conflict
      ? yes(refused.reason, refused.message)
      : no("NoConflicts", "No other listener contradicts it."),
    Programmed: refused
      ? no("Invalid", refused.message)
      : whole.holds === true
        ? yes("Programmed", "Envoy takes connections there.")
        : no("refused" in plan ? "Invalid" : "Pending", whole.message),
    ResolvedRefs: yes("ResolvedRefs", "It refers to nothing: its certificate is the mesh's own."),
  };
  return Object.entries(answers).map(([type, answer]) => ({ type, ...answer }));
}
