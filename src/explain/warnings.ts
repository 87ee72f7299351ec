import { clusterId, objectKey } from "../names.ts";
import { hostText } from "../registry/network-gateways.ts";
import type { Cause, Contribution, ExplainFacts, PolicyView, SharingView, WaypointView } from "./explanation.ts";
import { drainWarnings } from "./drain-causes.ts";
import { atGateway } from "./gateway-place.ts";
import { annotated, labelledService, shown } from "./mending.ts";
import { remedyOfGateway } from "./link-causes.ts";
import type { Question } from "./question.ts";

export interface Findings {
  readonly contributions: readonly Contribution[];
  readonly waypoint: WaypointView;
  readonly policies: readonly PolicyView[];
  readonly sharing: SharingView;
}

/** What is not the reason for zero endpoints, and what somebody will wonder about all the same. */
export function warningsOf(question: Question, found: Findings, facts: ExplainFacts): readonly Cause[] {
  const gaps = policyGaps(question, found, facts);
  return [
    ...localName(question, found, facts),
    ...closedDoors(found.contributions, facts),
    ...drainWarnings(question, found.contributions, facts),
    ...namelessGateways(facts),
    ...waypointRefused(question, found.waypoint, facts),
    ...policiesElsewhere(found, facts),
    ...gaps,
    ...problemsOf(question, gaps, facts),
  ];
}

/** The usual mistake: the cluster's own name (contract peering.md 1.1, A16). */
function localName(
  { isLocal, namespace, name, host, key }: Question,
  { contributions }: Findings,
  facts: ExplainFacts,
): readonly Cause[] {
  const { offers, options } = facts.registry.globalCandidates.inputs;
  if (!isLocal || offers.hosts.get(key) !== undefined) return [];
  const global = Array.from(offers.hosts.entries(), ([, each]) => each).find(
    (each) => each.namespace === namespace && each.name === name && each.kind === "global",
  );
  if (global === undefined || !contributions.some(({ cluster }) => cluster !== options.localCluster)) return [];
  return [
    {
      reason: "local name",
      message: `No endpoint of another cluster can be reached through ${host}: that is the name of cluster ${options.localCluster}'s own endpoints.`,
      object: `Service ${namespace}/${name}`,
      cluster: options.localCluster,
      field: "metadata.labels[solo.io/service-takeover]",
      fix: `call ${global.host}; or have all callers of this cluster sent to all clusters: ${labelledService(options.localCluster, { namespace, name }, ["solo.io/service-takeover", "true"], facts)}`,
    },
  ];
}

/** The control plane answers and the way in for traffic does not: calls time out (contract peering.md 7.1, X7). */
function closedDoors(contributions: readonly Contribution[], facts: ExplainFacts): readonly Cause[] {
  return contributions.flatMap(({ cluster, via, through, cause }) =>
    via !== "peer" ||
    cause !== undefined ||
    facts.registry.peers.statuses.get(clusterId(cluster))?.dataPlane !== "closed"
      ? []
      : [
          {
            reason: "door closed",
            message: `Cluster ${cluster}'s control plane answers, and its way in for traffic takes no connections from here: ${through.join(", ")}; calls to it time out.`,
            ...atGateway(cluster, facts, ({ hosts, hbonePort = 15_008 }) => ({
              field: "spec.addresses",
              fix: `have port ${hbonePort} of ${hosts.map(hostText).join(", ")} answer from this cluster: the east-west gateway's pods, its Service, firewalls between`,
            })),
          },
        ],
  );
}

/** Gateways that are meant to be links, and of which nobody can tell to whom. */
function namelessGateways(facts: ExplainFacts): readonly Cause[] {
  const { registry } = facts;
  const { localCluster } = registry.globalCandidates.inputs.options;
  return Array.from(registry.peerGateways.entries(), ([, gateway]) => gateway).flatMap((gateway) =>
    gateway.cluster !== undefined || gateway.refused === undefined
      ? []
      : [
          {
            reason: "no link",
            message: `Gateway ${gateway.namespace}/${gateway.name} ${gateway.refused.message}.`,
            ...{ object: `Gateway ${gateway.namespace}/${gateway.name}`, cluster: localCluster },
            ...remedyOfGateway(gateway, localCluster, facts),
          },
        ],
  );
}

