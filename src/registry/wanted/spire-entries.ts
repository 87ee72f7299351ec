import { createHash } from "node:crypto";
import { objectKey, type ClusterId, type ObjectKey } from "../../names.ts";
import type { Collection, Lookup } from "../collection/collection.ts";
import { byCodeUnit } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import type { ClusterSpiffeId } from "../kube/cluster-spiffe-id.ts";
import type { TemplateFacts } from "../kube/entry-template.ts";
import type { Objects } from "../kube/objects.ts";
import { podEnded, type Pod } from "../kube/pod.ts";
import { factsOf, NoEntry, spiffeIdsOf, textFor, workloadId, type TemplatePlace } from "../spiffe-id-matches.ts";

/** A registration entry of SPIRE as it is to be (contract identity.md 1.5). Lists are sorted, and hold nothing twice. */
export interface WantedEntry {
  /** Ours to choose: `causeway.<cluster>.<pod's uid>.<digest>`, of what makes SPIRE take two entries for the same. */
  readonly id: string;
  /** With its scheme. */
  readonly spiffeId: string;
  /** The agent of the pod's node; undefined while none is known. */
  readonly parentId: string | undefined;
  /** As `k8s:pod-uid:…`. */
  readonly selectors: readonly string[];
  /** 0 for the server's default. */
  readonly x509SvidTtlSeconds: number;
  readonly federatesWith: readonly string[];
  readonly dnsNames: readonly string[];
  readonly hint: string;
}

/** What one pod is to have. */
export interface PodEntries {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  /** Sorted by id. */
  readonly entries: readonly WantedEntry[];
  /** What cannot be made of a ClusterSPIFFEID for it; then nothing of the pod is taken away either. */
  readonly troubles: readonly EntryTrouble[];
}

export interface EntryTrouble {
  /** Of the ClusterSPIFFEID. */
  readonly name: string;
  readonly field: string;
  /** What follows the field's name in a sentence. */
  readonly message: string;
}

export interface EntryInputs {
  readonly objects: Pick<Objects, "pods" | "namespaces" | "nodes">;
  /** By cluster. */
  readonly templates: Lookup<string, readonly ClusterSpiffeId[] | undefined>;
  /** The agent of a node, by `nodeByName` or `nodeByUid`. */
  readonly agents: Lookup<string, string | undefined>;
}

export const nodeByName = (name: string): string => `name ${name}`;
export const nodeByUid = (uid: string): string => `uid ${uid}`;

/** Every pod of our cluster that is on a node, has not ended, and is selected. */
export function podEntries(
  graph: Graph,
  { objects, templates, agents }: EntryInputs,
  { localCluster, ...place }: TemplatePlace & { readonly localCluster: ClusterId },
): Collection<ObjectKey, PodEntries> {
  const { pods, namespaces, nodes } = objects;
  return derive(graph, {
    name: "spire-entries",
    from: pods,
    reads: { namespaces, nodes, templates, agents },
    distinct: true,
    to: (pod, reads, key) => {
      if (pod.cluster !== localCluster || podEnded(pod) || pod.node === "" || pod.uid === "") return [];
      const namespace = reads.namespaces.get(objectKey(localCluster, "", pod.namespace));
      const selecting = spiffeIdsOf(pod, namespace, reads.templates.get(localCluster) ?? []);
      if (selecting.length === 0) return [];
      const nodeUid = reads.nodes.get(objectKey(localCluster, "", pod.node))?.uid ?? "";
      const parentId = reads.agents.get(nodeByName(pod.node)) ?? reads.agents.get(nodeByUid(nodeUid));
      return [[key, entriesOf(pod, selecting, factsOf(pod, nodeUid, place), parentId)]] as const;
    },
  });
}

function entriesOf(
  pod: Pod,
  selecting: readonly ClusterSpiffeId[],
  facts: TemplateFacts,
  parentId: string | undefined,
): PodEntries {
  const entries = new Map<string, WantedEntry>();
  const troubles: EntryTrouble[] = [];
  for (const spiffeId of selecting)
    try {
      const entry = entryOf(spiffeId, facts, parentId);
      // To SPIRE the two are one; the first by name has its say.
      if (!entries.has(entry.id)) entries.set(entry.id, entry);
    } catch (thrown) {
      if (!(thrown instanceof NoEntry)) throw thrown;
      troubles.push({ name: spiffeId.id.name, field: thrown.field, message: thrown.message });
    }
  const { uid, namespace, name, node } = pod;
  const sorted = [...entries.values()].sort((a, b) => byCodeUnit(a.id, b.id));
  return { uid, namespace, name, node, entries: sorted, troubles };
}

/** @throws NoEntry */
function entryOf(spiffeId: ClusterSpiffeId, facts: TemplateFacts, parentId: string | undefined): WantedEntry {
  const id = workloadId(spiffeId.spiffeId, facts);
  const further = spiffeId.workloadSelectors.map((template, at) => {
    const field = `spec.workloadSelectorTemplates[${at}]`;
    const text = textFor(template, field, facts);
    if (!/^[^:]+:./s.test(text))
      throw new NoEntry(field, `gives ${JSON.stringify(text)}; give type:value, as k8s:container-name:app`);
    return text;
  });
  const dnsNames = spiffeId.dnsNames.map((template, at) => {
    const field = `spec.dnsNameTemplates[${at}]`;
    const text = textFor(template, field, facts);
    if (!DNS_NAME.test(text)) throw new NoEntry(field, `gives ${JSON.stringify(text)}, which is no DNS name`);
    return text;
  });
  const selectors = sortedOnce([`k8s:pod-uid:${facts.pod.uid}`, ...further]);
  return {
    id: ownEntryId(facts.clusterName, facts.pod.uid, digestOf(id, selectors)),
    spiffeId: id,
    parentId,
    selectors,
    x509SvidTtlSeconds: spiffeId.ttlSeconds,
    federatesWith: sortedOnce(spiffeId.federatesWith),
    dnsNames: sortedOnce(dnsNames),
    hint: spiffeId.hint,
  };
}

const DNS_NAME = /^(?=.{1,253}$)(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;

export const sortedOnce = (texts: readonly string[]): readonly string[] => [...new Set(texts)].sort(byCodeUnit);

/** With its parent this is what SPIRE tells entries apart by; a parent that changes is an update. */
const digestOf = (spiffeId: string, selectors: readonly string[]): string =>
  digest(JSON.stringify([spiffeId, selectors]));
const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);

/** What an id may hold besides dots is letters, digits, '-' and '_', 255 in all: whatever else is asked for is a digest. */
const idPart = (text: string): string => (/^[A-Za-z0-9_-]{1,64}$/.test(text) ? text : digest(text));

/** The server takes an id of ours, so that what we made is recognised by nobody's memory, on every replica. */
const ownEntryId = (cluster: string, podUid: string, which: string): string =>
  ["causeway", idPart(cluster), idPart(podUid), which].join(".");

/** What stands for the pod in the id of an entry that we made for `cluster`; undefined for any other entry. */
export function podOfOwnEntry(cluster: string, id: string): string | undefined {
  const [ours, where, pod, which, ...rest] = id.split(".");
  if (ours !== "causeway" || where !== idPart(cluster) || which === undefined || rest.length > 0) return undefined;
  return pod;
}

/** What stands for a pod in the ids of its entries. */
export const podInIds = (podUid: string): string => idPart(podUid);
