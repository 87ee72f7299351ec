import { clusterId, objectKey, type ObjectKey } from "../names.ts";
import type { Objects } from "../registry/kube/objects.ts";
import type { ExplainFacts } from "./explanation.ts";

/** An object that a fix is about. */
export interface Target {
  readonly cluster: string;
  readonly kind: string;
  /** Empty for a kind that has none. */
  readonly namespace: string;
  readonly name: string;
}

/** What of the facts says how a cluster is changed. */
type Keeping = Pick<ExplainFacts, "registry" | "manifests">;

/** A command for one cluster; contexts are taken to be called as their clusters. */
export const kubectl = (cluster: string, words: string): string => `kubectl --context ${cluster} ${words}`;

/**
 * The ways to change an object: a command where its cluster has an API server. Where the clusters are folders of manifests
 * there is none; then they say in which file what is to stand.
 */
export const labelled = (target: Target, key: string, value: string, facts: Keeping): string =>
  isWritten(facts)
    ? `give ${written(target, facts)} the label ${key}: ${yamlText(value)}`
    : onObject(target, "label", `${key}=${value} --overwrite`);

/** The same of a Service, which is what fixes are about mostly. */
export const labelledService = (
  cluster: string,
  { namespace, name }: Pick<Target, "namespace" | "name">,
  [key, value]: readonly [key: string, value: string],
  facts: Keeping,
): string => labelled({ cluster, kind: "Service", namespace, name }, key, value, facts);

export const annotated = (target: Target, key: string, value: string, facts: Keeping): string =>
  isWritten(facts)
    ? `give ${written(target, facts)} the annotation ${key}: ${yamlText(value)}`
    : onObject(target, "annotate", `${key}=${value} --overwrite`);

export const unannotated = (target: Target, key: string, facts: Keeping): string =>
  isWritten(facts)
    ? `take the annotation ${key} off ${written(target, facts)}`
    : onObject(target, "annotate", `${key}-`);

export const edited = (target: Target, facts: Keeping): string =>
  isWritten(facts) ? `edit ${written(target, facts)}` : onObject(target, "edit");

export const deleted = (target: Target, facts: Keeping): string =>
  isWritten(facts) ? `delete ${written(target, facts)}` : onObject(target, "delete");

/** To look at it as it is. */
export const shown = (target: Target, facts: Keeping): string =>
  isWritten(facts) ? `see ${written(target, facts)}` : onObject(target, "get", "-o yaml");

/** Where something that a cluster lacks is to be written. */
export const manifestsOf = (cluster: string, { manifests }: Pick<ExplainFacts, "manifests">): string => {
  const folder = manifests.get(cluster)?.folder;
  return folder === undefined ? `the manifests of cluster ${cluster}` : `the manifests in ${folder}`;
};

/** Whether the clusters that we know of are folders: peers of such a control plane are taken for the same. */
export const isWritten = ({ manifests }: Pick<ExplainFacts, "manifests">): boolean => manifests.size > 0;

/** What a peer said, if it can stand in a command: whoever pastes that must not run what a peer wrote. */
export const pasteable = (text: string | undefined, otherwise: string): string =>
  text !== undefined && /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(text) ? text : otherwise;

function onObject({ cluster, kind, namespace, name }: Target, verb: string, rest = ""): string {
  const within = namespace === "" ? "" : `-n ${namespace} `;
  return kubectl(cluster, `${within}${verb} ${kind.toLowerCase()} ${name} ${rest}`).trim();
}

/** As `Service shop/cart in examples/edge/cart.yaml:12`. */
function written(target: Target, facts: Keeping): string {
  const { cluster, kind, namespace, name } = target;
  return `${kind} ${namespace === "" ? "" : `${namespace}/`}${name} in ${fileOf(target, facts) ?? manifestsOf(cluster, facts)}`;
}

const SOURCES: Readonly<Record<string, (objects: Objects, key: ObjectKey) => string | undefined>> = {
  Service: ({ services }, key) => services.get(key)?.id.origin,
  Namespace: ({ namespaces }, key) => namespaces.get(key)?.origin,
  Gateway: ({ gateways }, key) => gateways.get(key)?.id.origin,
  ServiceEntry: ({ serviceEntries }, key) => serviceEntries.get(key)?.id.origin,
  PeerGrant: ({ peerGrants }, key) => peerGrants.get(key)?.id.origin,
  Segment: ({ segments }, key) => segments.get(key)?.id.origin,
};

/** With its line; undefined if no manifest of ours has it. */
function fileOf({ cluster, kind, namespace, name }: Target, { registry, manifests }: Keeping): string | undefined {
  const place = manifests.get(cluster);
  const origin = SOURCES[kind]?.(registry.objects, objectKey(clusterId(cluster), namespace, name)) ?? "";
  if (place === undefined || origin === "") return undefined;
  const isFurther = (place.furtherFolders ?? []).some((folder) => origin.startsWith(`${folder}/`));
  return isFurther ? origin : `${place.folder}/${origin}`;
}

/** What YAML would read as something else than a text stands in quotes. */
const yamlText = (value: string): string => (/^(true|false|[0-9.+-]+)$/.test(value) ? `"${value}"` : value);
