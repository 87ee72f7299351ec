import type { Collection } from "../registry/collection/collection.ts";
import type { Graph } from "../registry/collection/graph.ts";

/**
 * The names that aliases stand for. Only on-demand clients ask, and most meshes have none: nothing is kept until the
 * first question, and from then on it is kept up with the graph.
 */
export class AliasBook<K extends string, V> {
  readonly #collection: Collection<K, V>;
  readonly #aliasesOf: (value: V) => readonly string[];
  #names: Map<string, Set<K>> | undefined;

  constructor(graph: Graph, collection: Collection<K, V>, aliasesOf: (value: V) => readonly string[]) {
    this.#collection = collection;
    this.#aliasesOf = aliasesOf;
    graph.onSettled(() => this.#follow());
  }

  /** In code unit order; several if values share an address. */
  resolve(alias: string): readonly K[] {
    this.#names ??= this.#read();
    return [...(this.#names.get(alias) ?? [])].sort();
  }

  #read(): Map<string, Set<K>> {
    const names = new Map<string, Set<K>>();
    for (const [key, value] of this.#collection.entries())
      for (const alias of this.#aliasesOf(value)) add(names, alias, key);
    return names;
  }

  #follow(): void {
    const names = this.#names;
    if (names === undefined) return;
    for (const { key, before, after } of this.#collection.batch) {
      for (const alias of before === undefined ? [] : this.#aliasesOf(before)) {
        const keys = names.get(alias);
        keys?.delete(key);
        if (keys?.size === 0) names.delete(alias);
      }
      for (const alias of after === undefined ? [] : this.#aliasesOf(after)) add(names, alias, key);
    }
  }
}

function add<K>(names: Map<string, Set<K>>, alias: string, key: K): void {
  const keys = names.get(alias);
  if (keys === undefined) names.set(alias, new Set([key]));
  else keys.add(key);
}
