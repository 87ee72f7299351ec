import { parentPort } from "node:worker_threads";
import { systemRandom } from "../system-random.ts";
import { SigningDesk } from "./signing-desk.ts";
import type { ToThread } from "./signing-messages.ts";

/** The thread that `startSigningThread` starts; nothing imports it. */
const port = parentPort!;
const desk = new SigningDesk(systemRandom);

port.on("message", (message: ToThread) => {
  const replies = desk.take(message);
  if (replies !== undefined) port.postMessage(replies, [replies.leaves.buffer as ArrayBuffer]);
});
