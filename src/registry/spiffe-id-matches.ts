import type { ClusterSpiffeId } from "./kube/cluster-spiffe-id.ts";
import { rendered, type EntryTemplate, type TemplateFacts } from "./kube/entry-template.ts";
import { labelSelectorSelects } from "./kube/labels.ts";
import type { Namespace } from "./kube/namespace.ts";
import type { Pod } from "./kube/pod.ts";
import { isPathSegment } from "../spiffe.ts";
import { printable } from "../printable.ts";

/** Where the templates of ClusterSPIFFEIDs are filled in. */
export interface TemplatePlace {
  readonly trustDomain: string;
  readonly clusterDomain: string;
  /** What SPIRE's attestor k8s_psat calls our cluster. */
  readonly clusterName: string;
}

/** Those that select a pod, as SPIRE's controller does it: a fallback only if no other one does. */
export function spiffeIdsOf(
  pod: Pod,
  namespace: Namespace | undefined,
  spiffeIds: readonly ClusterSpiffeId[],
): readonly ClusterSpiffeId[] {
  const found = spiffeIds.filter(
    ({ podSelector, namespaceSelector }) =>
      (podSelector === undefined || labelSelectorSelects(podSelector, pod.placement.labels)) &&
      (namespaceSelector === undefined ||
        (namespace !== undefined && labelSelectorSelects(namespaceSelector, namespace.labels))),
  );
  const first = found.filter(({ fallback }) => !fallback);
  return first.length > 0 ? first : found;
}

export const factsOf = (pod: Pod, nodeUid: string, place: TemplatePlace): TemplateFacts => ({
  ...place,
  pod: { ...pod, labels: pod.placement.labels.map },
  nodeUid,
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
  const prefix = `spiffe://${facts.trustDomain}/`;
  const segments = id.slice(prefix.length).split("/");
  const refuse = (why: string): never => {
    throw new NoEntry(field, `gives ${printable(JSON.stringify(id), 160)}, ${why}`);
  };
  if (!id.startsWith(prefix))
    return refuse(`which is not of trust domain ${facts.trustDomain}; begin it with spiffe://{{ .TrustDomain }}/`);
  if (id.length > ID_BYTES_MAX || !segments.every(isPathSegment))
    return refuse("which is no SPIFFE ID: parts of its path are letters, digits, '.', '-' and '_', and none is empty");
  if (segments[0] === "spire") return refuse("but paths under /spire are SPIRE's own");
  return id;
}
