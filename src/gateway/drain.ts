import { messageOf } from "../errors.ts";
import type { Clock, Logger } from "../host.ts";
import { type EnvoyAdmin, statsOf } from "./envoy-admin.ts";

const LOOK_MS = 250;
/** Who calls us learns only after a while that we leave: until then connections are still taken. */
const SHORTEST_MS = 5_000;
const CONNECTIONS = "^listener\\..*\\.downstream_cx_active$";
/** Ours, for probes and scrapes. */
const OWN = /^listener\.(admin|stats)\./;

/**
 * Has Envoy tell its callers to go elsewhere, and waits until they have: for five seconds at least, so that those who
 * have not heard yet are served, and for `drainMs` at most. Never rejects.
 */
export async function drainEnvoy(admin: EnvoyAdmin, clock: Clock, log: Logger, drainMs: number): Promise<void> {
  try {
    await admin.post("/drain_listeners?graceful");
    const startedMs = clock.elapsedMs();
    const left = (): number => startedMs + drainMs - clock.elapsedMs();
    const shortestMs = Math.min(SHORTEST_MS, drainMs);
    let open = await openConnections(admin);
    log.info("draining: callers are told to go elsewhere", { connections: open, drainMs });
    while (left() > 0 && (open > 0 || clock.elapsedMs() - startedMs < shortestMs)) {
      await pause(clock, Math.min(LOOK_MS, left()));
      open = await openConnections(admin);
    }
    if (open > 0) log.warn("the time to drain is over: connections that are open are cut", { connections: open });
    else log.info("drained: no connection is open");
  } catch (thrown) {
    log.warn(`Envoy cannot be drained: ${messageOf(thrown)}`);
  }
}

/** Of callers, at all listeners. */
async function openConnections(admin: EnvoyAdmin): Promise<number> {
  const { text } = await admin.get(`/stats?filter=${encodeURIComponent(CONNECTIONS)}`);
  let open = 0;
  for (const [name, count] of statsOf(text)) if (!OWN.test(name) && !name.includes(".worker_")) open += count;
  return open;
}

const pause = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve));
