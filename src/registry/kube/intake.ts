import assert from "node:assert/strict";
import type { ChangeWatch } from "../../change-watch.ts";
import { clusterPrefix, objectKey, type ClusterId, type ObjectKey } from "../../names.ts";
import type { Source } from "../collection/source.ts";
import type { Problem } from "../model/problem.ts";
import { describe, FieldError } from "./fields.ts";
import { readGenerated } from "./generated.ts";
import { HeldObjects } from "./held-objects.ts";
import { bareMetadata, bookName, metadataOf, placeOf, type Metadata } from "./metadata.ts";
import type { KubeObject, ObjectReference, ObjectSink } from "../../kube/object.ts";
import { kindsOf, type Kind, type Objects } from "./objects.ts";

/**
 * Reads the objects of one cluster, whatever they hold, into the sources of the registry. An object that cannot be read
 * leaves nothing behind but one problem, which goes when the object is fixed or deleted. What guards traffic, though,
 * stays as it last was; and a policy that was never read denies what it may have been meant to deny.
 */
export class Intake implements ObjectSink {
  readonly #kinds: ReadonlyMap<string, Kind>;
  /** Undefined once the cluster is in the mesh. */
  #held: HeldObjects | undefined;
  /** Objects with a problem, by the key of that. */
  readonly #refused = new Set<ObjectKey>();
  /** What guards traffic and was read once, by the key that their problem would have. */
  readonly #readBefore = new Set<ObjectKey>();
  #nameless = 0;

  constructor(
    readonly cluster: ClusterId,
    readonly objects: Objects,
    /** Objects that are labelled for another revision are as if absent. */
    readonly revision: string,
    /** True if nothing of it may show before `join`. */
    held = false,
    /** Where control planes keep what they generate. */
    readonly systemNamespace = "istio-system",
    readonly changes?: Pick<ChangeWatch, "arrived">,
  ) {
    this.#held = held ? new HeldObjects() : undefined;
    this.#kinds = new Map(kindsOf(objects).map((kind) => [kind.kind, kind]));
  }

  /** True also for versions that are not read: an object of a kind that is must not be passed over in silence. */
  known(kind: string, apiVersion: string): boolean {
    return this.#kindOf(kind, apiVersion) !== undefined;
  }

  /** Never throws. An object of a kind that is not `known` is ignored. */
  set(object: KubeObject, origin: string): void {
    const kind = this.#kindOf(object.kind, object.apiVersion);
    if (!kind) return;
    try {
      checkVersion(kind, object.apiVersion);
      const metadata = metadataOf(object.metadata, this.cluster, origin, kind.clusterWide);
      const key = objectKey(this.cluster, metadata.namespace, metadata.name);
      this.#noteArrival(kind, metadata, false);
      const revision = metadata.labels.map.get("istio.io/rev");
      const ours = !kind.revisioned || revision === undefined || revision === this.revision;
      const apart = this.#setApart(kind, key, metadata, object);
      this.#write(kind.source, key, ours && !apart ? this.#read(kind, key, metadata, object) : undefined);
      // Of a hundred thousand pods none is here, usually.
      if (kind.guards || this.#refused.size > 0) this.#accept(kind, metadata);
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      this.#refuse(kind, object, origin, error);
    }
  }

  /** Absent objects and unknown kinds are ignored. */
  delete({ kind: kindName, apiVersion, metadata }: ObjectReference): void {
    const kind = this.#kindOf(kindName, apiVersion);
    const place = placeOf(metadata, kind?.clusterWide ?? false);
    if (!kind || !place) return;
    this.#noteArrival(kind, place, true);
    const problem = this.#problemKey(kind, place);
    const key = objectKey(this.cluster, place.namespace, bookName(place.name));
    this.#write(kind.source, key, undefined);
    if (kind.generated) this.#write(kind.generated as AnySource, key, undefined);
    this.#readBefore.delete(problem);
    this.#settle(problem);
  }

  #noteArrival({ kind }: Kind, { namespace, name }: Place, deleted: boolean): void {
    if (this.#held !== undefined || this.changes === undefined) return;
    this.changes.arrived({ cluster: this.cluster, kind, name: `${namespace}/${name}`, deleted });
  }

  /** Makes what was read so far the cluster's objects, in place of all that was there; changes pass from then on. */
  join(): void {
    assert(this.#held, `cluster ${this.cluster} joined twice`);
    this.#held.release(clusterPrefix(this.cluster), this.#sources());
    this.#held = undefined;
  }

  /** The cluster leaves, with all that was its. */
  clear(): void {
    for (const source of this.#sources()) source.replace(clusterPrefix(this.cluster), []);
    this.#refused.clear();
    this.#readBefore.clear();
  }

  /** @throws FieldError */
  #read(kind: Kind, key: ObjectKey, metadata: Metadata, object: KubeObject): unknown {
    const now = kind.read(metadata, object);
    const before = kind.amend && kind.source.get(key);
    return before === undefined ? now : kind.amend!(now, before);
  }

  #sources(): readonly AnySource[] {
    const kinds = Array.from(this.#kinds.values(), ({ source, generated }) =>
      generated ? [source, generated as AnySource] : [source],
    );
    return [...kinds.flat(), this.objects.unreadable as AnySource];
  }

  /** @returns true for an object that a control plane generated: it shows something, and asks for nothing. */
  #setApart({ generated }: Kind, key: ObjectKey, metadata: Metadata, object: KubeObject): boolean {
    if (!generated) return false;
    const found = metadata.namespace === this.systemNamespace ? readGenerated(metadata, object) : undefined;
    this.#write(generated as AnySource, key, found);
    return found !== undefined;
  }

