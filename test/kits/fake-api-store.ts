import type { ResourceType } from "../../src/kube/api.ts";
import type { KubeObject } from "../../src/kube/object.ts";

/** One step of one object. */
export interface Revision {
  readonly version: number;
  readonly type: ResourceType;
  readonly before: KubeObject | undefined;
  readonly after: KubeObject | undefined;
}

export const typeKey = ({ group, plural }: ResourceType): string => `${plural}.${group}`;
export const nameKey = (namespace: string | undefined, name: string): string => `${namespace ?? ""}/${name}`;
/** A copy that shares nothing. */
export const copyOf = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** What etcd is to an API server: objects, one growing version, and as much history as was not compacted. */
export class FakeStore {
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #observers = new Set<(revision: Revision) => void>();
  #history: Revision[] = [];
  #version = 1_000;
  #compacted = 1_000;
  #uids = 0;
  /** Revisions that are kept for watches that resume. */
  historyMax = 1_000;

  get version(): number {
    return this.#version;
  }
  /** The oldest version from which a watch can resume, or a list go on. */
  get compacted(): number {
    return this.#compacted;
  }

  get(type: ResourceType, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#objects.get(typeKey(type))?.get(nameKey(namespace, name));
  }

  /** In the order of their keys, as etcd has them. */
  list(type: ResourceType): readonly KubeObject[] {
    return [...(this.#objects.get(typeKey(type)) ?? [])]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  /** Creates or replaces; the uid of an object that stays is kept, as its creation time. */
  put(type: ResourceType, draft: KubeObject, nowMs: number): KubeObject {
    const { name, namespace } = draft.metadata;
    const before = this.get(type, namespace, name);
    const made = { uid: `uid-${++this.#uids}`, creationTimestamp: new Date(nowMs).toISOString().slice(0, 19) + "Z" };
    const kept = before && { uid: before.metadata.uid, creationTimestamp: before.metadata.creationTimestamp };
    const metadata = { ...draft.metadata, ...(kept ?? made), resourceVersion: `${++this.#version}` };
    const after = copyOf({ ...draft, metadata }) as KubeObject;
    let objects = this.#objects.get(typeKey(type));
    if (!objects) this.#objects.set(typeKey(type), (objects = new Map<string, KubeObject>()));
    objects.set(nameKey(namespace, name), after);
    this.#note({ version: this.#version, type, before, after });
    return after;
  }

  /** @returns the object as it was, with the version of its end; undefined if there is none. */
  remove(type: ResourceType, namespace: string | undefined, name: string): KubeObject | undefined {
    const object = this.get(type, namespace, name);
    if (!object) return undefined;
    this.#objects.get(typeKey(type))!.delete(nameKey(namespace, name));
    const before = { ...object, metadata: { ...object.metadata, resourceVersion: `${++this.#version}` } };
    this.#note({ version: this.#version, type, before, after: undefined });
    return before;
  }

  /** Forgets all history: what resumes from an older version than the one it makes gets 410. */
  compact(): void {
    this.#compacted = ++this.#version;
    this.#history = [];
  }

  /** Revisions of a type after `version`, oldest first. */
  since(type: ResourceType, version: number): readonly Revision[] {
    return this.#history.filter((revision) => revision.version > version && typeKey(revision.type) === typeKey(type));
  }

  observe(observer: (revision: Revision) => void): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }

  #note(revision: Revision): void {
    this.#history.push(revision);
    if (this.#history.length > this.historyMax) this.#compacted = this.#history.shift()!.version;
    for (const observer of [...this.#observers]) observer(revision);
  }
}
