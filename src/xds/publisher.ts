import { type ErrorCode, MeshError } from "../errors.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { Resource, ResourceChange } from "./resource.ts";

/** A value that has no encoding; clients keep what they had. */
export interface Refusal {
  readonly name: string;
  readonly code: ErrorCode;
  readonly reason: string;
}

/**
 * Turns the changes of one collection into changes of a log. A value that cannot be encoded is left out and shown in
 * `refusals`: clients keep the last good one, since an endpoint goes only on positive evidence.
 */
export class Publisher<K extends string, V> {
  readonly #collection: Collection<K, V>;
  readonly #encode: (value: V) => Resource;
  readonly #needsCompanions: (before: V, after: V) => boolean;
  readonly #refusals = new Map<string, Refusal>();

  constructor(
    collection: Collection<K, V>,
    encode: (value: V) => Resource,
    /** True if clients that hold `before` need the companions again to make sense of `after` (pitfall 5). */
    needsCompanions: (before: V, after: V) => boolean = () => false,
  ) {
    this.#collection = collection;
    this.#encode = encode;
    this.#needsCompanions = needsCompanions;
  }

  get refusals(): Iterable<Refusal> {
    return this.#refusals.values();
  }

  /** The changes of the flush now running. */
  changes(): readonly ResourceChange[] {
    const changes: ResourceChange[] = [];
    for (const { key, before, after } of this.#collection.batch) {
      const resource = after === undefined ? undefined : this.#tryEncode(key, after);
      if (resource === undefined && after !== undefined) continue;
      this.#refusals.delete(key);
      const bringCompanions = before !== undefined && after !== undefined && this.#needsCompanions(before, after);
      changes.push({ name: key, after: resource, bringCompanions });
    }
    return changes;
  }

  #tryEncode(name: string, value: V): Resource | undefined {
    try {
      return this.#encode(value);
    } catch (thrown) {
      const { code, message } = MeshError.from(thrown);
      this.#refusals.set(name, { name, code, reason: message });
      return undefined;
    }
  }
}
