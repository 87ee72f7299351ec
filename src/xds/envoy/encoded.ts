import { MeshError } from "../../errors.ts";
import type { Collection } from "../../registry/collection/collection.ts";
import { CollectionNode, type Graph, rankAbove } from "../../registry/collection/graph.ts";
import { gatewayOf, proxyKey } from "../../registry/model/proxy-service.ts";
import type { Refusal } from "../publisher.ts";
import type { Resource, TypeUrl } from "../resource.ts";
import { toResource } from "../wire.ts";

/** Values that become resources of one type. */
export interface Encoding {
  /** Keys are `proxyKey(gateway, name)`. */
  readonly from: Collection<string, unknown>;
  /** Takes one of its values. @throws MeshError if it has no encoding. */
  readonly encode: (value: never) => Uint8Array;
  /** The name of the resource of `name`. */
  readonly rename: (name: string) => string;
}

/** Pairs values with what encodes them. */
export const encoding = <V>(
  from: Collection<string, V>,
  encode: (value: V) => Uint8Array,
  rename: (name: string) => string = (name) => name,
): Encoding => ({ from, encode, rename });

/** Resources of one type, and which values could not become one. */
export interface EncodedResources extends Collection<string, Resource> {
  readonly refusals: Iterable<Refusal>;
}

/**
 * Encodes what changed, and nothing else. A value that cannot be encoded is shown in `refusals`, and what it was before
 * stays: a proxy goes on as it was, since what guards traffic goes only on positive evidence.
 */
export function encoded(
  graph: Graph,
  name: string,
  typeUrl: TypeUrl,
  encodings: readonly Encoding[],
): EncodedResources {
  const node = new Encoded(name, typeUrl, encodings);
  graph.add(node);
  return node;
}

class Encoded extends CollectionNode<string, Resource> implements EncodedResources {
  readonly #typeUrl: TypeUrl;
  readonly #encodings: readonly Encoding[];
  readonly #refusals = new Map<string, Refusal>();

  constructor(name: string, typeUrl: TypeUrl, encodings: readonly Encoding[]) {
    super(name, rankAbove(encodings.map(({ from }) => from)), (a, b) => a.version === b.version && a.name === b.name);
    this.#typeUrl = typeUrl;
    this.#encodings = encodings;
  }

  get refusals(): Iterable<Refusal> {
    return this.#refusals.values();
  }

  override settle(): void {
    for (const { from, encode, rename } of this.#encodings)
      for (const { key, after } of from.batch) {
        const name = rename(key.slice(key.indexOf(" ") + 1));
        this.#take(proxyKey(gatewayOf(key), name), name, after, encode as (value: unknown) => Uint8Array);
      }
  }

  #take(key: string, name: string, value: unknown, encode: (value: unknown) => Uint8Array): void {
    this.#refusals.delete(key);
    if (value === undefined) return this.write(key, undefined);
    try {
      this.write(key, toResource(this.#typeUrl, name, encode(value)));
    } catch (thrown) {
      const { code, message } = MeshError.from(thrown);
      this.#refusals.set(key, { name: key, code, reason: message });
    }
  }
}
