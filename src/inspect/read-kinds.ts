import type { Selection } from "../kube/list-paths.ts";
import type { KubeObject } from "../kube/object.ts";
import { type KindFacts, kindName } from "./cluster-facts.ts";
import { inTurns } from "./in-turns.ts";

const LISTS_AT_ONCE = 6;

/** What is known of each kind, by `kindName`, whatever its number of selections. @throws what `read` throws. */
export async function readKinds(
  selections: readonly Selection[],
  read: (selection: Selection) => Promise<KindFacts>,
): Promise<ReadonlyMap<string, KindFacts>> {
  const lists = await inTurns(selections, LISTS_AT_ONCE, read);
  const kinds = new Map<string, KindFacts>();
  for (const [at, { type }] of selections.entries()) {
    const known = kinds.get(kindName(type));
    kinds.set(kindName(type), known === undefined ? lists[at]! : joined(known, lists[at]!));
  }
  return kinds;
}

/** Two selections of one kind: what is known of both, or why one of them is not. */
function joined(one: KindFacts, other: KindFacts): KindFacts {
  if (!("objects" in one)) return one;
  if (!("objects" in other)) return other;
  const byName = new Map([...one.objects, ...other.objects].map((object) => [nameOf(object), object]));
  return { objects: [...byName.values()] };
}

const nameOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ""}/${metadata.name}`;