  #write(source: AnySource, key: ObjectKey, value: unknown): void {
    if (this.#held !== undefined) this.#held.write(source, key, value);
    else if (value === undefined) source.delete(key);
    else source.set(key, value);
  }

  #kindOf(name: string, apiVersion: string): Kind | undefined {
    const kind = this.#kinds.get(name);
    return kind?.group === groupAndVersion(apiVersion)[0] ? kind : undefined;
  }

  #accept(kind: Kind, { namespace, name, origin }: Metadata): void {
    const problem = this.#problemKey(kind, { namespace, name });
    if (kind.guards) this.#readBefore.add(problem);
    this.#settle(problem);
    if (origin !== "") this.#settle(this.#namelessKey(kind, origin));
  }

  #refuse(kind: Kind, object: KubeObject, origin: string, error: FieldError): void {
    const place = placeOf(object.metadata, kind.clusterWide);
    const problem = place ? this.#problemKey(kind, place) : this.#namelessKey(kind, origin);
    const effect = this.#withdraw(kind, object, origin, problem);
    const shown =
      place &&
      [place.namespace, place.name]
        .filter((part) => part !== "")
        .map(printable)
        .join("/");
    this.#refused.add(problem);
    this.#write(this.objects.unreadable as AnySource, problem, {
      object: `${kind.kind} ${shown ?? "without a name"}`,
      origin,
      field: error.field,
      message: `${error.field} ${error.message}. Until this is fixed, ${effect}.`,
      severity: "error",
    } satisfies Problem);
  }

  /** @returns what holds instead of the object. */
  #withdraw(kind: Kind, object: KubeObject, origin: string, problem: ObjectKey): string {
    const place = placeOf(object.metadata, kind.clusterWide);
    const key = place && objectKey(this.cluster, place.namespace, bookName(place.name));
    if (this.#readBefore.has(problem) || this.#keepFormer(kind, key))
      return "what the object said before stays in force";
    if (!kind.readDoubtful) {
      if (key !== undefined) this.#write(kind.source, key, undefined);
      return "the object has no effect";
    }
    const bare = bareMetadata(object.metadata, this.cluster, origin);
    if (!bare) return "NOTHING that it denies is denied, since nobody can tell where it belongs";
    this.#write(kind.source, objectKey(this.cluster, bare.namespace, bare.name), kind.readDoubtful(bare, object));
    return "what it denies is denied, and what it allows is not allowed";
  }

  /** A cluster that is about to join anew takes over what guarded it so far. */
  #keepFormer(kind: Kind, key: ObjectKey | undefined): boolean {
    const former = this.#held === undefined || !kind.guards || key === undefined ? undefined : kind.source.get(key);
    if (former === undefined) return false;
    this.#write(kind.source, key!, former);
    return true;
  }

  #settle(problem: ObjectKey): void {
    if (this.#refused.delete(problem)) this.#write(this.objects.unreadable as AnySource, problem, undefined);
  }

  #problemKey(kind: Kind, { namespace, name }: { readonly namespace: string; readonly name: string }): ObjectKey {
    return `${clusterPrefix(this.cluster)}${kind.kind}/${bookName(namespace)}/${bookName(name)}` as ObjectKey;
  }

  /** What has no name is known by where it was read. Without that, the last hundred are remembered. */
  #namelessKey(kind: Kind, origin: string): ObjectKey {
    const which = origin === "" ? `#${this.#nameless++ % NAMELESS_MAX}` : ` at ${origin}`;
    return `${clusterPrefix(this.cluster)}${kind.kind} without a name${which}` as ObjectKey;
  }
}

const NAMELESS_MAX = 100;

type Place = { readonly namespace: string; readonly name: string };
type AnySource = Source<ObjectKey, unknown>;

/** @throws FieldError for a version that is not read. */
function checkVersion({ group, versions }: Kind, apiVersion: string): void {
  if (versions.includes(groupAndVersion(apiVersion)[1])) return;
  const known = versions.map((version) => (group === "" ? version : `${group}/${version}`));
  throw new FieldError("apiVersion", `is ${describe(apiVersion)}; use ${known.join(" or ")}`);
}

/** The core group is empty. */
function groupAndVersion(apiVersion: string): readonly [group: string, version: string] {
  const text = String(apiVersion);
  const slash = text.lastIndexOf("/");
  return [text.slice(0, Math.max(0, slash)), text.slice(slash + 1)];
}

/** Names that are refused can hold anything; on the page they must not. */
const printable = (text: string): string => text.slice(0, 80).replace(/[^\x21-\x7e]/g, "?");
