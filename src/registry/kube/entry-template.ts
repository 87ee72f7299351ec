import { printable } from "../../printable.ts";

/** What a template can name: of the mesh, of a pod, and of the node that the pod is on. */
export interface TemplateFacts {
  readonly place: TemplatePlace;
  readonly pod: {
    readonly namespace: string;
    readonly name: string;
    readonly uid: string;
    readonly serviceAccount: string;
    readonly node: string;
  };
  readonly labels: { get(name: string): string | undefined };
  /** Empty if the node is not known. */
  nodeUid(): string;
}

/** Where templates are filled in. */
export interface TemplatePlace {
  readonly trustDomain: string;
  readonly clusterDomain: string;
  /** What SPIRE's attestor k8s_psat calls our cluster. */
  readonly clusterName: string;
}

/**
 * One of the templates of a ClusterSPIFFEID. They are those of Go; of its language plain fields are read here, and labels,
 * which is all that identities of a mesh are made of. What else there is, as conditions and functions, is not guessed at.
 */
export interface EntryTemplate {
  readonly text: string;
  readonly parts: readonly TemplatePart[];
  /** Why it cannot be rendered here, and what can be; empty if it can. */
  readonly unsupported: string;
}

type TemplatePart =
  | { readonly text: string }
  | { readonly field: string }
  /** With `index` an absent label is empty text in Go; as a field it is no text at all. */
  | { readonly label: string; readonly mayLack: boolean };

const FIELDS: ReadonlyMap<string, (facts: TemplateFacts) => string> = new Map([
  [".TrustDomain", ({ place }) => place.trustDomain],
  [".ClusterName", ({ place }) => place.clusterName],
  [".ClusterDomain", ({ place }) => place.clusterDomain],
  [".PodMeta.Namespace", ({ pod }) => pod.namespace],
  [".PodMeta.Name", ({ pod }) => pod.name],
  [".PodMeta.UID", ({ pod }) => pod.uid],
  [".PodSpec.ServiceAccountName", ({ pod }) => pod.serviceAccount],
  [".PodSpec.NodeName", ({ pod }) => pod.node],
  [".NodeMeta.Name", ({ pod }) => pod.node],
  [".NodeMeta.UID", (facts) => facts.nodeUid()],
]);
const KNOWN = `${[...FIELDS.keys()].join(", ")}, .PodMeta.Labels.app and index .PodMeta.Labels "app"`;

const LABEL_FIELD = /^\.PodMeta\.Labels\.([A-Za-z0-9_]+)$/;
const LABEL_INDEX = /^index\s+\.PodMeta\.Labels\s+(?:"([^"\\]+)"|`([^`]+)`)$/;

/** Never throws: `unsupported` says what is wrong. */
export function entryTemplate(text: string): EntryTemplate {
  const parts: TemplatePart[] = [];
  let [rest, trims] = [text, false];
  for (;;) {
    const open = rest.indexOf("{{");
    const before = open < 0 ? rest : rest.slice(0, open);
    const trimsBefore = open >= 0 && /^\{\{-\s/.test(rest.slice(open));
    const plain = trimmed(before, trims, trimsBefore);
    if (plain !== "") parts.push({ text: plain });
    if (open < 0) return { text, parts, unsupported: "" };
    const close = rest.indexOf("}}", open);
    if (close < 0) return unsupported(text, `has "${shown(rest.slice(open))}", which no }} closes`);
    const action = rest.slice(open + 2, close);
    const part = partOf(action.replace(/^-\s/, " ").replace(/\s-$/, " ").trim());
    if (part === undefined)
      return unsupported(text, `uses {{${shown(action)}}}, which is not rendered here; use ${KNOWN}`);
    parts.push(part);
    trims = /\s-$/.test(action);
    rest = rest.slice(close + 2);
  }
}

const unsupported = (text: string, why: string): EntryTemplate => ({ text, parts: [], unsupported: why });
const shown = (text: string): string => printable(text, 80);

function trimmed(text: string, atStart: boolean, atEnd: boolean): string {
  const start = atStart ? text.trimStart() : text;
  return atEnd ? start.trimEnd() : start;
}

function partOf(action: string): TemplatePart | undefined {
  if (FIELDS.has(action)) return { field: action };
  const [, field] = LABEL_FIELD.exec(action) ?? [];
  if (field !== undefined) return { label: field, mayLack: false };
  const [, quoted, raw] = LABEL_INDEX.exec(action) ?? [];
  const label = quoted ?? raw;
  return label === undefined ? undefined : { label, mayLack: true };
}

/** Of a template that is not `unsupported`: its text, or why there is none for this pod. */
export function rendered(
  { parts }: EntryTemplate,
  facts: TemplateFacts,
): { readonly text: string } | { readonly why: string } {
  let text = "";
  for (const part of parts) {
    if ("text" in part) text += part.text;
    else if ("field" in part) text += FIELDS.get(part.field)!(facts);
    else {
      const value = facts.labels.get(part.label);
      if (value === undefined && !part.mayLack) return { why: `the pod has no label ${shown(part.label)}` };
      text += value ?? "";
    }
  }
  return { text };
}
