import { eitherSignal } from "./either-signal.ts";
import type { Clock } from "./host.ts";

/** A signal that aborts after a time, or with another one, whichever is first; dispose of it when the work is done. */
export interface TimeLimit extends Disposable {
  readonly signal: AbortSignal;
}

export function timeLimit(clock: Clock, limitMs: number, signal: AbortSignal): TimeLimit {
  const over = new AbortController();
  const timer = clock.after(limitMs, () => over.abort());
  const dispose = (): void => {
    timer[Symbol.dispose]();
    // Nobody waits any more: what listens to the other signal, which may live for days, is to let go of it.
    over.abort();
  };
  return { signal: eitherSignal(signal, over.signal), [Symbol.dispose]: dispose };
}
