import { parseServiceAccountId } from "../spiffe.ts";
import { recordKey, type Candidate, type Exclusion, type ExclusionReason } from "../registry/global-candidate.ts";
import { SCOPE_LABEL } from "../registry/kube/scope-labels.ts";
import { SEGMENT_LABEL } from "../registry/kube/segment.ts";
import { drainPlace } from "./drain-causes.ts";
import type { Cause, ExplainFacts, Place } from "./explanation.ts";
import { whyDenied, whyUnheard } from "./denied.ts";
import { atGateway, linkPlace, networkPlace, trustDomainPlace } from "./gateway-place.ts";
import {
  deleted,
  edited,
  isWritten,
  kubectl,
  labelled,
  labelledService,
  manifestsOf,
  pasteable,
  unannotated,
} from "./mending.ts";
import { remedyOfGateway } from "./link-causes.ts";
import { scopeField, whyNotShared } from "./not-shared.ts";
import type { Question } from "./question.ts";

type Locate = (candidate: Candidate, question: Question, facts: ExplainFacts) => Place;

/** Why a cluster adds nothing to a name, with the object, the field and what mends it (contract peering.md 6.1). */
export function causeOf(candidate: Candidate, question: Question, facts: ExplainFacts): Cause | undefined {
  const { excluded, via, cluster } = candidate;
  if (excluded === undefined || isServed(candidate, question) || publishesNotReady(candidate, question, facts))
    return undefined;
  const { reason } = excluded;
  const { namespace, name } = question;
  if (reason === "absent" || reason === "headless" || reason === "ExternalName")
    return whyNotShared(facts, cluster, namespace, name);
  if (reason === "not exported" && via !== "peer") return whyNotShared(facts, cluster, namespace, name);
  if (reason === "import denied") return whyDenied(cluster, question, facts);
  if (reason === "never synced") return whyUnheard(cluster, messageOf(candidate, excluded, question), facts);
  return { reason, message: messageOf(candidate, excluded, question), ...PLACES[reason](candidate, question, facts) };
}

/** By its cluster-local name a cluster behind a remote secret is reached without sharing it under another (contract ztunnel.md 5.9). */
const isServed = ({ excluded, via, healthy }: Candidate, { isLocal }: Question): boolean =>
  isLocal && via === "secret" && excluded?.reason === "other name" && healthy > 0;

/** Endpoints that are not ready count where the Service publishes them. */
export function publishesNotReady(
  { excluded, via, endpoints }: Candidate,
  { key }: Question,
  { registry }: ExplainFacts,
): boolean {
  const all = registry.services.get(key)?.loadBalancing?.healthPolicy === "allow-all";
  return all && via === "local" && endpoints > 0 && excluded?.reason === "no ready pods";
}

/** Of what people ask most we say more: the trap of the local name (contract peering.md 1.1, A16), and what only the peer knows. */
function messageOf(
  { cluster, via }: Candidate,
  { reason, message }: Exclusion,
  { isLocal, host, namespace, name }: Question,
): string {
  if (isLocal && reason === "other name")
    return `${host} is the name of each cluster's own endpoints, so nothing of cluster ${cluster} is behind it.`;
  if (via === "peer" && reason === "not exported")
    return `Cluster ${cluster} tells us of no Service ${namespace}/${name}: it has none, does not share it, or not with us; only that cluster knows.`;
  return message;
}

const serviceOf = ({ namespace, name }: Question): string => `Service ${namespace}/${name}`;

type Placed = Exclude<ExclusionReason, "absent" | "headless" | "ExternalName" | "import denied" | "never synced">;

const PLACES: Readonly<Record<Placed, Locate>> = {
  "not exported": notExported,
  "segment differs": segmentDiffers,
  "reserved domain": reservedDomain,
  "other name": otherName,
  "name taken": nameTaken,
  "no link": noLink,
  "peer stale": linkDown,
  "network mismatch": networkMismatch,
  "no door": noDoor,
  "SAN refused": sanRefused,
  "no ready pods": noReadyPods,
  withdrawn: notExported,
  drained: ({ cluster, via }, question, facts) => drainPlace(via === "peer" ? cluster : undefined, question, facts),
  "port mismatch": ({ cluster }, question) => ({
    ...{ object: serviceOf(question), cluster, field: "spec.ports" },
    fix: `spec: {ports: [{port: ${question.port}, …}]}, or call one that it has`,
  }),
  shadowed,
};

