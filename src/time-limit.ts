import { eitherSignal } from "./either-signal.ts";
import type { Clock } from "./host.ts";

/** A signal that aborts after a time, or with another one, whichever is first; dispose of it when the work is done. */
export interface TimeLimit extends Disposable {
  readonly signal: AbortSignal;
}

export function timeLimit(clock: Clock, limitMs: number, signal: AbortSignal): TimeLimit {
  const timeUp = new AbortController();
  const timer = clock.after(limitMs, () => timeUp.abort());
  return { signal: eitherSignal(signal, timeUp.signal), [Symbol.dispose]: () => timer[Symbol.dispose]() };
}
