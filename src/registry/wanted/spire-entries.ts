import { createHash } from "node:crypto";
import type { ObjectKey } from "../../names.ts";
import type { Collection, Lookup } from "../collection/collection.ts";
import { byCodeUnit } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import type { ClusterSpiffeId } from "../kube/cluster-spiffe-id.ts";
import type { TemplateFacts, TemplatePlace } from "../kube/entry-template.ts";
import { Interned } from "../kube/interned.ts";
import type { Objects } from "../kube/objects.ts";
import { podEnded, type Pod } from "../kube/pod.ts";
import { factsOf, NoEntry, textFor, workloadId } from "../spiffe-id-matches.ts";

/** A registration entry of SPIRE as it is to be (contract identity.md 1.5). Lists are sorted, and hold nothing twice. */
export interface WantedEntry {
  /** Ours to choose: `causeway.<cluster>.<pod's uid>.<digest>`, of what makes SPIRE take two entries for the same. */
  readonly id: string;
  /** With its scheme. */
  readonly spiffeId: string;
  /** The pod's, by name: its agent is to be the parent. */
  readonly node: string;
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
  readonly objects: Pick<Objects, "pods" | "nodes">;
  /** Of `spiffeIdSelections`. */
  readonly selections: Lookup<string, readonly ClusterSpiffeId[] | undefined>;
}

/** Every pod that is on a node, has not ended, and is selected. */
export function podEntries(
  graph: Graph,
  { objects, selections }: EntryInputs,
  place: TemplatePlace,
): Collection<ObjectKey, PodEntries> {
  return derive(graph, {
    name: "spire-entries",
    from: objects.pods,
    reads: { selections, nodes: objects.nodes },
    equals: samePodEntries,
    distinct: true,
    to: (pod, { selections, nodes }, key) => {
      if (podEnded(pod) || pod.node === "" || pod.uid === "") return [];
      const selecting = selections.get(pod.placement.id);
      return selecting === undefined ? [] : [[key, entriesOf(pod, selecting, factsOf(pod, place, nodes))]];
    },
  });
}

/** A hundred thousand are compared when a template changes. */
function samePodEntries(a: PodEntries, b: PodEntries): boolean {
  return (
    a.uid === b.uid &&
    a.node === b.node &&
    a.troubles.length === 0 &&
    b.troubles.length === 0 &&
    a.entries.length === b.entries.length &&
    a.entries.every((entry, at) => sameEntry(entry, b.entries[at]!))
  );
}

/** Entries of one id have the same identity and selectors. */
const sameEntry = (a: WantedEntry, b: WantedEntry): boolean =>
  a.id === b.id &&
  a.x509SvidTtlSeconds === b.x509SvidTtlSeconds &&
  a.hint === b.hint &&
  a.dnsNames.join() === b.dnsNames.join() &&
  a.federatesWith.join() === b.federatesWith.join();

function entriesOf(pod: Pod, selecting: readonly ClusterSpiffeId[], facts: TemplateFacts): PodEntries {
  const entries = new Map<string, WantedEntry>();
  const troubles: EntryTrouble[] = [];
  for (const spiffeId of selecting)
    try {
      const entry = entryOf(spiffeId, facts);
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
function entryOf(spiffeId: ClusterSpiffeId, facts: TemplateFacts): WantedEntry {
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
  return {
    id: ownEntryId(facts.place.clusterName, facts.pod.uid, digestOf(id, sortedOnce(further))),
    spiffeId: id,
    node: facts.pod.node,
    selectors: sortedOnce([`k8s:pod-uid:${facts.pod.uid}`, ...further]),
    x509SvidTtlSeconds: spiffeId.ttlSeconds,
    federatesWith: sortedOnce(spiffeId.federatesWith),
    dnsNames: sortedOnce(dnsNames),
    hint: spiffeId.hint,
  };
}

const DNS_NAME = /^(?=.{1,253}$)(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;

const sortedOnce = (texts: readonly string[]): readonly string[] =>
  texts.length < 2 ? texts : [...new Set(texts)].sort(byCodeUnit);

/** With the pod and the parent this is what SPIRE tells entries apart by; a parent that changes is an update. */
const digestOf = (spiffeId: string, selectors: readonly string[]): string =>
  digests.get([spiffeId, ...selectors].join("\n"), digest);
/** Pods of one account share them. */
const digests = new Interned<string>();
const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);

/** What an id may hold besides dots is letters, digits, '-' and '_', 255 in all: whatever else is asked for is a digest. */
const idPart = (text: string): string => (/^[A-Za-z0-9_-]{1,64}$/.test(text) ? text : digest(text));

/** The server takes an id of ours, so that what we made is recognised by nobody's memory, on every replica. */
const ownEntryId = (cluster: string, podUid: string, which: string): string =>
  `${ownIdPrefix(cluster)}${idPart(podUid)}.${which}`;

/** What ids of entries that we made for `cluster` begin with. */
export const ownIdPrefix = (cluster: string): string => `causeway.${idPart(cluster)}.`;

/** What stands for the pod in the id of an entry that we made for `cluster`; undefined for any other entry. */
export function podOfOwnEntry(cluster: string, id: string): string | undefined {
  const prefix = ownIdPrefix(cluster);
  if (!id.startsWith(prefix)) return undefined;
  const [pod, which, ...rest] = id.slice(prefix.length).split(".");
  return which === undefined || rest.length > 0 ? undefined : pod;
}

/** What stands for a pod in the ids of its entries. */
export const podInIds = (podUid: string): string => idPart(podUid);
