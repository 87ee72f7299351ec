import { MeshError, messageOf } from "../errors.ts";
import type { KubeApi } from "../kube/api.ts";
import { apply, changeOf, objectName, type Change, type Manifest, type Ownership } from "./changes.ts";

/** What is to be in one cluster. */
export interface Wish {
  readonly api: KubeApi;
  /** As `cluster east (context kind-east)`. */
  readonly where: string;
  readonly manifests: readonly Manifest[];
}

export interface PlannedChange {
  readonly wish: Wish;
  readonly change: Change;
}

/**
 * Asks every cluster what its part would change, before anything is changed anywhere.
 * @throws MeshError if one of them would refuse, so that nothing is half done.
 */
export async function plannedChanges(
  wishes: readonly Wish[],
  ownership: Ownership,
  signal: AbortSignal,
): Promise<readonly PlannedChange[]> {
  const planned: PlannedChange[] = [];
  for (const wish of wishes)
    for (const manifest of wish.manifests) {
      const change = await changeOf(wish.api, manifest, ownership, wish.where, signal);
      planned.push({ wish, change });
    }
  return planned;
}

/** Tells of each object as it is done. @throws MeshError saying what was done, and what was not. */
export async function carryOut(
  planned: readonly PlannedChange[],
  ownership: Ownership,
  onDone: (done: PlannedChange) => void,
  signal: AbortSignal,
): Promise<void> {
  const due = planned.filter(({ change }) => change.action !== "keep");
  for (const [at, { wish, change }] of due.entries()) {
    try {
      await apply(wish.api, change.manifest, ownership, signal);
    } catch (thrown) {
      throw halfDone(due, at, thrown);
    }
    onDone({ wish, change });
  }
}

function halfDone(due: readonly PlannedChange[], at: number, thrown: unknown): MeshError {
  const names = (some: readonly PlannedChange[]): string =>
    some.map(({ wish, change }) => `${objectName(change.manifest)} in ${wish.where}`).join(", ") || "nothing";
  const done = `Applied before: ${names(due.slice(0, at))}. Not applied: ${names(due.slice(at))}`;
  const why = `${names(due.slice(at, at + 1))} could not be applied: ${messageOf(thrown)}`;
  return new MeshError(MeshError.from(thrown).code, `${why}. ${done}. Mend that and run it again: what is there stays`);
}
