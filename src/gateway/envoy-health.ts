import { MeshError } from "../errors.ts";
import { type EnvoyAdmin, statsOf } from "./envoy-admin.ts";

/** The listener that every gateway of ours has: HBONE on port 15008. */
const MAIN_LISTENER = "connect_terminate";

/** What tells why it is not there yet. */
const STATS =
  "^(control_plane\\.connected_state|listener_manager\\.(lds\\.update_(success|rejected)|total_listeners_warming))$";

/** Why no traffic can come yet, in a sentence; undefined if Envoy is live and listens for HBONE. */
export async function whyEnvoyIsNotReady(admin: EnvoyAdmin, controlPlane: string): Promise<string | undefined> {
  try {
    const { text: state } = await admin.get("/ready");
    if (state.trim() === "LIVE" && (await listens(admin))) return undefined;
    return `Envoy is ${state.trim()}: ${await whatItWaitsFor(admin, controlPlane)}`;
  } catch (thrown) {
    return `${MeshError.from(thrown).message}; it is starting, or has ended`;
  }
}

async function listens(admin: EnvoyAdmin): Promise<boolean> {
  const { text } = await admin.get("/listeners");
  return text.split("\n").some((line) => line.startsWith(`${MAIN_LISTENER}::`));
}

async function whatItWaitsFor(admin: EnvoyAdmin, controlPlane: string): Promise<string> {
  const stats = statsOf((await admin.get(`/stats?filter=${encodeURIComponent(STATS)}`)).text);
  const count = (name: string): number => stats.get(name) ?? 0;
  const [taken, refused] = [
    count("listener_manager.lds.update_success"),
    count("listener_manager.lds.update_rejected"),
  ];
  if (taken === 0 && refused > 0) return "it refused the listeners that it was sent, and its log says why";
  if (taken === 0 && count("control_plane.connected_state") === 0)
    return `it is not connected to the control plane ${controlPlane}: is that up, and does it know our identity?`;
  if (taken === 0) return `the control plane ${controlPlane} has sent it no listeners yet`;
  if (count("listener_manager.total_listeners_warming") > 0) return "its listeners wait for their secrets or routes";
  return `it has no listener ${MAIN_LISTENER}: has our Gateway an HBONE listener on port 15008?`;
}
