import type { ObjectKey, ServiceName } from "../../names.ts";
import { byCodeUnit, type Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import type { GlobalHost } from "../global-merge.ts";
import type { ObjectId } from "../kube/metadata.ts";
import type { Problem } from "../model/problem.ts";
import type { RegistryOptions } from "../options.ts";
import type { Segments } from "../segments.ts";
import { bypassedWaypoints, bypassMessage, type BypassInputs } from "./bypassed-waypoints.ts";
import { bindingsOf, type BoundPolicy, type Targeted } from "./policy-bindings.ts";
import type { PolicyInputs } from "./proxy-policies.ts";
import { targetOutcome, type Outcome, type TargetReads } from "./target-outcomes.ts";

/** Whether waypoints enforce a policy: all that it names, some, or none. */
export interface PolicyVerdict {
  readonly id: ObjectId;
  readonly holds: boolean;
  readonly reason: string;
  /** What became of each target, what of the policy cannot be enforced, and who does not meet it; sentences. */
  readonly message: string;
  /** Of the targets, and of who does not meet it; undefined if all is as one would think. */
  readonly concern: Pick<Problem, "message" | "severity"> | undefined;
}

export interface PolicyVerdicts {
  readonly authorization: Collection<ObjectKey, PolicyVerdict>;
  readonly authentication: Collection<ObjectKey, PolicyVerdict>;
}

export interface VerdictInputs extends BypassInputs, PolicyInputs {
  readonly hosts: Collection<ServiceName, GlobalHost>;
  readonly segments: Segments;
}

/** Of the policies of the local cluster that are for waypoints. */
export function policyVerdicts(graph: Graph, inputs: VerdictInputs, options: RegistryOptions): PolicyVerdicts {
  const { objects, waypoints, hosts, segments, authorization, authentication } = inputs;
  const { localCluster, mesh } = options;
  const { namespaces, gateways, gatewayClasses, services, serviceEntries } = objects;
  const named = <V extends { readonly id: ObjectId }>(from: Collection<ObjectKey, V>) =>
    new Index(graph, from, "name", ({ id }) => (id.cluster === localCluster ? [id.name] : []));
  const reads = {
    ...{ namespaces, waypoints, gateways, gatewayClasses, services, serviceEntries, hosts },
    segments: segments.ofCluster,
    gatewaysNamed: named(gateways),
    servicesNamed: named(services),
    entriesNamed: named(serviceEntries),
    bypassed: new Index(graph, bypassedWaypoints(graph, inputs, options), "binding", ({ bindings }) => bindings),
  };
  const verdicts = (name: string, from: Collection<ObjectKey, TargetedSource>, compiled: Compiled) =>
    derive(graph, {
      name: `${name}-verdicts`,
      from: filter(graph, `${name}-for-waypoints`, from, ({ id, targeted }) => targeted && id.cluster === localCluster),
      reads: { ...reads, compiled },
      distinct: true,
      to: (policy, reads, key) => {
        const { gatewaysNamed, servicesNamed, entriesNamed } = reads;
        const namesakes = { Gateway: gatewaysNamed, Service: servicesNamed, ServiceEntry: entriesNamed };
        const outcomes = outcomesOf(policy, mesh.rootNamespace, { ...reads, namesakes });
        const bypassed = bindingsOf(policy, mesh.rootNamespace).flatMap((each) => reads.bypassed.get(each));
        const distinct = [...new Set(bypassed)].sort((a, b) => byCodeUnit(a.name, b.name));
        return [[key, verdictOf(policy, outcomes, reads.compiled.get(key), bypassMessage(distinct))] as const];
      },
    });
  return {
    authorization: verdicts("authorization-policy", objects.authorizationPolicies, authorization),
    authentication: verdicts("request-authentication", objects.requestAuthentications, authentication),
  };
}

interface TargetedSource extends Targeted {
  readonly targeted: boolean;
  readonly dryRun?: boolean;
}

type Compiled = Collection<ObjectKey, BoundPolicy<unknown>>;

const outcomesOf = ({ id, targets }: Targeted, rootNamespace: string, reads: TargetReads): readonly Outcome[] =>
  targets.map((target) => {
    const { reason, message } = targetOutcome(id, target, rootNamespace, reads);
    return { reason, message: `${target.kind} ${target.name} ${message}.` };
  });

function verdictOf(
  { id, targetsLost, dryRun = false }: TargetedSource,
  outcomes: readonly Outcome[],
  compiled: BoundPolicy<unknown> | undefined,
  bypass: ReturnType<typeof bypassMessage>,
): PolicyVerdict {
  const bound = outcomes.filter(({ reason }) => reason === "Accepted");
  const first = outcomes.find(({ reason }) => reason !== "Accepted");
  const reached = bound.length > 0 || targetsLost;
  const findings = compiled?.problems ?? [];
  const acts = compiled?.policy !== undefined;
  const reason =
    first !== undefined ? (reached ? "PartiallyInvalid" : first.reason) : acts ? doubtOf(findings) : "UnsupportedValue";
  const where = outcomes.map(({ message }) => message).join(" ");
  const notMet = reached && acts && !dryRun ? bypass : undefined;
  const trial = reached && acts && dryRun ? [DRY_RUN] : [];
  return {
    id,
    holds: reached && acts,
    reason,
    message: [where, ...findings.map(({ message }) => message), ...trial, ...(notMet ? [notMet.text] : [])]
      .filter((text) => text !== "")
      .join(" "),
    concern:
      first !== undefined
        ? { message: `${where} ${reached ? "Elsewhere it is enforced." : "Nobody enforces it."}`, severity: "warning" }
        : notMet && { message: notMet.text, severity: notMet.certain ? "warning" : "info" },
  };
}

const DRY_RUN =
  "It is only tried (metadata.annotations[istio.io/dry-run]): what it would deny passes, and the access log says so.";

function doubtOf(findings: readonly Problem[]): string {
  if (findings.some(({ severity }) => severity === "error")) return "PartiallyInvalid";
  return findings.length > 0 ? "UnsupportedValue" : "Accepted";
}
