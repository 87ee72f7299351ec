import type { SpireEntry } from "./spire.ts";

/** An entry that is to be, under the agent of a node. */
export interface EntryToBe extends Omit<SpireEntry, "parentId" | "admin" | "downstream" | "expiresAt"> {
  /** By name. */
  readonly node: string;
}

/** The agent of a node; undefined while none is known. */
export type ParentOf = (node: string) => string | undefined;

/** What the server has, as far as it matters to a registrar. */
export class RegisteredEntries {
  readonly #own = new Map<string, SpireEntry>();
  /** What was wanted of those that were found to be so, and their parent: to be compared but once. */
  readonly #agreed = new Map<string, { readonly wanted: EntryToBe; readonly parentId: string }>();
  /** What others' entries for single pods are told apart by. */
  readonly #others = new Set<string>();

  /** Those that are ours, by id. */
  get own(): ReadonlyMap<string, SpireEntry> {
    return this.#own;
  }

  /** One that is not ours counts only if it is for one pod, as all of ours are. */
  add(entry: SpireEntry, isOwn: boolean): void {
    if (isOwn) {
      this.#own.set(entry.id, entry);
      this.#agreed.delete(entry.id);
    } else if (entry.selectors.some((selector) => selector.startsWith("k8s:pod-uid:")))
      this.#others.add(similarity(entry));
  }

  /** Of one of ours. */
  delete(id: string): void {
    this.#own.delete(id);
    this.#agreed.delete(id);
  }

  /** Whether ours is as it is wanted. */
  agrees(wanted: EntryToBe, parentId: string | undefined): boolean {
    const { id } = wanted;
    const known = this.#agreed.get(id);
    if (known?.wanted === wanted && (parentId === undefined || known.parentId === parentId)) return true;
    const before = this.#own.get(id);
    // An agent that is away for a while takes nothing with it: its entries stay under it.
    if (before === undefined || !isAs(before, wanted, parentId ?? before.parentId)) return false;
    this.#agreed.set(id, { wanted, parentId: before.parentId });
    return true;
  }

  /** Somebody else has made what SPIRE would take for the same entry. */
  hasSimilar(entry: SpireEntry): boolean {
    return this.#others.has(similarity(entry));
  }
}

/** SPIRE makes no two entries of which these are equal. */
const similarity = ({ parentId, spiffeId, selectors }: SpireEntry): string =>
  [parentId, spiffeId, ...[...selectors].sort()].join("\n");

export interface RegistrationPlan {
  readonly create: readonly SpireEntry[];
  readonly update: readonly SpireEntry[];
  /** Ours, and wanted no more. */
  readonly surplus: readonly SpireEntry[];
  /** Wanted and not there, since no agent of their node is known. */
  readonly waiting: readonly EntryToBe[];
  /** Wanted, and there as entries of somebody else. */
  readonly elsewhere: number;
}

/** What would make the server's entries the wanted ones. What it has and cannot be judged stays. */
export function registrationPlan(
  wanted: ReadonlyMap<string, EntryToBe>,
  parentOf: ParentOf,
  registered: RegisteredEntries,
): RegistrationPlan {
  const create: SpireEntry[] = [];
  const update: SpireEntry[] = [];
  const waiting: EntryToBe[] = [];
  let elsewhere = 0;
  for (const entry of wanted.values()) {
    const agent = parentOf(entry.node);
    if (registered.agrees(entry, agent)) continue;
    const before = registered.own.get(entry.id);
    const parentId = agent ?? before?.parentId;
    if (parentId === undefined) waiting.push(entry);
    else if (before !== undefined) update.push(entryOf(entry, parentId));
    else if (registered.hasSimilar(entryOf(entry, parentId))) elsewhere += 1;
    else create.push(entryOf(entry, parentId));
  }
  const surplus = [...registered.own.values()].filter(({ id }) => !wanted.has(id));
  return { create, update, surplus, waiting, elsewhere };
}

const entryOf = (wanted: EntryToBe, parentId: string): SpireEntry => ({
  id: wanted.id,
  spiffeId: wanted.spiffeId,
  parentId,
  selectors: wanted.selectors,
  x509SvidTtlSeconds: wanted.x509SvidTtlSeconds,
  federatesWith: wanted.federatesWith,
  admin: false,
  downstream: false,
  expiresAt: undefined,
  dnsNames: wanted.dnsNames,
  hint: wanted.hint,
});

/** Without making anything: all are compared after each full look. */
function isAs(entry: SpireEntry, wanted: EntryToBe, parentId: string): boolean {
  return (
    entry.spiffeId === wanted.spiffeId &&
    entry.parentId === parentId &&
    entry.x509SvidTtlSeconds === wanted.x509SvidTtlSeconds &&
    entry.hint === wanted.hint &&
    !entry.admin &&
    !entry.downstream &&
    entry.expiresAt === undefined &&
    sameList(entry.selectors, wanted.selectors) &&
    sameList(entry.federatesWith, wanted.federatesWith) &&
    sameList(entry.dnsNames, wanted.dnsNames)
  );
}

/** No order counts: a server's is its own. */
function sameList(a: readonly string[], b: readonly string[]): boolean {
  const equal = (left: readonly string[], right: readonly string[]): boolean =>
    left.every((text, at) => text === right[at]);
  return a.length === b.length && (equal(a, b) || equal([...a].sort(), [...b].sort()));
}

/** How much may be removed at once: so many entries always, beyond that a share of ours. */
export interface RemovalLimits {
  readonly atLeast: number;
  /** 0 to 1. */
  readonly share: number;
}

export interface Removals {
  readonly remove: readonly SpireEntry[];
  /** Of so many nobody would have their identity any more: too many at once to be believed. */
  readonly held: number;
}

/**
 * What of the surplus goes in one round. Pods that are replaced leave their identities to others; that many identities
 * end at once is rather a mistake, of ours or of whoever we have the pods from: then none of those goes.
 */
export function removals(
  surplus: readonly SpireEntry[],
  wanted: ReadonlyMap<string, EntryToBe>,
  ownCount: number,
  { atLeast, share }: RemovalLimits,
): Removals {
  if (surplus.length === 0) return { remove: [], held: 0 };
  const most = Math.max(atLeast, Math.ceil(share * ownCount));
  const had = new Set(Array.from(wanted.values(), ({ spiffeId }) => spiffeId));
  const ending = surplus.filter(({ spiffeId }) => !had.has(spiffeId));
  const held = ending.length > most;
  const going = held ? surplus.filter(({ spiffeId }) => had.has(spiffeId)) : surplus;
  return { remove: going.slice(0, most), held: held ? ending.length : 0 };
}
