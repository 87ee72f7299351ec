/**
 * Aborts with the first of `signals`. AbortSignal.any does the same, but Node 20 forgets what it returns at the next
 * garbage collection, unless somebody else holds it: whoever only listens then waits for ever.
 */
export function eitherSignal(...signals: readonly AbortSignal[]): AbortSignal {
  const either = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) either.abort(signal.reason);
    else signal.addEventListener("abort", () => either.abort(signal.reason), { once: true, signal: either.signal });
  }
  return either.signal;
}
