import type { EpochMs } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { sharesOf } from "./aggregate-workloads.ts";
import { timeOfDrain } from "./drains.ts";
import { segmentsFor, whyExcluded, type FederatedExclusion } from "./federated-members.ts";
import {
  excluded,
  recordKey,
  type Candidate,
  type CandidateInputs,
  type CandidateQuestion,
  type Exclusion,
} from "./global-candidate.ts";
import { isMembersName, type GlobalMember } from "./global-members.ts";
import type { FederatedService } from "./model/federated-service.ts";
import type { PeerStatus } from "./model/peer.ts";
import { isFlat, type PeerStanding } from "./peer-standings.ts";

/** What a peer adds to a name. */
export function peerCandidate(question: CandidateQuestion, cluster: ClusterId, inputs: CandidateInputs): Candidate {
  const record = inputs.peers.federated.get(recordKey(cluster, question));
  const standing = inputs.paths.standings.get(cluster);
  const flat = standing !== undefined && isFlat(standing, inputs.options);
  const pods = flat
    ? inputs.workloadsByService.get(question.key).filter((workload) => workload.cluster === cluster)
    : [];
  return {
    host: question.host,
    cluster,
    via: "peer",
    endpoints: flat ? pods.length : (record?.total ?? 0),
    healthy: flat ? pods.filter(({ healthy }) => healthy).length : (record?.ready ?? 0),
    excluded:
      standing === undefined
        ? withoutLink(cluster, inputs)
        : record === undefined
          ? withoutRecord(question, standing, inputs)
          : withRecord(question, record, standing, pods.length, inputs),
  };
}

function drained(
  question: CandidateQuestion,
  { cluster, gateway, drainedUntilMs }: PeerStanding,
  { drains, peerGateways }: CandidateInputs,
): Exclusion | undefined {
  if (drainedUntilMs === undefined || drains.spared.get(recordKey(cluster, question)) === true) return undefined;
  const { namespace, name } = peerGateways.get(gateway)!;
  return excluded(
    "drained",
    `Cluster ${cluster} is drained here until ${timeOfDrain(drainedUntilMs)}, so it gets no new calls; Gateway ${namespace}/${name} says so.`,
  );
}

function withoutLink(cluster: ClusterId, { peerGateways, options }: CandidateInputs): Exclusion {
  if (!options.peeringDiscovery)
    return excluded("no link", "Peering is turned off here; set ENABLE_PEERING_DISCOVERY to true.");
  const refused = Array.from(peerGateways.entries(), ([, gateway]) => gateway).find(
    (gateway) => gateway.cluster === cluster && gateway.refused !== undefined,
  );
  if (refused === undefined) return excluded("no link", `No Gateway here leads to cluster ${cluster}; link the two.`);
  return excluded("no link", `Gateway ${refused.namespace}/${refused.name} ${refused.refused!.message}.`);
}

function withoutRecord(question: CandidateQuestion, standing: PeerStanding, { peers }: CandidateInputs): Exclusion {
  const { cluster, everSynced } = standing;
  const { namespace, name } = question;
  const denied = peers.denied.get(recordKey(cluster, question));
  if (denied !== undefined)
    return excluded(
      "import denied",
      `What cluster ${cluster} says of ${namespace}/${name} is not believed: ${denied.message}.`,
    );
  if (!everSynced) {
    const status = peers.statuses.get(cluster);
    const why = status === undefined || status.message === "" ? "the link is not up yet" : status.message;
    return excluded("never synced", `Cluster ${cluster} has not said yet what it shares: ${why.replace(/\.$/, "")}.`);
  }
  return excluded(
    "not exported",
    `Cluster ${cluster} does not share Service ${namespace}/${name} with us; label it solo.io/service-scope: global there, ` +
      "and ask that cluster to explain the same name, for only it knows why.",
  );
}

function withRecord(
  question: CandidateQuestion,
  record: FederatedService,
  standing: PeerStanding,
  pods: number,
  inputs: CandidateInputs,
): Exclusion | undefined {
  const { shared, offers, options } = inputs;
  if (record.withdrawnUntilMs !== undefined) return withdrawn(record, record.withdrawnUntilMs);
  const segments = segmentsFor(standing, shared.segments, options);
  const why = whyExcluded(record, standing, segments, options);
  const status = inputs.peers.statuses.get(record.cluster);
  if (why !== undefined) return excludedRecord(why, record, standing, segments.own, status);
  const member = offers.federated.get(recordKey(record.cluster, question));
  if (member === undefined) return undefined;
  return (
    withoutName(question, member, inputs) ??
    withoutWay(record, member, standing, pods, inputs) ??
    withoutPort(question, member) ??
    drained(question, standing, inputs)
  );
}

