import { createHash } from "node:crypto";
import type { ClusterId } from "../../names.ts";
import { FieldError, fieldsOf, isAbsent, isFields, textOf } from "./fields.ts";
import { Interned } from "./interned.ts";
import { labelsOf, type LabelSet } from "./labels.ts";

const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const NAMESPACE = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

/** What every object has, checked: names are DNS names, labels are text. */
export interface Metadata {
  readonly cluster: ClusterId;
  /** Empty for cluster-wide objects. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: LabelSet;
  readonly annotations: Annotations;
  /** Milliseconds since the Unix epoch; 0 if not said. */
  readonly createdMs: number;
  /** Counts changes of the spec; 0 if not said. */
  readonly generation: number;
  readonly deleting: boolean;
  /** As `shop/cart.yaml:12`; empty if from an API server. */
  readonly origin: string;
}

/** The text of one annotation; undefined if absent. */
export type Annotations = (name: string) => string | undefined;

/** What a derived value or a problem needs to know of the object it came from. */
export interface ObjectId {
  readonly cluster: ClusterId;
  readonly namespace: string;
  readonly name: string;
  readonly createdMs: number;
  readonly origin: string;
}

export const idOf = ({ cluster, namespace, name, createdMs, origin }: Metadata): ObjectId => ({
  cluster,
  namespace,
  name,
  createdMs,
  origin,
});

const texts = new Interned<string>();
/** The same text, kept once. */
export const intern = (text: string): string => texts.get(text, (own) => own);

/** @throws FieldError naming the field of the metadata that cannot be. */
export function metadataOf(value: unknown, cluster: ClusterId, origin: string, clusterWide: boolean): Metadata {
  if (!isFields(value)) throw new FieldError("metadata", "is missing; an object needs metadata.name");
  const name = textOf(value["name"], "metadata.name", 253);
  if (!NAME.test(name))
    throw new FieldError(
      "metadata.name",
      `is ${JSON.stringify(name)}; a name is lower case letters, digits, '-' and '.'`,
    );
  const namespace = clusterWide ? "" : textOf(value["namespace"], "metadata.namespace", 63) || "default";
  if (!clusterWide && !NAMESPACE.test(namespace))
    throw new FieldError(
      "metadata.namespace",
      `is ${JSON.stringify(namespace)}; a namespace is lower case letters, digits and '-'`,
    );
  const annotations = fieldsOf(value["annotations"], "metadata.annotations");
  return {
    cluster,
    namespace: intern(namespace),
    name,
    uid: textOf(value["uid"], "metadata.uid", 128),
    labels: labelsOf(value["labels"], "metadata.labels"),
    annotations: (key) =>
      Object.hasOwn(annotations, key) ? textOf(annotations[key], `metadata.annotations[${key}]`, 262_144) : undefined,
    createdMs: timeOf(value["creationTimestamp"]),
    generation: typeof value["generation"] === "number" ? value["generation"] : 0,
    deleting: value["deletionTimestamp"] !== undefined && value["deletionTimestamp"] !== null,
    origin,
  };
}

/** Where an object is said to be, whatever it is called there; undefined if it does not say so in text. */
export function placeOf(value: unknown, clusterWide: boolean): { namespace: string; name: string } | undefined {
  const { name, namespace } = isFields(value) ? value : {};
  if (typeof name !== "string" || name === "") return undefined;
  if (clusterWide || isAbsent(namespace) || namespace === "") return { namespace: clusterWide ? "" : "default", name };
  return typeof namespace === "string" ? { namespace, name } : undefined;
}

/**
 * A name for our books of what is called `name`: itself, or a stand-in that no object can be called if it is no name;
 * empty for the namespace of what has none. So a text of any length and letters is neither kept nor sent on.
 */
export const bookName = (name: string): string =>
  name === "" || (name.length <= 253 && NAME.test(name))
    ? name
    : `unreadable_${createHash("sha256").update(name).digest("hex").slice(0, 16)}`;

/** As if nothing but its place, and when it was made, were said; undefined if no namespace can be called that. */
export function bareMetadata(value: unknown, cluster: ClusterId, origin: string): Metadata | undefined {
  const place = placeOf(value, false);
  if (!isFields(value) || !place || place.namespace.length > 63 || !NAMESPACE.test(place.namespace)) return undefined;
  return {
    cluster,
    namespace: intern(place.namespace),
    name: bookName(place.name),
    uid: "",
    labels: labelsOf(undefined, "metadata.labels"),
    annotations: () => undefined,
    createdMs: timeOf(value["creationTimestamp"]),
    generation: 0,
    deleting: false,
    origin,
  };
}

function timeOf(value: unknown): number {
  const ms = typeof value === "string" ? Date.parse(value) : value instanceof Date ? value.getTime() : NaN;
  return Number.isFinite(ms) ? ms : 0;
}
