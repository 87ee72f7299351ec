import { clusterPrefix, objectKey, type ClusterId, type ObjectKey } from "../../names.ts";
import { FieldError, isFields } from "./fields.ts";
import { metadataOf } from "./metadata.ts";
import type { KubeObject, ObjectSink } from "./object.ts";
import { kindsOf, type Kind, type Objects } from "./objects.ts";

/**
 * Reads the objects of one cluster, whatever they hold, into the sources of the registry. An object that cannot be read
 * leaves nothing behind but one problem, which goes when the object is fixed or deleted.
 */
export class Intake implements ObjectSink {
  readonly #kinds: ReadonlyMap<string, Kind>;

  constructor(
    readonly cluster: ClusterId,
    readonly objects: Objects,
    /** Objects that are labelled for another revision are as if absent. */
    readonly revision: string,
  ) {
    this.#kinds = new Map(kindsOf(objects).map((kind) => [kind.kind, kind]));
  }

  known(kind: string, apiVersion: string): boolean {
    return this.#kindOf(kind, apiVersion) !== undefined;
  }

  /** Never throws. An object of a kind that is not `known` is ignored. */
  set(object: KubeObject, origin: string): void {
    const kind = this.#kindOf(object.kind, object.apiVersion);
    if (!kind) return;
    try {
      const metadata = metadataOf(object.metadata, this.cluster, origin, kind.clusterWide);
      const key = objectKey(this.cluster, metadata.namespace, metadata.name);
      const revision = metadata.labels.map.get("istio.io/rev");
      if (kind.revisioned && revision !== undefined && revision !== this.revision) kind.source.delete(key);
      else kind.write(metadata, object, key);
      this.objects.unreadable.delete(this.#problemKey(kind, metadata.namespace, metadata.name));
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      this.#refuse(kind, object, origin, error);
    }
  }

  /** `namespace` is empty for a cluster-wide object. Absent objects and unknown kinds are ignored. */
  delete(kindName: string, namespace: string, name: string): void {
    const kind = this.#kinds.get(kindName);
    if (!kind) return;
    const home = namespaceOf(kind, namespace);
    kind.source.delete(objectKey(this.cluster, home, name));
    this.objects.unreadable.delete(this.#problemKey(kind, home, name));
  }

  /** The cluster leaves, with all that was its. */
  clear(): void {
    for (const kind of this.#kinds.values()) kind.source.replace(clusterPrefix(this.cluster), []);
    this.objects.unreadable.replace(clusterPrefix(this.cluster), []);
  }

  #kindOf(name: string, apiVersion: string): Kind | undefined {
    const kind = this.#kinds.get(name);
    const slash = String(apiVersion).lastIndexOf("/");
    const [group, version] = slash < 0 ? ["", apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
    return kind?.group === group && kind.versions.includes(version) ? kind : undefined;
  }

  #refuse(kind: Kind, object: KubeObject, origin: string, error: FieldError): void {
    const metadata: unknown = object.metadata;
    const text = (field: string): string => {
      const value = isFields(metadata) ? metadata[field] : undefined;
      return typeof value === "string" ? value : "";
    };
    const [namespace, name] = [namespaceOf(kind, text("namespace")), text("name")];
    kind.source.delete(objectKey(this.cluster, namespace, name));
    const shown = [namespace, name].filter((part) => part !== "").map((part) => printable(part));
    this.objects.unreadable.set(this.#problemKey(kind, namespace, name), {
      object: `${kind.kind} ${shown.join("/") || "without a name"}`,
      origin,
      field: error.field,
      message: `${error.field} ${error.message}. The object has no effect until this is fixed.`,
      severity: "error",
    });
  }

  #problemKey(kind: Kind, namespace: string, name: string): ObjectKey {
    return `${clusterPrefix(this.cluster)}${kind.kind}/${namespace.slice(0, 253)}/${name.slice(0, 253)}` as ObjectKey;
  }
}

const namespaceOf = (kind: Kind, namespace: string): string => (kind.clusterWide ? "" : namespace || "default");

/** Names that are refused can hold anything; on the page they must not. */
const printable = (text: string): string => text.slice(0, 80).replace(/[^\x21-\x7e]/g, "?");
