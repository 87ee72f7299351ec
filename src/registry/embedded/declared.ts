import type { ClusterId } from "../../names.ts";
import type { KubeObject } from "../../kube/object.ts";
import type { Problem } from "../model/problem.ts";
import { objectUid } from "./object-uid.ts";

/** An object of the cluster, and where it was read: derived objects have the origin of what they derive from. */
export interface Declared {
  readonly object: KubeObject;
  /** As `shop/cart.yaml:12`. */
  readonly origin: string;
}

/** Objects by `kindKey`. */
export type DeclaredObjects = ReadonlyMap<string, Declared>;

/** A problem before it is known where its object was read. */
export type Fault = Omit<Problem, "origin" | "object">;

/** What tells objects of one cluster apart: `kind/namespace/name`. */
export const kindKey = (kind: string, namespace: string, name: string): string => `${kind}/${namespace}/${name}`;

export const keyOf = (object: KubeObject): string =>
  kindKey(object.kind, object.metadata.namespace ?? "", object.metadata.name);

export const namespaceOf = (object: KubeObject): string => object.metadata.namespace ?? "";

/** As `Deployment shop/cart`. */
export const titleOf = (object: KubeObject): string =>
  `${object.kind} ${object.metadata.namespace === undefined ? "" : `${object.metadata.namespace}/`}${object.metadata.name}`;

export const problemOf = (declared: Declared, fault: Fault): Problem => ({
  object: titleOf(declared.object),
  origin: declared.origin,
  ...fault,
});

/** The API group, empty for the core one. */
export const groupOf = (apiVersion: string): string => (apiVersion.includes("/") ? apiVersion.split("/", 1)[0]! : "");

/** Cluster-wide kinds that the registry or the controllers here may read; every other kind has a namespace. */
const CLUSTER_WIDE: ReadonlySet<string> = new Set(["Namespace", "Node", "GatewayClass"]);

export const isClusterWide = (kind: string): boolean => CLUSTER_WIDE.has(kind);

/** What selectors of namespaces go by. */
const NAME_LABEL = "kubernetes.io/metadata.name";

/** Gives an object what an API server would: a namespace if its kind has one, a uid, and a Namespace its name label. */
export function admit(cluster: ClusterId, object: KubeObject): KubeObject {
  const { namespace: stated, ...metadata } = object.metadata;
  const namespace = isClusterWide(object.kind) ? undefined : (stated ?? "default");
  const uid = metadata.uid ?? objectUid(cluster, object.kind, namespace ?? "", metadata.name);
  const named = object.kind === "Namespace" ? { labels: { ...metadata.labels, [NAME_LABEL]: metadata.name } } : {};
  return { ...object, metadata: { ...metadata, ...named, ...(namespace === undefined ? {} : { namespace }), uid } };
}
