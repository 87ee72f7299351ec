import { HalfDoneError, MeshError, messageOf } from "../errors.ts";
import { ApiError, type KubeApi } from "../kube/api.ts";
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

/** Tells of each object as it is done. @throws HalfDoneError saying what was done, and what was not. */
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

function halfDone(due: readonly PlannedChange[], at: number, thrown: unknown): HalfDoneError {
  const names = (some: readonly PlannedChange[]): string =>
    some.map(({ wish, change }) => `${objectName(change.manifest)} in ${wish.where}`).join(", ") || "nothing";
  // Without an answer it may have been done all the same, as after Ctrl-C.
  const unsure = thrown instanceof ApiError && thrown.status === 0;
  const open = unsure ? ` Not known, as no answer came: ${names(due.slice(at, at + 1))}.` : "";
  const left = names(due.slice(unsure ? at + 1 : at));
  const done = `Applied before: ${names(due.slice(0, at))}.${open} Not applied: ${left}`;
  const why = `${names(due.slice(at, at + 1))} could not be applied: ${messageOf(thrown)}`;
  return new HalfDoneError(
    MeshError.from(thrown).code,
    `${why}. ${done}. Mend that and run it again: what is there stays`,
  );
}
