import { clusterPrefix, objectKey, type ClusterId, type ObjectKey } from "../../names.ts";
import { FieldError } from "./fields.ts";
import { bareMetadata, bookName, metadataOf, placeOf } from "./metadata.ts";
import type { KubeObject, ObjectSink } from "./object.ts";
import { kindsOf, type Kind, type Objects } from "./objects.ts";

/**
 * Reads the objects of one cluster, whatever they hold, into the sources of the registry. An object that cannot be read
 * leaves nothing behind but one problem, which goes when the object is fixed or deleted. A policy, though, stays as it
 * last was, or denies what it may have denied: one that is missing lets traffic through.
 */
export class Intake implements ObjectSink {
  readonly #kinds: ReadonlyMap<string, Kind>;
  /** Objects with a problem, by the key of that. */
  readonly #refused = new Set<ObjectKey>();
  /** Policies that were read once, by the key that their problem would have. */
  readonly #readBefore = new Set<ObjectKey>();

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
      const problem = this.#problemKey(kind, metadata.namespace, metadata.name);
      if (kind.writeDoubtful) this.#readBefore.add(problem);
      this.#settle(problem);
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      this.#refuse(kind, object, origin, error);
    }
  }

  /** `namespace` is empty for a cluster-wide object. Absent objects and unknown kinds are ignored. */
  delete(kindName: string, namespace: string, name: string): void {
    const kind = this.#kinds.get(kindName);
    if (!kind) return;
    const home = kind.clusterWide ? "" : namespace || "default";
    const problem = this.#problemKey(kind, home, name);
    kind.source.delete(objectKey(this.cluster, home, bookName(name)));
    this.#readBefore.delete(problem);
    this.#settle(problem);
  }

  /** The cluster leaves, with all that was its. */
  clear(): void {
    for (const kind of this.#kinds.values()) kind.source.replace(clusterPrefix(this.cluster), []);
    this.objects.unreadable.replace(clusterPrefix(this.cluster), []);
    this.#refused.clear();
    this.#readBefore.clear();
  }

  #kindOf(name: string, apiVersion: string): Kind | undefined {
    const kind = this.#kinds.get(name);
    const slash = String(apiVersion).lastIndexOf("/");
    const [group, version] = slash < 0 ? ["", apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
    return kind?.group === group && kind.versions.includes(version) ? kind : undefined;
  }

  #refuse(kind: Kind, object: KubeObject, origin: string, error: FieldError): void {
    const { namespace, name } = placeOf(object.metadata, kind.clusterWide) ?? { namespace: "", name: "" };
    const problem = this.#problemKey(kind, namespace, name);
    const effect = this.#withdraw(kind, object, origin, problem);
    const shown = [namespace, name].filter((part) => part !== "").map((part) => printable(part));
    this.#refused.add(problem);
    this.objects.unreadable.set(problem, {
      object: `${kind.kind} ${shown.join("/") || "without a name"}`,
      origin,
      field: error.field,
      message: `${error.field} ${error.message}. Until this is fixed, ${effect}.`,
      severity: "error",
    });
  }

  /** @returns what holds instead of the object. */
  #withdraw(kind: Kind, object: KubeObject, origin: string, problem: ObjectKey): string {
    const place = placeOf(object.metadata, kind.clusterWide);
    if (!kind.writeDoubtful) {
      if (place) kind.source.delete(objectKey(this.cluster, place.namespace, bookName(place.name)));
      return "the object has no effect";
    }
    if (this.#readBefore.has(problem)) return "what the object said before stays in force";
    const bare = bareMetadata(object.metadata, this.cluster, origin);
    if (!bare) return "NOTHING that it denies is denied, since nobody can tell where it belongs";
    kind.writeDoubtful(bare, object, objectKey(this.cluster, bare.namespace, bare.name));
    return "what it denies is denied, and what it allows is not allowed";
  }

  #settle(problem: ObjectKey): void {
    if (this.#refused.delete(problem)) this.objects.unreadable.delete(problem);
  }

  #problemKey(kind: Kind, namespace: string, name: string): ObjectKey {
    return `${clusterPrefix(this.cluster)}${kind.kind}/${bookName(namespace)}/${bookName(name)}` as ObjectKey;
  }
}

/** Names that are refused can hold anything; on the page they must not. */
const printable = (text: string): string => text.slice(0, 80).replace(/[^\x21-\x7e]/g, "?");
