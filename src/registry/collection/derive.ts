import { isDeepStrictEqual } from "node:util";
import type { Collection, Lookup } from "./collection.ts";
import { CollectionNode, type Graph } from "./graph.ts";

type Lookups = Record<string, Lookup<string, unknown>>;
type Tracked<W extends Lookups> = {
  readonly [N in keyof W]: W[N] extends Lookup<infer Q, infer R> ? { get(query: Q): R } : never;
};

export interface Derivation<K extends string, V, W extends Lookups, K2 extends string, V2> {
  readonly name: string;
  readonly from: Collection<K, V>;
  /** What `to` may look up. A lookup it makes is remembered, and reruns it when the answer changes. */
  readonly reads: W;
  /** Pure: the same value and answers give the same outputs. */
  readonly to: (value: V, reads: Tracked<W>, key: K) => Iterable<readonly [K2, V2]>;
  readonly equals?: (a: V2, b: V2) => boolean;
}

/** A collection computed from another, one key at a time. */
export function derive<K extends string, V, W extends Lookups, K2 extends string, V2>(
  graph: Graph,
  derivation: Derivation<K, V, W, K2, V2>,
): Collection<K2, V2> {
  const node = new Derived(derivation);
  graph.add(node);
  return node;
}

class Derived<K extends string, V, W extends Lookups, K2 extends string, V2> extends CollectionNode<K2, V2> {
  readonly #outputs = new Map<K, readonly K2[]>();
  readonly #asked = new Map<string, Map<string, Set<K>>>();
  readonly #questions = new Map<K, [Map<string, Set<K>>, string][]>();
  readonly #reads: Tracked<W>;
  #current: K | undefined;

  constructor(readonly derivation: Derivation<K, V, W, K2, V2>) {
    const inputs = [derivation.from, ...Object.values(derivation.reads)];
    super(derivation.name, 1 + Math.max(...inputs.map((input) => input.rank)), derivation.equals ?? isDeepStrictEqual);
    this.#reads = Object.fromEntries(
      Object.entries(derivation.reads).map(([label, lookup]) => {
        const asked = new Map<string, Set<K>>();
        this.#asked.set(label, asked);
        return [
          label,
          {
            get: (query: string) => {
              let askers = asked.get(query);
              if (!askers) asked.set(query, (askers = new Set()));
              const key = this.#current as K;
              if (!askers.has(key)) {
                askers.add(key);
                const questions = this.#questions.get(key);
                if (questions) questions.push([asked, query]);
                else this.#questions.set(key, [[asked, query]]);
              }
              return lookup.get(query);
            },
          },
        ];
      }),
    ) as unknown as Tracked<W>;
  }

  override settle(): void {
    const stale = new Set<K>(this.derivation.from.batch.map((change) => change.key));
    for (const [label, lookup] of Object.entries(this.derivation.reads)) {
      const asked = this.#asked.get(label);
      if (!asked || asked.size === 0) continue;
      const keys = "keys" in lookup.changed ? lookup.changed.keys() : lookup.changed;
      for (const query of keys) for (const key of asked.get(query) ?? []) stale.add(key);
    }
    for (const key of stale) this.#rerun(key);
  }

  #rerun(key: K): void {
    this.#current = key;
    for (const [asked, query] of this.#questions.get(key) ?? []) {
      const askers = asked.get(query);
      askers?.delete(key);
      if (askers?.size === 0) asked.delete(query);
    }
    this.#questions.delete(key);
    const value = this.derivation.from.get(key);
    const outputs = new Map(value === undefined ? [] : this.derivation.to(value, this.#reads, key));
    for (const old of this.#outputs.get(key) ?? []) if (!outputs.has(old)) this.write(old, undefined);
    for (const [outputKey, output] of outputs) this.write(outputKey, output);
    if (outputs.size === 0) this.#outputs.delete(key);
    else this.#outputs.set(key, [...outputs.keys()]);
  }
}
