import type { KubeObject } from "../../kube/object.ts";
import type { ClusterFacts } from "../cluster-facts.ts";
import { isWritten, objectName } from "./mesh-parts.ts";

// What mends something of a cluster. What people wrote into files is mended there: no API server has it.

/** What begins a command that looks at a cluster, or changes it. */
export const kubectl = ({ context }: Pick<ClusterFacts, "context">): string =>
  context === undefined ? "kubectl" : `kubectl --context ${quoted(context)}`;

/** As ` --context east`; empty for the current one. */
export const contextFlag = ({ context }: Pick<ClusterFacts, "context">): string =>
  context === undefined ? "" : ` --context ${quoted(context)}`;

/** The same for helm. */
export const helmContextFlag = ({ context }: Pick<ClusterFacts, "context">): string =>
  context === undefined ? "" : ` --kube-context ${quoted(context)}`;

const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Another value of a label. */
export const labelled = (facts: ClusterFacts, object: KubeObject, label: string, value: string): string =>
  isWritten(facts)
    ? `set label ${label} of ${placed(facts, object)} to ${value}`
    : verbOn(facts, object, "label --overwrite", ` ${label}=${value}`);

/** None of an annotation any more. */
export const unannotated = (facts: ClusterFacts, object: KubeObject, annotation: string): string =>
  isWritten(facts)
    ? `remove annotation ${annotation} of ${placed(facts, object)}`
    : verbOn(facts, object, "annotate", ` ${annotation}-`);

/** All that a cluster says of an object. */
export const described = (facts: ClusterFacts, object: KubeObject): string =>
  isWritten(facts) ? `look at ${placed(facts, object)}` : verbOn(facts, object, "describe");

export const deleted = (facts: ClusterFacts, object: KubeObject): string =>
  isWritten(facts) ? `remove ${placed(facts, object)}` : verbOn(facts, object, "delete");

function verbOn(facts: ClusterFacts, { kind, metadata }: KubeObject, verb: string, more = ""): string {
  const { namespace, name } = metadata;
  const place = namespace === undefined ? "" : ` -n ${namespace}`;
  return `${kubectl(facts)}${place} ${verb} ${kind.toLowerCase()} ${name}${more}`;
}

/** With the file that it is in, where that is known. */
export function placed({ files }: ClusterFacts, object: KubeObject): string {
  const origin = files?.origins.get(object);
  return `${objectName(object)}${origin === undefined ? "" : ` in ${origin}`}`;
}

/** For whoever may not list objects. @param resource as `pods`. */
export const permitted = (facts: ClusterFacts, resource: string): string =>
  `${kubectl(facts)} auth can-i list ${resource} -A; take a context that may`;

/** The way into a cluster, made anew or as it has to be. */
export const exposed = (facts: ClusterFacts, namespace: string): string =>
  isWritten(facts)
    ? "write a Gateway of class istio-eastwest into its folder, as docs/multi-network.md has it"
    : `causeway multicluster expose --namespace ${namespace}${contextFlag(facts)}`;

/** Both of two clusters, or all of several. */
export function linked(clusters: readonly ClusterFacts[]): string {
  if (clusters.some(isWritten))
    return "write a Gateway of class istio-remote for each peer into the cluster's folder, as docs/peering.md has it";
  const named = clusters.flatMap(({ context }) => (context === undefined ? [] : [quoted(context)]));
  if (named.length === clusters.length && named.length > 1)
    return `causeway multicluster link --contexts ${named.join(",")}`;
  const words = [...named, ...Array.from({ length: Math.max(2, clusters.length) - named.length }, () => "<context>")];
  return `causeway multicluster link --contexts ${words.join(",")}; each <context> is one of a cluster that is to be linked`;
}
