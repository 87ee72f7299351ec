import type { AgentCache } from "./agent-cache.ts";
import { CallError } from "./call-error.ts";
import type { Outgoing } from "./door.ts";

/**
 * Sends what `say` says of all that the agent can know by now, and again each time that it says something else, until it
 * throws. SPIRE's agents know up to 5 s later.
 * @throws CallError
 */
export async function follow(cache: AgentCache, outgoing: Outgoing, say: () => Uint8Array): Promise<Disposable> {
  await cache.settled();
  let said = say();
  outgoing.send(said);
  const following = cache.changes.observe(() => {
    try {
      const next = say();
      if (Buffer.compare(said, next) !== 0) outgoing.send(next);
      said = next;
    } catch (thrown) {
      following[Symbol.dispose]();
      outgoing.end(CallError.from(thrown));
    }
  });
  return following;
}
