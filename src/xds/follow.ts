import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { type DialOptions, dialXds } from "./dial.ts";

/** A control plane that restarts is back within seconds; one that is gone is asked every few. */
const BACKOFF_MS = { first: 50, most: 5_000 };

export interface FollowOptions extends DialOptions {
  readonly clock: Clock;
  /** Called when the stream is lost, before it is tried again. */
  readonly onLost: (error: MeshError, retryMs: number) => void;
}

/**
 * Carries a delta client over stream after stream, resuming with what it holds, until the signal aborts.
 * @throws MeshError if the first stream ends before its first response, or one is refused for what the client is.
 */
export async function followXds(options: FollowOptions): Promise<void> {
  let heard = false;
  let retryMs = BACKOFF_MS.first;
  const onUpdate: DialOptions["onUpdate"] = (update) => {
    heard = true;
    retryMs = BACKOFF_MS.first;
    options.onUpdate(update);
  };
  while (!options.signal.aborted) {
    try {
      await dialXds({ ...options, onUpdate });
    } catch (thrown) {
      const error = MeshError.from(thrown);
      if (!heard || error.code === "denied" || error.code === "invalid") throw error;
      options.onLost(error, retryMs);
      await pause(options.clock, retryMs, options.signal);
      retryMs = Math.min(2 * retryMs, BACKOFF_MS.most);
    }
  }
}

function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      // The signal outlives thousands of pauses.
      signal.removeEventListener("abort", done);
      timer[Symbol.dispose]();
      resolve();
    };
    const timer = clock.after(ms, done);
    signal.addEventListener("abort", done, { once: true });
  });
}
