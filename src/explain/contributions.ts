import { sharesOf } from "../registry/aggregate-workloads.ts";
import { usableWays } from "../registry/coalesced-workloads.ts";
import { recordKey, type Candidate } from "../registry/global-candidate.ts";
import { hostText, type NetworkGateway } from "../registry/network-gateways.ts";
import { isFlat } from "../registry/peer-standings.ts";
import { causeOf, publishesNotReady } from "./causes.ts";
import type { Cause, Contribution, ExplainFacts } from "./explanation.ts";
import { edited } from "./mending.ts";
import { withoutGateway } from "./gateway-place.ts";
import type { Question } from "./question.ts";

/** Every cluster that there is, and what it adds to the name; the local one first. */
export function contributionsTo(question: Question, facts: ExplainFacts): readonly Contribution[] {
  if (question.isOther) return [ofEntry(question, facts)];
  const candidates = facts.registry.globalCandidates.of(question.host, question.port);
  const known = new Set(candidates.map(({ cluster }): string => cluster));
  const unread = [...new Set(facts.readers.map(({ cluster }) => cluster))].filter((cluster) => !known.has(cluster));
  return [
    ...candidates.map((candidate) => contributionOf(candidate, question, facts)),
    ...unread.sort().map((cluster) => unheard(cluster, facts)),
  ];
}

function contributionOf(candidate: Candidate, question: Question, facts: ExplainFacts): Contribution {
  const { cluster, via, endpoints } = candidate;
  const healthy = publishesNotReady(candidate, question, facts) ? endpoints : candidate.healthy;
  const cause = causeOf(candidate, question, facts);
  return {
    ...{ cluster, via, endpoints, healthy, cause },
    through: cause === undefined ? waysTo(candidate, question, facts).map(wayText) : [],
    link: via === "peer" ? (facts.registry.peers.statuses.get(cluster)?.state ?? "none") : "",
    ageMs: via === "peer" ? (facts.peers.find((peer) => peer.cluster === cluster)?.ageMs ?? 0) : 0,
  };
}

/** A name that a ServiceEntry of this cluster has, and that clusters do not share. */
function ofEntry({ key, host }: Question, facts: ExplainFacts): Contribution {
  const { registry } = facts;
  const { owners, options } = registry.globalCandidates.inputs;
  const own = registry.workloadsByService.get(key);
  const healthy = own.filter((workload) => workload.healthy).length;
  const cluster = options.localCluster;
  const service = registry.services.get(key);
  const [kind = "", , namespace = "", name = ""] = (owners.get(key) ?? "").split(/[ /]/);
  const passes = service?.loadBalancing?.mode === "passthrough";
  const cause: Cause = {
    reason: "no ready pods",
    message: `${kind} ${namespace}/${name} has ${own.length} endpoints for ${host}, and none is ready.`,
    ...{ object: `${kind} ${namespace}/${name}`, cluster, field: "spec.endpoints" },
    fix: `give it endpoints, or a workloadSelector that selects pods which become ready: ${edited({ cluster, kind, namespace, name }, facts)}`,
  };
  return {
    ...{ cluster, via: "local", endpoints: own.length, healthy, link: "", ageMs: 0 },
    through: passes ? ["the address that the caller has"] : [],
    cause: healthy > 0 || passes ? undefined : cause,
  };
}

/** A peer that reads us, and that we do not read: a link has one direction (contract peering.md 2.1). */
function unheard(cluster: string, { registry }: ExplainFacts): Contribution {
  const { localCluster } = registry.globalCandidates.inputs.options;
  const cause: Cause = {
    reason: "no link",
    message: `Cluster ${cluster} reads what we share, and no Gateway here leads to it, so we do not hear what it shares.`,
    ...withoutGateway(cluster, localCluster),
  };
  return { cluster, via: "peer", endpoints: 0, healthy: 0, through: [], cause, link: "none", ageMs: 0 };
}

/** The gateways by which its endpoints are reached; none if they are on our own network. */
export function waysTo(
  { cluster, via }: Candidate,
  question: Question,
  facts: ExplainFacts,
): readonly NetworkGateway[] {
  const { paths, peers, options } = facts.registry.globalCandidates.inputs;
  const network = paths.networks.get(cluster);
  if (via !== "peer")
    return network === paths.networks.get(options.localCluster)
      ? []
      : usableWays(network === undefined ? [] : (paths.gateways.get(network) ?? []));
  const standing = paths.standings.get(cluster);
  const record = peers.federated.get(recordKey(cluster, question));
  if (standing === undefined || record === undefined || isFlat(standing, options)) return [];
  return sharesOf(record, standing, paths.gateways.get(standing.network) ?? []).map(({ way }) => way);
}

const wayText = ({ host, hbonePort, network }: NetworkGateway): string =>
  `east-west gateway ${hostText(host)} port ${hbonePort} of network ${network || '""'}`;

/** How many endpoints calls to the name end at. */
export const reachableIn = (contributions: readonly Contribution[]): number =>
  contributions.reduce((sum, { cause, healthy }) => sum + (cause === undefined ? healthy : 0), 0);
