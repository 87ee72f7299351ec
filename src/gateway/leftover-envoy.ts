import { MeshError } from "../errors.ts";
import type { Clock, Logger } from "../host.ts";
import type { EnvoyAdmin } from "./envoy-admin.ts";

const LOOK_MS = 100;
/** Envoy closes its sockets and leaves within a second. */
const END_MS = 5_000;

/**
 * Makes room for the Envoy that we start. If an agent is killed its Envoy lives on, on a bare machine or where containers
 * share their processes: the next one could not have its ports, and what it answers would be taken for the word of ours.
 * One of our own node is ended, as no agent but us has our ports; another's is not ours to end.
 * @throws MeshError `unavailable` if the admin port stays somebody else's.
 */
export async function endLeftoverEnvoy(admin: EnvoyAdmin, node: string, clock: Clock, log: Logger): Promise<void> {
  const found = await admin.get("/server_info").catch(() => undefined);
  if (found === undefined) return;
  const holder = nodeIn(found.text);
  if (holder !== node) {
    const who = holder === undefined ? "a server that is no Envoy" : `the Envoy of ${holder}`;
    const fix = "end that one, or give ours another port with --envoy-admin-port";
    throw new MeshError("unavailable", `${admin.address} is where our Envoy is to answer, and ${who} does: ${fix}`);
  }
  log.warn("the Envoy of an agent before us still runs: its connections are cut, and it is ended", { node });
  await admin.post("/quitquitquit").catch(() => {});
  if (await isGone(admin, clock)) return;
  const still = `the Envoy of an agent before us still answers on ${admin.address}, ${END_MS} ms after it was told to end`;
  throw new MeshError("unavailable", `${still}: kill it`);
}

function nodeIn(serverInfo: string): string | undefined {
  try {
    const { node } = JSON.parse(serverInfo) as { readonly node?: { readonly id?: unknown } };
    return typeof node?.id === "string" ? node.id : undefined;
  } catch {
    return undefined;
  }
}

async function isGone(admin: EnvoyAdmin, clock: Clock): Promise<boolean> {
  const startedMs = clock.elapsedMs();
  while (clock.elapsedMs() - startedMs < END_MS) {
    const answers = await admin.get("/ready").then(
      () => true,
      () => false,
    );
    if (!answers) return true;
    await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve));
  }
  return false;
}
