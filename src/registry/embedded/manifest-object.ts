import type { KubeMetadata, KubeObject } from "../../kube/object.ts";
import { type Fields, isFields } from "./fields.ts";

/** A document that is not an object of Kubernetes. */
export class Unreadable extends Error {
  constructor(
    /** As `Service shop/cart`; as much of it as could be read. */
    readonly object: string,
    readonly field: string,
    message: string,
  ) {
    super(message);
  }
}

/** What an API server accepts as the end of a path: most kinds are stricter, none is looser. */
const NAME = /^[A-Za-z0-9](?:[-A-Za-z0-9._:]{0,251}[A-Za-z0-9])?$/;
/** RFC 1123. */
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** What tools keep beside manifests, and no API server ever sees: it is listed with what nothing here reads. */
const NAMELESS_GROUPS: ReadonlySet<string> = new Set(["kustomize.config.k8s.io"]);

/** Checks what `KubeObject` promises and nothing more. @throws Unreadable naming the field. */
export function readObject(value: unknown): KubeObject {
  if (!isFields(value)) throw new Unreadable("", "", "a document must be a map with apiVersion, kind and metadata");
  const { apiVersion, kind, metadata } = value;
  if (typeof kind !== "string" || kind === "")
    throw new Unreadable("", "kind", "kind is missing or not text; every object needs one, as kind: Service");
  if (typeof apiVersion !== "string" || apiVersion === "")
    throw new Unreadable(kind, "apiVersion", "apiVersion is missing or not text; every object needs one, as v1");
  if (metadata === undefined && NAMELESS_GROUPS.has(apiVersion.split("/")[0]!))
    return { ...value, apiVersion, kind, metadata: { name: kind.toLowerCase() } };
  if (!isFields(metadata)) throw new Unreadable(kind, "metadata", "metadata is missing or not a map; give it a name");
  checkJson(kind, value);
  return { ...value, apiVersion, kind, metadata: readMetadata(kind, metadata) };
}

function readMetadata(kind: string, given: Fields): KubeMetadata {
  // What tools export holds nulls, as `creationTimestamp: null`, and an API server takes them for absent.
  const metadata = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
  const { name, namespace } = metadata;
  if (typeof name !== "string" || !NAME.test(name))
    throw new Unreadable(
      kind,
      "metadata.name",
      `metadata.name is ${show(name)}; it must be text of letters, digits, '-' and '.', at most 253`,
    );
  const object = `${kind} ${typeof namespace === "string" ? `${namespace}/` : ""}${name}`;
  if (namespace !== undefined && (typeof namespace !== "string" || !NAMESPACE.test(namespace)))
    throw new Unreadable(
      object,
      "metadata.namespace",
      `metadata.namespace is ${show(namespace)}; it must be text of a-z, 0-9 and '-', at most 63`,
    );
  for (const field of ["uid", "generateName", "creationTimestamp", "deletionTimestamp"])
    if (metadata[field] !== undefined && typeof metadata[field] !== "string")
      throw new Unreadable(object, `metadata.${field}`, `metadata.${field} must be text; quote it`);
  return {
    ...metadata,
    name,
    ...readTexts(object, "labels", metadata["labels"]),
    ...readTexts(object, "annotations", metadata["annotations"]),
    ...readOwners(object, metadata["ownerReferences"]),
  };
}

function readTexts(object: string, field: "labels" | "annotations", value: unknown): Partial<KubeMetadata> {
  if (value === undefined) return {};
  if (!isFields(value)) throw new Unreadable(object, `metadata.${field}`, `metadata.${field} must be a map of text`);
  const texts = Object.entries(value).map(([key, text]): [string, string] => {
    if (text === null) return [key, ""];
    if (typeof text === "string") return [key, text];
    const at = `metadata.${field}[${JSON.stringify(key)}]`;
    throw new Unreadable(object, at, `${at} is ${show(text)}; it must be text, quote it`);
  });
  return { [field]: Object.fromEntries(texts) };
}

function readOwners(object: string, value: unknown): Partial<KubeMetadata> {
  if (value === undefined) return {};
  const owners = Array.isArray(value) ? value : [value];
  for (const owner of owners)
    if (!isFields(owner) || typeof owner["kind"] !== "string" || typeof owner["name"] !== "string")
      throw new Unreadable(
        object,
        "metadata.ownerReferences",
        "metadata.ownerReferences must be a list of maps, each with kind and name",
      );
  return { ownerReferences: owners };
}

/** An alias that lies within its own anchor makes an object that contains itself. */
function checkJson(kind: string, value: Fields): void {
  try {
    JSON.stringify(value);
  } catch {
    throw new Unreadable(kind, "", "an alias refers to what it is a part of; write the value out");
  }
}

const show = (value: unknown): string =>
  value === undefined ? "missing" : (JSON.stringify(value) ?? "?").slice(0, 80);
