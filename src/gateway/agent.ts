import { join } from "node:path";
import { MeshError } from "../errors.ts";
import type { GrpcServer } from "../grpc/server.ts";
import type { Host, Logger } from "../host.ts";
import type { PrometheusMetrics } from "../prometheus.ts";
import { parseServiceAccountId } from "../spiffe.ts";
import { writeWhole } from "../whole-file.ts";
import { hostAndPort } from "./ask-ca.ts";
import { envoyBootstrap, nodeId } from "./bootstrap.ts";
import { drainEnvoy } from "./drain.ts";
import { type EnvoyAdmin, envoyAdmin } from "./envoy-admin.ts";
import { whyEnvoyIsNotReady } from "./envoy-health.ts";
import { EnvoyProcess } from "./envoy-process.ts";
import type { IdentityKeeper } from "./held-svid.ts";
import { HealthPorts } from "./health-ports.ts";
import { endLeftoverEnvoy } from "./leftover-envoy.ts";
import { asksForEnvoy, identityKeeper } from "./identity-source.ts";
import { processWithArgument } from "./process-table.ts";
import { RootFile } from "./root-file.ts";
import { SecretService } from "./secret-service.ts";
import { refuseRunDir, serveSecrets } from "./secret-socket.ts";
import { controlPlaneRootSecret, workloadSecret } from "./secrets.ts";
import { anyAddress, type GatewaySettings } from "./settings.ts";
import type { Svid } from "./svid.ts";

export type AgentHost = Host & { readonly metrics: PrometheusMetrics };

const BOOTSTRAP_FILE = "bootstrap.json";
const SECRETS_SOCKET = "secrets.sock";
/** How often it is looked whether we are ready, so that the log tells when that changes. */
const LOOK_MS = 5_000;
/** Until then a certificate and Envoy are on their way, and that is nothing to warn of. */
export const FIRST_LOOK_MS = 3_000;

/** The process beside Envoy: gets it an identity, tells it where its control plane is, and answers for it. */
export class GatewayAgent {
  readonly #host: AgentHost;
  readonly #log: Logger;
  readonly #settings: GatewaySettings;
  readonly #admin: EnvoyAdmin;
  readonly #secrets: SecretService;
  readonly #identity: IdentityKeeper;
  readonly #rootFile: RootFile;
  readonly #ports: HealthPorts;
  #secretServer: GrpcServer | undefined;
  #envoy: EnvoyProcess | undefined;
  #bootstrapping: Promise<void> | undefined;
  #bootstrapped = false;
  #stopping = false;
  #wasReady = false;
  #drained: Promise<void> | undefined;
  #whyNotReady: string | undefined = "it has just begun";
  #look: Disposable | undefined;
  #fail: (error: MeshError) => void = () => {};
  /** Rejects when there is no point in going on: Envoy has ended, or cannot be started. */
  readonly failed: Promise<never>;