function shadowed({ cluster }: Candidate, _question: Question, facts: ExplainFacts): Place {
  const { localCluster, systemNamespace } = facts.registry.globalCandidates.inputs.options;
  const name = `istio-remote-secret-${cluster}`;
  const remove = deleted({ cluster: localCluster, kind: "Secret", namespace: systemNamespace, name }, facts);
  return {
    ...{ object: `Secret ${name}`, cluster: localCluster, field: "" },
    fix: `${remove}, or whichever Secret with the label istio/multiCluster=true names cluster ${cluster}`,
  };
}

function notExported({ cluster }: Candidate, question: Question, facts: ExplainFacts): Place {
  const { paths, shared, options } = facts.registry.globalCandidates.inputs;
  const { namespace, name } = question;
  const how = isWritten(facts)
    ? `--admin <admin port of cluster ${cluster}>, or give that here as --peer-admin`
    : `--context ${cluster}`;
  const theirs = paths.standings.get(cluster)?.segment ?? "";
  const ours = shared.segments.ofCluster.get(options.localCluster)?.segment ?? "";
  const apart =
    theirs === ours
      ? ""
      : ` It is in segment ${theirs || '""'}, and we are in ${ours || "none"}: what it scopes to its segment we do not hear of.`;
  return {
    ...{ object: serviceOf(question), cluster, field: scopeField },
    fix:
      `ask it: causeway explain ${name}.${namespace} ${how}; ` +
      `if it has the Service: ${labelledService(cluster, question, [SCOPE_LABEL, "global"], facts)}.${apart}`,
  };
}

function segmentDiffers({ cluster }: Candidate, question: Question, facts: ExplainFacts): Place {
  const { paths, options } = facts.registry.globalCandidates.inputs;
  const segment = paths.standings.get(cluster)?.segment ?? "";
  const { localCluster, systemNamespace } = options;
  const named = pasteable(segment, "<segment of the peer>");
  const home = { cluster: localCluster, kind: "Namespace", namespace: "", name: systemNamespace };
  const join = labelled(home, SEGMENT_LABEL, named, facts);
  const share = labelledService(cluster, question, [SCOPE_LABEL, "global"], facts);
  return {
    object: `Namespace ${systemNamespace}`,
    cluster: localCluster,
    field: `metadata.labels[${SEGMENT_LABEL}]`,
    fix: segment === "" ? share : `${join}; or, for all segments, ${share}`,
  };
}

/** Both clusters must have the Segment by which a peer calls its services (contract peering.md 2.18). */
function reservedDomain({ cluster }: Candidate, _question: Question, facts: ExplainFacts): Place {
  const { paths, options } = facts.registry.globalCandidates.inputs;
  const { localCluster, systemNamespace } = options;
  const segment = pasteable(paths.standings.get(cluster)?.segment, "<segment of the peer>");
  const copy = isWritten(facts)
    ? `copy Segment ${systemNamespace}/${segment} from ${manifestsOf(cluster, facts)} to ${manifestsOf(localCluster, facts)}`
    : `${kubectl(cluster, `-n ${systemNamespace} get segment ${segment} -o yaml`)} | ${kubectl(localCluster, "apply -f -")}`;
  return {
    ...{ object: `Segment ${systemNamespace}/${segment}`, cluster: localCluster, field: "spec.domain" },
    fix: `have the same in both clusters: ${copy}; the domain must be in no cluster's own, nor in that of another Segment`,
  };
}

function otherName({ cluster, via }: Candidate, question: Question, facts: ExplainFacts): Place {
  const { offers, shared, options } = facts.registry.globalCandidates.inputs;
  const key = recordKey(cluster, question);
  const hosts =
    via === "peer"
      ? (offers.federated.get(key)?.names ?? []).map(({ host }) => host)
      : (shared.wishes.get(key)?.hosts ?? []).map(({ host }) => host);
  const call = `call ${hosts[0] ?? "it by another name"}`;
  const { localCluster } = options;
  const takeover = labelledService(localCluster, question, ["solo.io/service-takeover", "true"], facts);
  return {
    object: serviceOf(question),
    cluster: question.isLocal ? localCluster : cluster,
    field: question.isLocal ? "metadata.labels[solo.io/service-takeover]" : "",
    fix: question.isLocal
      ? `${call}; or have all callers of cluster ${localCluster} sent to all clusters: ${takeover}`
      : `${call}, or have both clusters in one segment`,
  };
}

