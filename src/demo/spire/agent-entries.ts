import type { SpireAgent } from "../../spire/spire.ts";
import type { HeldEntry } from "./entries.ts";
import { serverId } from "./identity.ts";

/**
 * The entries that the server gives an agent: those below it, below an alias whose selectors it has, and below what is
 * below these. None if it is unknown, banned or expired.
 */
export function entriesOf(
  agent: SpireAgent | undefined,
  entries: readonly HeldEntry[],
  trustDomain: string,
  now: number,
): readonly HeldEntry[] {
  if (agent === undefined || agent.banned || agent.expiresAt <= now) return [];
  const aliases = matching(entries, agent.selectors).filter(({ parentId }) => parentId === serverId(trustDomain));
  const parents = new Set([agent.id, ...aliases.map(({ spiffeId }) => spiffeId)]);
  const found = new Set<HeldEntry>();
  // What is added to `parents` on the way is visited, too.
  for (const parent of parents)
    for (const entry of entries)
      if (entry.parentId === parent) {
        found.add(entry);
        parents.add(entry.spiffeId);
      }
  return entries.filter((entry) => found.has(entry));
}

/** Those of which a workload has all selectors. */
export function matching(entries: readonly HeldEntry[], selectors: readonly string[]): readonly HeldEntry[] {
  const held = new Set(selectors);
  return entries.filter((entry) => entry.selectors.every((selector) => held.has(selector)));
}

/** Of those with one hint, the oldest: a workload must be able to tell its identities apart by it. */
export function withOwnHints(entries: readonly HeldEntry[]): readonly HeldEntry[] {
  const oldest = new Map<string, HeldEntry>();
  for (const entry of entries) {
    const other = oldest.get(entry.hint);
    if (other === undefined || entry.createdAt < other.createdAt) oldest.set(entry.hint, entry);
  }
  return entries.filter((entry) => entry.hint === "" || oldest.get(entry.hint) === entry);
}
