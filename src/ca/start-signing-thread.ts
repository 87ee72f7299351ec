import { Worker } from "node:worker_threads";
import { messageOf } from "../errors.ts";
import type { Replies } from "./signing-messages.ts";
import type { SigningThread, ThreadEvents } from "./signing-threads.ts";

/** Its heap needs some 6 MB. A thread that needs more than these has gone wrong, and ends alone. */
const HEAP = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 32 };

/** Starts a thread that signs. It does not keep the process alive. */
export function startSigningThread(events: ThreadEvents): SigningThread {
  const worker = new Worker(new URL("./signing-thread.js", import.meta.url), {
    resourceLimits: HEAP,
    // Not those of the process: a profile, or an inspector, is of the main thread.
    execArgv: [],
  });
  worker.unref();
  let why: string | undefined;
  worker.on("message", (replies: Replies) => events.replied(replies));
  worker.once("error", (error) => (why = messageOf(error)));
  worker.once("exit", (code) => events.ended(why ?? `it exited with code ${code}`));
  return {
    post: (message) => worker.postMessage(message),
    stop: () => void worker.terminate(),
  };
}