function nameTaken(_candidate: Candidate, { key, host }: Question, facts: ExplainFacts): Place {
  const { owners, options } = facts.registry.globalCandidates.inputs;
  const [kind = "", where = ""] = (owners.get(key) ?? "").split(" ");
  if (kind === "GlobalService")
    return {
      ...{ object: `Service ${where}`, cluster: options.localCluster, field: "" },
      fix: "have the patterns of the Segment tell the two apart, or one of them not select one of the two",
    };
  const [, namespace = "", name = ""] = where.split("/");
  return {
    object: `${kind} ${namespace}/${name}`,
    cluster: options.localCluster,
    field: "spec.hosts",
    fix: `take ${host} out of its hosts, or delete it: ${deleted({ cluster: options.localCluster, kind, namespace, name }, facts)}`,
  };
}

function noLink(candidate: Candidate, _question: Question, facts: ExplainFacts): Place {
  const { options } = facts.registry.globalCandidates.inputs;
  if (!options.peeringDiscovery)
    return {
      object: "control plane",
      cluster: options.localCluster,
      field: "ENABLE_PEERING_DISCOVERY",
      fix: "ENABLE_PEERING_DISCOVERY=true in its environment, or leave the variable out",
    };
  return atGateway(candidate.cluster, facts, (gateway, local) => remedyOfGateway(gateway, local, facts));
}

function linkDown({ cluster }: Candidate, _question: Question, facts: ExplainFacts): Place {
  return linkPlace(cluster, facts);
}

function networkMismatch({ cluster }: Candidate, _question: Question, facts: ExplainFacts): Place {
  return networkPlace(cluster, facts.registry.peers.facts.get(cluster)?.network, facts);
}

const PREFERRED_TYPE = "peering.solo.io/preferred-data-plane-service-type";

function noDoor(candidate: Candidate, _question: Question, facts: ExplainFacts): Place {
  if (candidate.via !== "peer")
    return {
      ...{ object: "Gateway of class istio-east-west", cluster: candidate.cluster, field: "status.addresses" },
      fix: `create one in cluster ${candidate.cluster} with a listener of protocol HBONE, and give it an address`,
    };
  return atGateway(candidate.cluster, facts, ({ namespace, name, cluster = "", preferred }, local) => {
    const gateway = { cluster: local, kind: "Gateway", namespace, name };
    if (preferred !== "nodeport") return { field: "spec.addresses", fix: edited(gateway, facts) };
    const drop = unannotated(gateway, PREFERRED_TYPE, facts);
    return {
      field: `metadata.annotations[${PREFERRED_TYPE}]`,
      fix: `annotate the east-west gateway of cluster ${cluster} peering.solo.io/data-plane-service-type=nodeport, or drop the preference here: ${drop}`,
    };
  });
}

function sanRefused(candidate: Candidate, question: Question, facts: ExplainFacts): Place {
  const record = facts.registry.peers.federated.get(recordKey(candidate.cluster, question));
  const found = record?.identities.map(trustDomainOf).find((domain) => domain !== "");
  return trustDomainPlace(candidate.cluster, found, facts);
}

function trustDomainOf(identity: string): string {
  try {
    return parseServiceAccountId(identity).trustDomain;
  } catch {
    return "";
  }
}

function noReadyPods({ cluster, via }: Candidate, question: Question, facts: ExplainFacts): Place {
  const { registry } = facts;
  if (via === "peer" && (registry.peers.federated.get(recordKey(cluster, question))?.ready ?? 0) > 0)
    return {
      ...{ object: "control plane", cluster, field: "PEERING_FLAT_NETWORK" },
      fix: `PEERING_FLAT_NETWORK=true in the environment of cluster ${cluster}'s control plane, or give it a Gateway that leads here`,
    };
  const kube = via === "peer" ? undefined : registry.objects.services.get(recordKey(cluster, question));
  const selector = kube?.selector?.pairs.map(([key, value]) => `${key}=${value}`).join(",");
  return {
    object: serviceOf(question),
    cluster,
    field: "spec.selector",
    fix: `have pods that it selects become ready: ${podsOf(cluster, question.namespace, selector, facts)}`,
  };
}

/** Where to look for the pods of a Service; `selector` is undefined for one of a peer, which only it knows. */
function podsOf(cluster: string, namespace: string, selector: string | undefined, facts: ExplainFacts): string {
  if (isWritten(facts)) {
    const which = selector === undefined ? "" : ` with the labels ${selector}`;
    return `those of namespace ${namespace}${which} come from Deployments, StatefulSets and Pods in ${manifestsOf(cluster, facts)}`;
  }
  const pods = selector === undefined ? "service,endpointslices,pods" : `pods -l ${selector}`;
  return kubectl(cluster, `-n ${namespace} get ${pods} -o wide`);
}
