import { AdminServer } from "../admin.ts";
import type { Config } from "../config.ts";
import { ControlPlane } from "../control-plane.ts";
import { DebugPages } from "../debug-page.ts";
import { MeshError } from "../errors.ts";
import { knownHoles } from "../runtime.ts";
import { type SystemHost, systemHost } from "../system-host.ts";
import { refuseServed } from "./connection.ts";
import { debugPages } from "./debug-pages.ts";

export interface RunningPlaneOptions {
  readonly config: Config;
  readonly openToAll: boolean;
}

/** A control plane with its admin ports. */
export interface RunningPlane {
  readonly host: SystemHost;
  readonly plane: ControlPlane;
  readonly admin: AdminServer;
  /** From the start of this process until everything was served. */
  readonly readyMs: number;
  close(): Promise<void>;
}

/** @throws MeshError if it cannot start, in one sentence; nothing is left running then. */
export async function startPlane({ config, openToAll }: RunningPlaneOptions): Promise<RunningPlane> {
  await refuseServed(config.stateDir);
  const host = systemHost({ logLevels: config.log.levels, logAsJson: config.log.asJson });
  const { log, clock } = host;
  const holes = knownHoles(process.versions.node);
  if (holes !== undefined) log.scope("admin").warn(holes);
  let pages: DebugPages | undefined;
  const debugPage = (page: string): Promise<Uint8Array> => {
    if (pages === undefined) throw new MeshError("unavailable", "the debug pages are not up yet; ask again");
    return pages.bytes(clock, page);
  };
  const plane = await ControlPlane.start(host, { config, openToAll, debugPage });
  const { registry, graph, logs } = plane;
  const views = { clock, registry, graph, logs, config, scopes: log, controlPlane: plane.name };
  pages = new DebugPages(
    debugPages({ ...views, clients: () => plane.discovery.clients(), problems: () => plane.problems() }),
  );
  const { listenAddress: address, ports } = config;
  const checks = plane.readiness();
  const admin = new AdminServer(host, { address, healthPort: ports.health, adminPort: ports.admin, checks, pages });
  try {
    await admin.start();
  } catch (thrown) {
    await plane.close();
    throw thrown;
  }
  const close = async (): Promise<void> => {
    await admin.close();
    await plane.close();
  };
  return { host, plane, admin, readyMs: clock.elapsedMs(), close };
}

/** Resolves once the user, or a time limit, wants the command to end. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
