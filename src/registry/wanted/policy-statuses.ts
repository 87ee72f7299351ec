import { AUTHORIZATION_POLICIES } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import type { CompiledPolicy } from "../authorization-policies.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import type { AuthorizationPolicy } from "../kube/authorization-policy.ts";
import { ZTUNNEL_ACCEPTED } from "../kube/object-status.ts";
import type { Policy } from "../model/policy.ts";
import type { StatusInputs } from "./status-inputs.ts";
import { waypointVerdict } from "./waypoint-policies.ts";
import { wantedStatus, type Verdict } from "./wanted-status.ts";

/** Whether each AuthorizationPolicy is in force, and what of it is not (contract ztunnel.md 5.7). */
export function policyStatuses(graph: Graph, inputs: StatusInputs): Collection<string, WantedObject> {
  const { objects, policies, attachments, localCluster, mesh } = inputs;
  return derive(graph, {
    name: "policy-statuses",
    from: objects.authorizationPolicies,
    reads: {
      policies,
      bound: new Index(graph, attachments, "policy", ({ policies }) => policies.filter(isObjectsName)),
      waypoints: inputs.waypoints,
      namespaces: objects.namespaces,
      gateways: objects.gateways,
      gatewayClasses: objects.gatewayClasses,
      services: objects.services,
      serviceEntries: objects.serviceEntries,
    },
    distinct: true,
    to: (policy, reads, key) => {
      const { id, status, targets } = policy;
      if (status === undefined || id.cluster !== localCluster) return [];
      const compiled = reads.policies.get(key);
      const verdict =
        targets.length > 0
          ? waypointVerdict(policy, mesh.rootNamespace, reads)
          : compiled && ztunnelVerdict(policy, compiled, (name) => reads.bound.get(name).length > 0);
      const target = { type: AUTHORIZATION_POLICIES, id, status };
      const wanted = wantedStatus(target, verdict ? [verdict] : []);
      return wanted ? [[`AuthorizationPolicy ${id.namespace}/${id.name}`, wanted] as const] : [];
    },
  });
}

/** What PeerAuthentications were made into is named as no object can be; in a strict mesh every workload lists it. */
const isObjectsName = (name: string): boolean => !name.includes("_");

function ztunnelVerdict(
  source: AuthorizationPolicy,
  { policy, problems }: CompiledPolicy,
  binds: (name: string) => boolean,
): Verdict | undefined {
  // It is for a waypoint, although nobody can read for which.
  if (source.targeted) return undefined;
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
