import { parentPort } from "node:worker_threads";
import { systemRandom } from "../system-random.ts";
import { SigningDesk } from "./signing-desk.ts";
import type { ToThread } from "./signing-messages.ts";

/** The thread that `startSigningThread` starts; nothing imports it. */
const port = parentPort!;
const desk = new SigningDesk(systemRandom);

// What is thrown ends the thread, and is told to who started it.
port.on("message", async (message: ToThread) => {
  const replies = await desk.take(message);
  if (replies !== undefined) port.postMessage(replies, [replies.leaves.buffer as ArrayBuffer]);
});
