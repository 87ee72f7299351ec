import type { ResourceType } from "./api.ts";
import { isFields } from "./fields.ts";
import type { KubeObject, ObjectSink } from "./object.ts";

/** As much of an object as must be right before anyone sees it. */
export interface Identified {
  /** As `shop/cart`; `/cart` for what has no namespace. */
  readonly key: string;
  readonly uid: string | undefined;
  /** Undefined if it is none that a server would give. */
  readonly resourceVersion: string | undefined;
  readonly fields: Readonly<Record<string, unknown>>;
}

/**
 * Tells a sink of the objects of one kind, and remembers which those are by name: the values live in the sink. What is
 * made anew under a name is set, and takes the place of what had it.
 */
export class Mirror {
  readonly #type: ResourceType;
  readonly #namespace: string | undefined;
  readonly #sink: ObjectSink;
  readonly #known = new Set<string>();
  #apiVersion = "";

  constructor(type: ResourceType, namespace: string | undefined, sink: ObjectSink) {
    this.#type = type;
    this.#namespace = namespace;
    this.#sink = sink;
    this.use(type.versions[0]!);
  }

  /** Objects that the sink has from us. */
  get size(): number {
    return this.#known.size;
  }

  /** Objects that come from now on are of this version. */
  use(version: string): void {
    this.#apiVersion = this.#type.group === "" ? version : `${this.#type.group}/${version}`;
  }

  /** Undefined for what is no object of this kind, with a name, where we asked for it. */
  identify(value: unknown): Identified | undefined {
    if (!isFields(value) || !isFields(value["metadata"])) return undefined;
    const { name, namespace, uid, resourceVersion } = value["metadata"];
    if (!isName(name)) return undefined;
    if (this.#type.namespaced && (!isName(namespace) || namespace.includes("/"))) return undefined;
    if (this.#namespace !== undefined && namespace !== this.#namespace) return undefined;
    return {
      key: this.#type.namespaced ? `${namespace as string}/${name}` : `/${name}`,
      uid: isName(uid) ? uid : undefined,
      resourceVersion: isResourceVersion(resourceVersion) ? resourceVersion : undefined,
      fields: value,
    };
  }

  /** @returns whether it was unknown. */
  set({ key, fields }: Identified): boolean {
    const added = !this.#known.has(key);
    this.#known.add(key);
    // Items of typed lists do not say what they are; those that do cannot know better than the path we asked.
    this.#sink.set({ ...fields, apiVersion: this.#apiVersion, kind: this.#type.kind } as unknown as KubeObject, "");
    return added;
  }

  /** @returns whether it was known; what was not is not passed on. */
  delete(key: string): boolean {
    if (!this.#known.delete(key)) return false;
    const slash = key.indexOf("/");
    const name = key.slice(slash + 1);
    const metadata = this.#type.namespaced ? { name, namespace: key.slice(0, slash) } : { name };
    this.#sink.delete({ apiVersion: this.#apiVersion, kind: this.#type.kind, metadata });
    return true;
  }

  /** Deletes what a complete list did not have. @returns how many that were. */
  retain(listed: ReadonlySet<string>): number {
    const gone = [...this.#known].filter((key) => !listed.has(key));
    for (const key of gone) this.delete(key);
    return gone.length;
  }
}

const isName = (value: unknown): value is string => typeof value === "string" && value !== "";

/** Opaque, but in every server a positive whole number; 0 means any, so it is no place to watch from. */
export function isResourceVersion(value: unknown): value is string {
  return typeof value === "string" && /^[1-9][0-9]{0,19}$/.test(value);
}
