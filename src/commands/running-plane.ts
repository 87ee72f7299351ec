import { AdminServer, type ReadinessCheck } from "../admin.ts";
import type { Config } from "../config.ts";
import { ControlPlane, type ControlPlaneOptions } from "../control-plane.ts";
import { ControlZ } from "../controlz.ts";
import { DebugPages } from "../debug-page.ts";
import { MeshError } from "../errors.ts";
import type { EnvironmentNotices } from "../istiod-environment.ts";
import { knownHoles } from "../runtime.ts";
import type { TraceConfig } from "../trace-config.ts";
import { openTraces, type Traces } from "../trace/open-traces.ts";
import { type SystemHost, systemHost } from "../system-host.ts";
import { refuseServed } from "./connection.ts";
import { debugPages } from "./debug-pages.ts";

export interface RunningPlaneOptions {
  readonly config: Config;
  readonly openToAll: boolean;
  /** Variables that have no effect, to be said in the log. */
  readonly notices?: Pick<EnvironmentNotices, "warnings" | "notes">;
  /** Where traces of changes go; nowhere unless given. */
  readonly traces?: TraceConfig | undefined;
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

/** Where its clusters are found may have to be asked for, which can take as long as an API server is away. */
export interface PlaneSource {
  /** Why there is no plane yet. */
  waitingFor(): string | undefined;
  /** @throws MeshError if `signal` ends it, or for what no patience mends. */
  plane(host: SystemHost, signal: AbortSignal): Promise<Omit<ControlPlaneOptions, "openToAll" | "debugPage">>;
  close(): Promise<void>;
}

/** The folders of `config.manifests`. */
const foldersOf = (config: Config): PlaneSource => ({
  waitingFor: () => "its folders are not read yet",
  plane: () => Promise.resolve({ config }),
  close: () => Promise.resolve(),
});

/**
 * Probes and metrics are answered from the beginning; the rest once it is ready.
 * @throws MeshError if it cannot start, in one sentence; nothing is left running then.
 */
export async function startPlane(
  { config, openToAll, notices, traces: wanted }: RunningPlaneOptions,
  signal: AbortSignal = new AbortController().signal,
  source: PlaneSource = foldersOf(config),
): Promise<RunningPlane> {
  await refuseServed(config.stateDir);
  const host = systemHost({ logLevels: config.log.levels, logAsJson: config.log.asJson });
  sayFirst(host, notices);
  let plane: ControlPlane | undefined;
  let pages: DebugPages | undefined;
  let traces: Traces | undefined;
  const shown = (): DebugPages => {
    if (pages !== undefined) return pages;
    throw new MeshError("unavailable", "the debug pages are not up yet; ask again");
  };
  const waiting: readonly ReadinessCheck[] = [{ name: "clusters", check: () => source.waitingFor() }];
  const checks = (): readonly ReadinessCheck[] => plane?.readiness() ?? waiting;
  host.metrics.sampled("control_plane_ready", "1 while clients may be sent here, else 0.", () =>
    checks().every(({ check }) => check() === undefined) ? 1 : 0,
  );
  const { listenAddress: address, ports } = config;
  const admin = new AdminServer(host, {
    address,
    healthPort: ports.health,
    adminPort: ports.admin,
    checks,
    pages: shown,
    topology: true,
  });
  const controlz = new ControlZ(host.clock, host.log);
  const close = async (): Promise<void> => {
    await Promise.all([admin.close(), controlz.close()]);
    await plane?.close();
    await traces?.close();
    await source.close();
  };
  try {
    await admin.start();
    if (ports.controlz !== undefined) await controlz.start(ports.controlz);
    const options = await source.plane(host, signal);
    const debugPage = async (page: string): Promise<Uint8Array> => shown().bytes(host.clock, page);
    if (wanted !== undefined) traces = await openTraces(host, wanted, options.config.clusterId);
    const watched = { ...host, changes: traces?.changes };
    const opened = (plane = await ControlPlane.open(watched, { ...options, openToAll, debugPage }));
    pages = pagesOf(host, opened, options.config);
    await opened.start(signal);
    return { host, plane: opened, admin, readyMs: host.clock.elapsedMs(), close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

function sayFirst({ log }: SystemHost, notices: RunningPlaneOptions["notices"]): void {
  const holes = knownHoles(process.versions.node);
  const { warnings = [], notes = [] } = notices ?? {};
  const admin = log.scope("admin");
  for (const warning of holes === undefined ? warnings : [holes, ...warnings]) admin.warn(warning);
  for (const note of notes) admin.info(note);
}

function pagesOf({ clock, log }: SystemHost, plane: ControlPlane, config: Config): DebugPages {
  const { registry, graph, logs } = plane;
  const views = { clock, registry, graph, logs, config, scopes: log, controlPlane: plane.name };
  const { discovery } = plane;
  return new DebugPages(
    debugPages({
      ...views,
      clients: () => discovery.clients(),
      holdings: (client) => discovery.holdings(client),
      clusters: () => plane.clusters.statuses(),
      embedded: () => plane.clusters.embedded(),
      peers: () => plane.peers(),
      bundleAgreement: (cluster) => plane.bundleAgreement(cluster),
      peerClients: () => plane.peerClients(),
      proxyLogs: plane.gateways.logs,
      connectedProxies: (gateway) => plane.gateways.connectedProxies(gateway),
      spire: () => plane.spire(),
      registration: () => plane.registration(),
      readBundles: () => plane.readBundles(),
      problems: () => plane.problems(),
      relay: () => plane.relay(),
      issuances: plane.issuances,
      signer: () => plane.signer(),
      trustBundles: () => Array.from(plane.trust.bundles.entries(), ([, bundle]) => bundle),
      revocations: () => plane.revocations,
    }),
  );
}
