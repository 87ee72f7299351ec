import { clusterId, objectKey } from "../names.ts";
import type { FederatedService } from "../registry/model/federated-service.ts";
import { limitAgainst } from "../registry/model/granted.ts";
import { limitPlace } from "./limit-place.ts";
import type { Cause, ExplainFacts, PeerReader, ReaderView, SharingView } from "./explanation.ts";
import { withoutGateway } from "./gateway-place.ts";
import { saidBy, scopeField, whyNotShared } from "./not-shared.ts";
import { labelledService } from "./mending.ts";
import type { Question } from "./question.ts";

/** What this cluster tells peers of its own Service of that name, and what became of it: only the exporter knows. */
export function sharingOf(question: Question, facts: ExplainFacts): SharingView {
  const { registry } = facts;
  const { shared, objects, options } = registry.globalCandidates.inputs;
  const { namespace, name } = question;
  const { localCluster } = options;
  const key = objectKey(localCluster, namespace, name);
  const record = registry.exports.services.get(key);
  const wish = shared.wishes.get(key);
  const kube = objects.services.get(key);
  const home = objects.namespaces.get(objectKey(localCluster, "", namespace));
  return {
    service: `${namespace}/${name}`,
    scope: wish?.scope ?? "cluster",
    saidBy:
      kube === undefined
        ? ""
        : saidBy(kube, home) || (wish === undefined ? "" : "serviceScopeConfigs of the mesh config"),
    hosts: (registry.shared.get(key)?.hosts ?? []).map(({ host }) => host),
    ready: record?.ready ?? 0,
    total: record?.total ?? 0,
    cause: record === undefined ? whyNotShared(facts, localCluster, namespace, name) : undefined,
    readers: record === undefined ? [] : readersOf(record, question, facts),
  };
}

/** Those that read, those that may not, and those that we read and that do not read us. */
function readersOf(record: FederatedService, question: Question, facts: ExplainFacts): readonly ReaderView[] {
  const { registry, readers, refused } = facts;
  const { localCluster } = registry.globalCandidates.inputs.options;
  // Of a peer's replicas the one that is behind counts.
  const read = new Map<string, PeerReader>();
  for (const reader of readers) if (read.get(reader.cluster)?.acknowledged !== false) read.set(reader.cluster, reader);
  const refusals = refused.filter(({ cluster }) => !read.has(cluster));
  const silent = Array.from(registry.peerGateways.entries(), ([, { cluster }]) => cluster).filter(
    (cluster) =>
      cluster !== undefined &&
      cluster !== localCluster &&
      !read.has(cluster) &&
      !refusals.some((refusal) => refusal.cluster === cluster),
  );
  return [
    ...[...read.values()].map((reader) => readerOf(reader, record, question, facts)),
    ...refusals.map((refusal) => refusedReader(refusal, localCluster)),
    ...[...new Set(silent)].map((cluster) => notConnected(cluster!, localCluster)),
  ].sort((a, b) => (a.cluster < b.cluster ? -1 : 1));
}

function readerOf(
  { cluster, granted, acknowledged, ackedAt }: PeerReader,
  record: FederatedService,
  question: Question,
  facts: ExplainFacts,
): ReaderView {
  const { namespace, name } = question;
  const what = `Service ${namespace}/${name}`;
  const limit = limitAgainst(granted, namespace, name);
  if (limit !== undefined)
    return {
      ...{ cluster, state: "withheld", acknowledgedAt: "" },
      cause: {
        reason: "export denied",
        message: `Cluster ${cluster} is not told of ${what}: no ${limit.by} that limits what it may read takes that in.`,
        ...limitPlace(cluster, question, { by: limit.by, direction: "export" }, facts),
      },
    };
  const theirs = facts.registry.peers.facts.get(clusterId(cluster))?.segment;
  if (record.scope === "segment" && theirs !== undefined && theirs !== record.segment)
    return { cluster, state: "withheld", acknowledgedAt: "", cause: otherSegment(cluster, theirs, record, facts) };
  const acknowledgedAt = ackedAt === 0 ? "" : new Date(ackedAt).toISOString();
  return { cluster, state: acknowledged ? "acknowledged" : "under way", acknowledgedAt, cause: undefined };
}

const otherSegment = (cluster: string, theirs: string, record: FederatedService, facts: ExplainFacts): Cause => ({
  reason: "segment differs",
  message: `Cluster ${cluster} is not told of Service ${record.namespace}/${record.name}: that is only for segment ${record.segment || '""'}, and ${cluster} is in ${theirs || "none"}.`,
  object: `Service ${record.namespace}/${record.name}`,
  cluster: record.cluster,
  field: scopeField,
  fix: `${labelledService(record.cluster, record, ["solo.io/service-scope", "global"], facts)}; or have both clusters in one segment`,
});

const refusedReader = (
  { cluster, reason, message }: ExplainFacts["refused"][number],
  localCluster: string,
): ReaderView => ({
  ...{ cluster, state: "refused", acknowledgedAt: "" },
  cause: {
    reason: `refused: ${reason}`,
    message: `Cluster ${cluster} asked to read what we share, and may not: ${message}.`,
    ...{ object: "control plane", cluster: localCluster, field: "" },
    fix: 'do what the message says; docs/peering.md, "Who may read what", has each reason',
  },
});

const notConnected = (cluster: string, localCluster: string): ReaderView => ({
  ...{ cluster, state: "not connected", acknowledgedAt: "" },
  cause: {
    reason: "no link",
    message: `Cluster ${cluster} does not read us: it has no Gateway that leads here, or cannot connect.`,
    ...withoutGateway(localCluster, cluster),
  },
});
