import type { Clock, EpochMs } from "../../host.ts";

/** When something was seen: by this process, which measures, and by the wall clocks of us and of the cluster that said so. */
export interface Moment {
  /** Of `Clock.elapsedMs`; below 0 for what a process before this one saw. */
  readonly elapsed: number;
  readonly ours: EpochMs;
  readonly theirs: EpochMs;
}

/** Of what was so before there was anybody to whom it could be news. */
export const ALWAYS: Moment = { elapsed: -Infinity, ours: 0, theirs: 0 };

/** As it outlives a process; null is `ALWAYS`. */
export type MomentMemory = { readonly ours: EpochMs; readonly theirs: EpochMs; readonly passedMs: number } | null;

export const momentAt = (clock: Clock, theirs: EpochMs): Moment => ({
  elapsed: clock.elapsedMs(),
  ours: clock.now(),
  theirs,
});

export function rememberedMoment({ elapsed, ours, theirs }: Moment, clock: Clock): MomentMemory {
  return elapsed === -Infinity ? null : { ours, theirs, passedMs: clock.elapsedMs() - elapsed };
}

/** Only what a process measured has passed for certain; `settled` adds the time in which nobody measured. */
export function resumedMoment(memory: MomentMemory, clock: Clock): Moment {
  if (memory === null) return ALWAYS;
  return { elapsed: clock.elapsedMs() - memory.passedMs, ours: memory.ours, theirs: memory.theirs };
}

/**
 * A moment of a process before this one, once the cluster has said what time it is there. Two clocks were read then and
 * are now, and the one that saw less time pass is believed: one that is a day off shortens no wait.
 */
export function settled(moment: Moment, now: Moment): Moment {
  const passedMs = Math.min(now.ours - moment.ours, now.theirs - moment.theirs);
  return moment === ALWAYS || now.elapsed - passedMs >= moment.elapsed
    ? moment
    : { ...moment, elapsed: now.elapsed - passedMs };
}