function waypointRefused(
  { namespace, name }: Question,
  { refused }: WaypointView,
  facts: ExplainFacts,
): readonly Cause[] {
  if (refused === "") return [];
  const { localCluster } = facts.registry.globalCandidates.inputs.options;
  const [waypoint = ""] = refused.split(" ");
  const [home = "", gateway = ""] = waypoint.split("/");
  return [
    {
      reason: "no waypoint",
      message: `Service ${namespace}/${name} asks for a waypoint that does not take its traffic, so nobody enforces L7 here: ${refused}.`,
      ...{ object: `Gateway ${waypoint}`, cluster: localCluster, field: "" },
      fix: shown({ cluster: localCluster, kind: "Gateway", namespace: home, name: gateway }, facts),
    },
  ];
}

/** Our waypoint comes first, so that policies of the destination's do not fire (contract peering.md 1.1, A17). */
function policiesElsewhere({ waypoint }: Findings, { registry }: ExplainFacts): readonly Cause[] {
  const { localCluster } = registry.globalCandidates.inputs.options;
  if (waypoint.here === "" || (waypoint.policy !== "once" && waypoint.policy !== "source")) return [];
  return waypoint.there.map(({ cluster, waypoint: theirs }) => ({
    reason: "policy not met",
    message: `Calls from this cluster pass its own waypoint ${waypoint.here}, so L7 policies of waypoint ${theirs} of cluster ${cluster} do not fire for them.`,
    ...{ object: `Gateway ${waypoint.here}`, cluster: localCluster, field: "" },
    fix: `write the same policies in cluster ${localCluster}; or have the destination enforce: the annotation peering.causeway.dev/waypoint-policy: destination on the Service in cluster ${cluster}`,
  }));
}

/** Policies of our waypoint that callers of other clusters do not meet (contract peering.md 6, row 11). */
function policyGaps(
  question: Question,
  { waypoint, policies, sharing }: Findings,
  facts: ExplainFacts,
): readonly Cause[] {
  const { localCluster } = facts.registry.globalCandidates.inputs.options;
  if (sharing.hosts.length === 0 || (waypoint.policy !== "once" && waypoint.policy !== "source")) return [];
  const bypassing =
    waypoint.policy === "source"
      ? "Callers of other clusters do not pass it (source)"
      : waypoint.there.length > 0
        ? `Callers of ${waypoint.there.map(({ cluster, waypoint: theirs }) => `cluster ${cluster} pass their own ${theirs}`).join(", of ")} instead (once)`
        : "";
  if (bypassing === "") return [];
  const { namespace, name } = question;
  const service = { cluster: localCluster, kind: "Service", namespace, name };
  const enforce = annotated(service, "peering.causeway.dev/waypoint-policy", "destination", facts);
  const enforced = policies.filter(({ at, does }) => at === `waypoint ${waypoint.here}` && does !== "is tried");
  return enforced.map(({ object }) => ({
    reason: "policy gap",
    message: `${object} is enforced by waypoint ${waypoint.here} of this cluster. ${bypassing}, so it does not hold for them.`,
    object,
    cluster: localCluster,
    field: "spec.targetRefs",
    fix: `write it there, too; or have this cluster enforce: ${enforce}; what is about identities alone belongs into a policy without targetRefs, which every ztunnel enforces`,
  }));
}

/** What is known to be wrong with the objects that matter here. */
function problemsOf(
  { namespace, name }: Question,
  gaps: readonly Cause[],
  { registry, problems }: ExplainFacts,
): readonly Cause[] {
  const { localCluster } = registry.globalCandidates.inputs.options;
  const gateways = Array.from(registry.peerGateways.entries(), ([, gateway]) => gateway);
  const peers = gateways.flatMap(({ cluster }) => cluster ?? []);
  const concerned = new Set([
    `Service ${namespace}/${name}`,
    `Namespace ${namespace}`,
    ...peers.flatMap((peer) => [`Service ${objectKey(peer, namespace, name)}`, `Peer ${peer}`]),
  ]);
  const isPolicy = (object: string): boolean =>
    [`AuthorizationPolicy ${namespace}/`, `RequestAuthentication ${namespace}/`].some((begin) =>
      object.startsWith(begin),
    );
  const isSaid = (problem: { readonly object: string; readonly field: string }): boolean =>
    gaps.some(({ object, field }) => object === problem.object && field === problem.field);
  return problems
    .filter(
      (problem) =>
        problem.severity !== "info" && !isSaid(problem) && (concerned.has(problem.object) || isPolicy(problem.object)),
    )
    .map(({ object, field, message, origin }) => ({
      ...{ reason: "problem", message, object, cluster: localCluster, field },
      fix: origin === "" ? "as the message says" : `as the message says, in ${origin}`,
    }));
}
