import { nearestName } from "../nearest-name.ts";
import { callerView, type CallerQuestion } from "./caller.ts";
import { contributionsTo, reachableIn } from "./contributions.ts";
import type { CallerView, Contribution, Explanation, ExplainFacts } from "./explanation.ts";
import { pathsTo, waypointView } from "./layers.ts";
import { nameView } from "./name-view.ts";
import { policiesFor } from "./policies.ts";
import { questionOf, type Question } from "./question.ts";
import { sharingOf } from "./sharing.ts";
import { warningsOf } from "./warnings.ts";

export interface Asked extends CallerQuestion {
  /** A host, with `:port` if that matters. */
  readonly host: string;
}

/**
 * The decision chain of a name as this cluster's ztunnels have it, and what peers are told of it (contract peering.md 6.1).
 * Nothing but `facts` is read. @throws MeshError `invalid` or `absent` if there is no such question.
 */
export function explain(asked: Asked, facts: ExplainFacts): Explanation {
  const { registry } = facts;
  const question = questionOf(asked.host, registry);
  const contributions = contributionsTo(question, facts);
  const waypoint = waypointView(question, facts);
  const caller = callerView(asked, question, waypoint, facts);
  const sharing = sharingOf(question, facts);
  const reachable = reachableIn(contributions);
  const name = nameView(question, facts);
  const policies = policiesFor(question, waypoint, facts);
  return {
    cluster: registry.globalCandidates.inputs.options.localCluster,
    asked: asked.host,
    name,
    contributions,
    waypoint,
    paths: pathsTo(question, contributions, waypoint, facts),
    policies,
    caller,
    sharing,
    warnings: warningsOf(question, { contributions, waypoint, policies, sharing }, facts),
    reachable,
    answer: answerOf(
      question,
      contributions,
      caller,
      name.kind === "unknown" ? nearestHost(question, facts) : undefined,
    ),
  };
}

function answerOf(
  { host }: Question,
  contributions: readonly Contribution[],
  caller: CallerView | undefined,
  /** Set if nobody knows the name; empty if none is like it. */
  nearest: string | undefined,
): string {
  const ends = contributions.filter(({ cause, healthy }) => cause === undefined && healthy > 0);
  const denied = caller?.verdicts.filter(({ allowed }) => !allowed).length ?? 0;
  const refused =
    denied === 0
      ? ""
      : `; policies here deny ${caller!.caller} at ${denied} of ${caller!.verdicts.length} ports of endpoints`;
  if (ends.length > 0)
    return `${host} leads to ${ends.map(({ cluster, healthy }) => `${healthy} ${healthy === 1 ? "endpoint" : "endpoints"} in ${cluster}`).join(", ")}${refused}.`;
  const open = contributions.find(({ cause }) => cause === undefined);
  if (open !== undefined) return `${host} leads to ${open.through.join(", ")}.`;
  const looked = contributions.map(({ cluster, cause }) => `${cluster}: ${cause?.reason ?? "no endpoints"}`).join("; ");
  const meant = nearest ? ` Was ${nearest} meant?` : "";
  return nearest !== undefined
    ? `Nobody here knows ${host} (${looked}).${meant}`
    : `${host} is known, and leads to no endpoint (${looked}).`;
}

/** The host that ztunnels here know and that is most like the one that was asked for: half of it right, as all would take long. */
function nearestHost({ host, name, namespace }: Question, { registry }: ExplainFacts): string {
  const hosts = new Set<string>();
  for (const [, { hostname }] of registry.services.entries()) {
    const [first, second] = hostname.split(".", 2);
    if (first === name || second === namespace) hosts.add(hostname);
  }
  return nearestName(host, hosts) ?? "";
}