  constructor(host: AgentHost, settings: GatewaySettings) {
    this.#host = host;
    this.#log = host.log.scope("gateway");
    this.#settings = settings;
    this.#admin = envoyAdmin(settings.envoyPorts.admin);
    this.#secrets = new SecretService(host);
    this.#rootFile = new RootFile(host, settings.rootFile, (roots) => this.#useRoots(roots));
    this.#identity = identityKeeper(host, settings, {
      rootFile: this.#rootFile,
      envoyPid: () => this.#envoyPid(),
      useSvid: (svid) => this.#useSvid(svid),
    });
    this.#ports = new HealthPorts(host, {
      address: anyAddress(settings.place),
      readyPort: settings.readyPort,
      metricsPort: settings.metricsPort,
      whyNotReady: () => this.whyNotReady(),
      whyNotStarted: () => this.#whyNotStarted(),
      drainKey: settings.drainKey,
      drain: () => this.drain(),
    });
    this.failed = new Promise((_, reject) => (this.#fail = reject));
    this.failed.catch(() => {});
  }

  get readyPort(): number {
    return this.#ports.readyPort;
  }
  get metricsPort(): number {
    return this.#ports.metricsPort;
  }

  /**
   * Opens its ports and its socket. The identity, and Envoy with it, come later: no CA need be there yet.
   * @throws MeshError if a port, the socket or the run folder cannot be had; nothing is left open then.
   */
  async start(): Promise<void> {
    try {
      await this.#ports.listen();
      this.#secretServer = await serveSecrets(this.#host, this.#secrets, this.#path(SECRETS_SOCKET));
    } catch (thrown) {
      await this.close();
      throw thrown;
    }
    const { spire } = this.#settings;
    if (spire !== undefined && asksForEnvoy(this.#settings)) this.#begin(spire.serviceAccount);
    await this.#rootFile.follow();
    // With roots it was asked; without them, this is how the reason gets known.
    if (!this.#rootFile.known) this.#identity.renew();
    this.#look = this.#host.clock.after(FIRST_LOOK_MS, () => void this.#tellReadiness());
  }

  /** Why no traffic should come here, in a sentence; undefined if it may. */
  async whyNotReady(): Promise<string | undefined> {
    return this.#stopping ? "the gateway is being stopped, and drains" : this.#whyUnfit();
  }

  /** Why no traffic could ever come here until now; undefined if it could. */
  async whyNeverReady(): Promise<string | undefined> {
    const why = await this.#whyUnfit();
    return this.#wasReady ? undefined : why;
  }

  /** Fails readiness, has callers go elsewhere, and waits until they have, or until the time for that is over; once. */
  drain(): Promise<void> {
    this.#stopping = true;
    const { clock } = this.#host;
    this.#drained ??= this.#bootstrapped
      ? drainEnvoy(this.#admin, clock, this.#log, this.#settings.drainMs)
      : Promise.resolve();
    return this.#drained;
  }

  /** Ends Envoy, whoever started it, once it is drained. */
  async stop(): Promise<void> {
    await this.drain();
    // In another container it may have ended already.
    if (this.#envoy === undefined) await this.#admin.post("/quitquitquit").catch(() => {});
  }

  async close(): Promise<void> {
    this.#stopping = true;
    this.#look?.[Symbol.dispose]();
    this.#rootFile.close();
    this.#identity.close();
    await this.#bootstrapping;
    await this.#envoy?.stop(this.#host.clock);
    await Promise.all([this.#ports.close(), this.#secretServer?.close(0)]);
  }

  async #whyUnfit(): Promise<string | undefined> {
    const why = this.#identity.whyNone() ?? this.#rootFile.whyNone() ?? this.#whyNotStarted();
    if (why !== undefined) return why;
    const whyNot = await whyEnvoyIsNotReady(this.#admin, hostAndPort(this.#settings.xds));
    this.#wasReady ||= whyNot === undefined;
    return whyNot;
  }

  #whyNotStarted(): string | undefined {
    return this.#bootstrapped ? undefined : (this.#identity.whyNone() ?? "Envoy's bootstrap is being written");
  }

  #useRoots(roots: string): void {
    const { controlPlaneName, xds } = this.#settings;
    this.#secrets.set(controlPlaneRootSecret(roots, controlPlaneName ?? xds.host));
    // What we show must lead to a root that others trust now.
    this.#identity.renew();
  }

  #useSvid(svid: Svid): void {
    this.#secrets.set(workloadSecret(svid));
    this.#begin(parseServiceAccountId(svid.spiffeId).serviceAccount);
  }

  #begin(serviceAccount: string): void {
    this.#bootstrapping ??= this.#bootstrap(serviceAccount).catch((thrown: unknown) =>
      this.#fail(MeshError.from(thrown)),
    );
  }

  async #bootstrap(serviceAccount: string): Promise<void> {
    const { place, xds, controlPlaneName, envoyPorts: ports, limits, envoy, runDir } = this.#settings;
    const secretsSocket = this.#path(SECRETS_SOCKET);
    const name = controlPlaneName ?? xds.host;
    const options = { place, serviceAccount, xds, controlPlaneName: name, secretsSocket, ports, limits };
    const file = this.#path(BOOTSTRAP_FILE);
    await writeWhole(file, `${JSON.stringify(envoyBootstrap(options), undefined, 2)}\n`).catch((thrown: unknown) =>
      refuseRunDir(runDir, thrown),
    );
    // Before anybody asks whether Envoy is ready.
    if (envoy !== undefined) await endLeftoverEnvoy(this.#admin, nodeId(place), this.#host.clock, this.#log);
    this.#bootstrapped = true;
    if (envoy === undefined) this.#log.info("Envoy may start", { bootstrap: file });
    else if (!this.#stopping) this.#startEnvoy(new EnvoyProcess(envoy, file));
  }

  #startEnvoy(envoy: EnvoyProcess): void {
    this.#envoy = envoy;
    this.#log.info("Envoy is started", { pid: envoy.pid });
    void envoy.ended.then((how) => {
      if (this.#stopping) return;
      const what = "so we end too and the kubelet starts both again";
      this.#fail(new MeshError("unavailable", `Envoy ended by itself (${how}), and its log says why; ${what}`));
    });
  }

  async #tellReadiness(): Promise<void> {
    const why = await this.whyNotReady();
    if (this.#stopping) return;
    const gauge = this.#host.metrics.gauge("gateway_ready", "1 while traffic may come here.");
    gauge.set(why === undefined ? 1 : 0);
    if (why !== this.#whyNotReady) {
      if (why === undefined) this.#log.info("the gateway is ready");
      else this.#log.warn(`the gateway is not ready: ${why}`);
    }
    this.#whyNotReady = why;
    this.#look = this.#host.clock.after(LOOK_MS, () => void this.#tellReadiness());
  }

  /** Of ours, or of the one that another container or another service of this machine has started. */
  #envoyPid(): number | undefined {
    const { envoy } = this.#settings;
    return envoy === undefined ? processWithArgument(this.#path(BOOTSTRAP_FILE)) : this.#envoy?.pid;
  }

  #path(name: string): string {
    return join(this.#settings.runDir, name);
  }
}
