import { objectKey, type ClusterId, type ObjectKey } from "../names.ts";
import { printable } from "../printable.ts";
import { isPathSegment } from "../spiffe.ts";
import type { Collection, Lookup } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { ClusterSpiffeId } from "./kube/cluster-spiffe-id.ts";
import { rendered, type EntryTemplate, type TemplateFacts, type TemplatePlace } from "./kube/entry-template.ts";
import { labelSelectorSelects, type LabelSet } from "./kube/labels.ts";
import type { KubeNode } from "./kube/namespace.ts";
import type { Objects } from "./kube/objects.ts";
import type { Pod } from "./kube/pod.ts";
import { distinctPlacements, labelled } from "./placements.ts";

export interface SelectionInputs {
  readonly objects: Pick<Objects, "pods" | "namespaces">;
  /** By cluster. */
  readonly spiffeIds: Lookup<string, readonly ClusterSpiffeId[]>;
}

/**
 * Those that select a pod, by the id of its placement: all that they look at, and shared by the pods of a Deployment.
 * Only for pods of our cluster, and only where there are any.
 */
export function spiffeIdSelections(
  graph: Graph,
  name: string,
  { objects, spiffeIds }: SelectionInputs,
  localCluster: ClusterId,
): Collection<string, readonly ClusterSpiffeId[]> {
  return derive(graph, {
    name,
    from: distinctPlacements(graph, [labelled(objects.pods, ({ placement }) => [placement])]),
    reads: { namespaces: objects.namespaces, spiffeIds },
    equals: (a, b) => a.length === b.length && a.every((one, at) => one === b[at]),
    distinct: true,
    to: ({ cluster, namespace, labels }, reads, key) => {
      if (cluster !== localCluster) return [];
      const home = reads.namespaces.get(objectKey(cluster, "", namespace));
      const found = spiffeIdsOf(labels, home?.labels, reads.spiffeIds.get(cluster));
      return found.length === 0 ? [] : [[key, found]];
    },
  });
}

/** As SPIRE's controller does it: a fallback counts only if no other one does. */
function spiffeIdsOf(
  labels: LabelSet,
  namespace: LabelSet | undefined,
  spiffeIds: readonly ClusterSpiffeId[],
): readonly ClusterSpiffeId[] {
  const found = spiffeIds.filter(
    ({ podSelector, namespaceSelector }) =>
      (podSelector === undefined || labelSelectorSelects(podSelector, labels)) &&
      (namespaceSelector === undefined ||
        (namespace !== undefined && labelSelectorSelects(namespaceSelector, namespace))),
  );
  const first = found.filter(({ fallback }) => !fallback);
  return first.length > 0 ? first : found;
}

/** What templates can say of a pod; its node is looked up only by those that name it. */
export const factsOf = (
  pod: Pod,
  place: TemplatePlace,
  nodes: { get(key: ObjectKey): KubeNode | undefined },
): TemplateFacts => ({
  place,
  pod,
  labels: pod.placement.labels.map,
  nodeUid: () => nodes.get(objectKey(pod.cluster, "", pod.node))?.uid ?? "",
});

/** Why one field of a ClusterSPIFFEID gives nothing for a pod; never leaves the derivation. */
export class NoEntry extends Error {
  constructor(
    readonly field: string,
    message: string,
  ) {
    super(message);
  }
}

/** @throws NoEntry */
export function textFor(template: EntryTemplate, field: string, facts: TemplateFacts): string {
  if (template.unsupported !== "") throw new NoEntry(field, template.unsupported);
  const made = rendered(template, facts);
  if ("why" in made) throw new NoEntry(field, `cannot be filled in: ${made.why}`);
  return made.text;
}

/** SPIFFE-ID 2.3. */
const ID_BYTES_MAX = 2048;

/** An identity that SPIRE would give to a workload: of its own trust domain, and not one of SPIRE itself. @throws NoEntry */
export function workloadId(template: EntryTemplate, facts: TemplateFacts): string {
  const field = "spec.spiffeIDTemplate";
  const id = textFor(template, field, facts);
  const prefix = `spiffe://${facts.place.trustDomain}/`;
  const segments = id.slice(prefix.length).split("/");
  const refuse = (why: string): never => {
    throw new NoEntry(field, `gives ${printable(JSON.stringify(id), 160)}, ${why}`);
  };
  if (!id.startsWith(prefix))
    return refuse(
      `which is not of trust domain ${facts.place.trustDomain}; begin it with spiffe://{{ .TrustDomain }}/`,
    );
  if (id.length > ID_BYTES_MAX || !segments.every(isPathSegment))
    return refuse("which is no SPIFFE ID: parts of its path are letters, digits, '.', '-' and '_', and none is empty");
  if (segments[0] === "spire") return refuse("but paths under /spire are SPIRE's own");
  return id;
}
