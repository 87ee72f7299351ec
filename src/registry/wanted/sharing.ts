import type { ClusterId, ServiceName } from "../../names.ts";
import { byCodeUnit, type Collection } from "../collection/collection.ts";
import { CollectionNode, type Graph, rankAbove } from "../collection/graph.ts";
import type { GlobalMember } from "../global-members.ts";

/** Who shares a service, and what else it is called; both sorted. */
export interface Sharing {
  readonly clusters: readonly ClusterId[];
  readonly aliases: readonly string[];
}

/** By the global name of each service. One cluster more is one step, however many have the service already. */
export function sharingOf<K extends string>(
  graph: Graph,
  members: Collection<K, GlobalMember>,
): Collection<ServiceName, Sharing> {
  const node = new SharingByName(members);
  graph.add(node);
  return node;
}

class SharingByName<K extends string> extends CollectionNode<ServiceName, Sharing> {
  readonly #clusters = new Map<ServiceName, readonly ClusterId[]>();
  /** How many members have each. */
  readonly #aliases = new Map<ServiceName, Map<string, number>>();

  constructor(readonly members: Collection<K, GlobalMember>) {
    super(
      "sharing-of-hosts",
      rankAbove([members]),
      (a, b) => sameTexts(a.clusters, b.clusters) && sameTexts(a.aliases, b.aliases),
    );
  }

  override settle(): void {
    const touched = new Set<ServiceName>();
    for (const { before, after } of this.members.batch) {
      if (before !== undefined) this.#count(before, -1, touched);
      if (after !== undefined) this.#count(after, 1, touched);
    }
    for (const name of touched) {
      const clusters = this.#clusters.get(name);
      const aliases = [...(this.#aliases.get(name)?.keys() ?? [])].sort(byCodeUnit);
      this.write(name, clusters && { clusters, aliases });
    }
  }

  #count({ cluster, names: [{ service }, ...others] }: GlobalMember, step: 1 | -1, touched: Set<ServiceName>): void {
    touched.add(service);
    const clusters = moved(this.#clusters.get(service) ?? [], cluster, step);
    if (clusters.length === 0) this.#clusters.delete(service);
    else this.#clusters.set(service, clusters);
    for (const { host, kind } of others) if (kind === "alias") this.#countAlias(service, host, step);
  }

  #countAlias(service: ServiceName, host: string, step: 1 | -1): void {
    const counts = this.#aliases.get(service) ?? new Map<string, number>();
    const count = (counts.get(host) ?? 0) + step;
    if (count === 0) counts.delete(host);
    else counts.set(host, count);
    if (counts.size === 0) this.#aliases.delete(service);
    else this.#aliases.set(service, counts);
  }
}

/** With, or without, one: a cluster has at most one service of a name. */
function moved(sorted: readonly ClusterId[], cluster: ClusterId, step: 1 | -1): readonly ClusterId[] {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < cluster) low = middle + 1;
    else high = middle;
  }
  return step > 0
    ? [...sorted.slice(0, low), cluster, ...sorted.slice(low)]
    : [...sorted.slice(0, low), ...sorted.slice(low + 1)];
}

const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, at) => text === b[at]);
