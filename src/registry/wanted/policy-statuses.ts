import { AUTHORIZATION_POLICIES, REQUEST_AUTHENTICATIONS } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import type { CompiledPolicy } from "../authorization-policies.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import type { PolicyVerdict } from "../gateways/policy-verdicts.ts";
import { WITHOUT_TARGET } from "../gateways/token-policies.ts";
import { WAYPOINT_ACCEPTED, ZTUNNEL_ACCEPTED } from "../kube/object-status.ts";
import type { Policy } from "../model/policy.ts";
import type { StatusInputs } from "./status-inputs.ts";
import { wantedStatus, type Verdict } from "./wanted-status.ts";

/** Whether each AuthorizationPolicy is in force, and what of it is not (contract ztunnel.md 5.7). */
export function policyStatuses(graph: Graph, inputs: StatusInputs): Collection<string, WantedObject> {
  const { objects, policies, attachments, verdicts, localCluster } = inputs;
  return derive(graph, {
    name: "policy-statuses",
    from: objects.authorizationPolicies,
    reads: {
      policies,
      bound: new Index(graph, attachments, "policy", ({ policies }) => policies.filter(isObjectsName)),
      verdicts: verdicts.authorization,
    },
    distinct: true,
    to: ({ id, status, targeted }, reads, key) => {
      if (status === undefined || id.cluster !== localCluster) return [];
      const compiled = reads.policies.get(key);
      const verdict = targeted
        ? waypointVerdict(reads.verdicts.get(key))
        : compiled && ztunnelVerdict(compiled, (name) => reads.bound.get(name).length > 0);
      const target = { type: AUTHORIZATION_POLICIES, id, status };
      const wanted = wantedStatus(target, verdict ? [verdict] : []);
      return wanted ? [[`AuthorizationPolicy ${id.namespace}/${id.name}`, wanted] as const] : [];
    },
  });
}

/** Whether waypoints check the tokens that each RequestAuthentication is about. */
export function tokenPolicyStatuses(graph: Graph, inputs: StatusInputs): Collection<string, WantedObject> {
  const { objects, verdicts, localCluster } = inputs;
  return derive(graph, {
    name: "token-policy-statuses",
    from: objects.requestAuthentications,
    reads: { verdicts: verdicts.authentication },
    distinct: true,
    to: ({ id, status, targeted }, reads, key) => {
      if (status === undefined || id.cluster !== localCluster) return [];
      const verdict = targeted ? waypointVerdict(reads.verdicts.get(key)) : NOWHERE;
      const wanted = wantedStatus({ type: REQUEST_AUTHENTICATIONS, id, status }, verdict ? [verdict] : []);
      return wanted ? [[`RequestAuthentication ${id.namespace}/${id.name}`, wanted] as const] : [];
    },
  });
}

const NOWHERE: Verdict = {
  type: WAYPOINT_ACCEPTED,
  holds: false,
  reason: "Invalid",
  message: `spec.targetRefs ${WITHOUT_TARGET}.`,
};

const waypointVerdict = (found: PolicyVerdict | undefined): Verdict | undefined =>
  found && { type: WAYPOINT_ACCEPTED, holds: found.holds, reason: found.reason, message: found.message };

/** What PeerAuthentications were made into is named as no object can be; in a strict mesh every workload lists it. */
const isObjectsName = (name: string): boolean => !name.includes("_");

function ztunnelVerdict({ policy, problems }: CompiledPolicy, binds: (name: string) => boolean): Verdict {
  const found = problems.map(({ message }) => message);
  if (policy === undefined)
    return {
      type: ZTUNNEL_ACCEPTED,
      holds: false,
      reason: "UnsupportedValue",
      message: found.length > 0 ? found.join(" ") : DRY_RUN,
    };
  const invalid = problems.some(({ severity }) => severity === "error");
  const reason = invalid ? "PartiallyInvalid" : found.length > 0 ? "UnsupportedValue" : "Accepted";
  return { type: ZTUNNEL_ACCEPTED, holds: true, reason, message: [scopeOf(policy, binds), ...found].join(" ") };
}

const DRY_RUN =
  "metadata.annotations[istio.io/dry-run] asks only to try the policy, which ztunnels are not told to do; it has no effect.";

/** No numbers: they would be written anew with every pod that comes or goes. */
function scopeOf({ scope, namespace, key }: Policy, binds: (name: string) => boolean): string {
  if (scope === "global") return "Attached to ztunnel for the whole mesh.";
  if (scope === "namespace") return `Attached to ztunnel for namespace ${namespace}.`;
  return binds(key)
    ? "Attached to ztunnel for the workloads that it selects."
    : "Attached to ztunnel, but spec.selector selects no workload now.";
}