/** It has no ready endpoint only because we say so, for the seconds in which it goes. */
function withdrawn({ cluster, namespace, name }: FederatedService, untilMs: EpochMs): Exclusion {
  const until = timeOfDrain(Math.ceil(untilMs / 1_000) * 1_000);
  return excluded(
    "withdrawn",
    `Cluster ${cluster} has withdrawn Service ${namespace}/${name}, so it gets no new calls; its endpoints are held until ${until} for those that are under way, and then they go.`,
  );
}

const reasonOf = (status: PeerStatus | undefined): string =>
  status === undefined || status.message === "" ? "the link is not up yet" : status.message.replace(/\.$/, "");

function excludedRecord(
  why: FederatedExclusion,
  { namespace, name, cluster, segment }: FederatedService,
  { domain }: PeerStanding,
  own: string,
  status: PeerStatus | undefined,
): Exclusion {
  const what = `Service ${namespace}/${name} of cluster ${cluster}`;
  switch (why) {
    case "removed":
      return excluded(
        "peer stale",
        `Cluster ${cluster} has been away for longer than its grace, and what it said is removed; mend the link.`,
      );
    case "never synced":
      return excluded(
        "never synced",
        `Cluster ${cluster} has not said of itself what we can believe, as which domain its names are in: ${reasonOf(status)}.`,
      );
    case "reserved domain":
      return excluded(
        "reserved domain",
        `${what} is called by the domain ${domain}, which is not that cluster's to have: no Segment of that name has it here. Have the same Segment in both clusters.`,
      );
    case "segment differs":
      return excluded(
        "segment differs",
        `${what} is only for segment ${segment || '""'}, and this cluster is in ${own || "none"}; join the two, or scope it global there.`,
      );
  }
}

function withoutName(
  { key, host }: CandidateQuestion,
  member: GlobalMember,
  { owners, options }: CandidateInputs,
): Exclusion | undefined {
  const { cluster, namespace, name, names } = member;
  if (!names.some(({ service }) => service === key))
    return excluded(
      "other name",
      `Cluster ${cluster} shares Service ${namespace}/${name} as ${names.map((each) => each.host).join(", ")}, and not as ${host}; ` +
        "call it by that name, or have both clusters in one segment.",
    );
  const owner = owners.get(key);
  if (isMembersName(owner, member, options.localCluster)) return undefined;
  return excluded(
    "name taken",
    `${host} belongs to ${owner ?? "nobody"} here, so nothing of cluster ${cluster} is behind it; name that otherwise.`,
  );
}

function withoutWay(
  record: FederatedService,
  { identities, refusedIdentities }: GlobalMember,
  standing: PeerStanding,
  pods: number,
  inputs: CandidateInputs,
): Exclusion | undefined {
  const { cluster, network, trustDomain, state, gateway } = standing;
  const named = `Gateway ${gateway.slice(gateway.indexOf("/") + 1)}`;
  if (state === "away")
    return excluded(
      "peer stale",
      `The link to cluster ${cluster} is down, and so is its gateway or its grace; mend the link.`,
    );
  const flat = isFlat(standing, inputs.options);
  if (standing.onLocalNetwork && !flat)
    return excluded(
      "network mismatch",
      `${named} says that cluster ${cluster} is on our own network ${JSON.stringify(network)}; correct its label topology.istio.io/network.`,
    );
  if (flat && pods === 0 && record.ready > 0)
    return excluded(
      "no ready pods",
      `Cluster ${cluster} is on our network and has told us of no pod of it; it must tell single pods to peers.`,
    );
  if (!flat && sharesOf(record, standing, inputs.paths.gateways.get(network) ?? []).length === 0)
    return excluded(
      "no door",
      `${named} has no way into network ${JSON.stringify(network)}; give it an address, or have cluster ${cluster} offer its nodes.`,
    );
  if (!flat && identities.length === 0 && refusedIdentities > 0)
    return excluded(
      "SAN refused",
      `Identities of cluster ${cluster} are outside of trust domain ${trustDomain}; correct the annotation gateway.istio.io/trust-domain of ${named}.`,
    );
  if (record.ready > 0) return undefined;
  const { namespace, name } = record;
  return excluded(
    "no ready pods",
    `Service ${namespace}/${name} of cluster ${cluster} has ${record.total} endpoints, and none is ready.`,
  );
}

function withoutPort(
  { port, namespace, name }: CandidateQuestion,
  { ports, cluster }: GlobalMember,
): Exclusion | undefined {
  if (port === undefined || ports.some(({ number }) => number === port)) return undefined;
  const has = ports.map(({ number }) => number).join(", ") || "none";
  return excluded(
    "port mismatch",
    `Service ${namespace}/${name} of cluster ${cluster} has the ports ${has}, and not ${port}; add it there.`,
  );
}
