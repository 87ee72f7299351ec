import { isIP } from "node:net";
import { hostname } from "node:os";
import { AdminServer, type ReadinessCheck } from "../admin.ts";
import type { Environment } from "../command.ts";
import { DebugPages } from "../debug-page.ts";
import { eitherSignal } from "../either-signal.ts";
import { MeshError } from "../errors.ts";
import type { Host } from "../host.ts";
import type { KubeApi } from "../kube/api.ts";
import { HttpKubeApi } from "../kube/http-api.ts";
import { inClusterConnection, localConnection } from "../kube/local-connection.ts";
import { FolderObjects } from "../manager/feeds/folder-objects.ts";
import { KubernetesObjects } from "../manager/feeds/kubernetes-objects.ts";
import type { ObjectFeed } from "../manager/feeds/object-feed.ts";
import { FolderStore } from "../manager/store/folder-store.ts";
import { Leadership } from "../manager/leadership.ts";
import { TrustManager } from "../manager/manager.ts";
import { openRelayBooks, type RelayBooks } from "../manager/store/relay-books.ts";
import { SecretStore } from "../manager/store/secret-store.ts";
import type { TrustStore } from "../manager/store/store.ts";
import type { ManagerConfig } from "../manager-config.ts";
import { type ServedRelay, serveRelay } from "../relay/service.ts";
import { type SystemHost, systemHost } from "../system-host.ts";
import { refuseServed, writeConnection } from "./connection.ts";
import { dialled } from "./demo-client.ts";
import { managerPages } from "./manager-pages.ts";
import { trustFolder } from "./trust-store.ts";
import { issuerOpener } from "../manager/issuer-opener.ts";

/** How long streams may take to end once it stops. */
const DRAIN_MS = 1_000;

/** Where a manager's objects are, and what it keeps. */
interface Ground {
  readonly feed: ObjectFeed;
  readonly store: TrustStore;
  /** Undefined in a folder, where nobody else leads and nobody reads statuses. */
  readonly api: KubeApi | undefined;
}

/** A trust manager with its ports. */
export interface RunningManager {
  readonly manager: TrustManager;
  readonly books: RelayBooks;
  readonly relayPort: number;
  readonly admin: AdminServer;
  /** Aborts once it may work no more: another replica leads. */
  readonly over: AbortSignal;
  close(): Promise<void>;
}

/**
 * Probes and metrics are answered from the beginning; clusters once all objects are read, and this replica leads.
 * @throws MeshError if it cannot start, in one sentence; nothing is left running then.
 */
export async function startManager(
  config: ManagerConfig,
  environment: Environment,
  signal: AbortSignal,
): Promise<RunningManager> {
  // Two on one state folder would undo each other's writes.
  if (config.manifests !== undefined) await refuseServed(config.stateDir);
  const host = systemHost({ logLevels: config.log.levels, logAsJson: config.log.asJson });
  const starting = new StartingManager(host, config);
  try {
    return await starting.start(environment, signal);
  } catch (thrown) {
    await starting.close();
    throw thrown;
  }
}

/** Leaves in the state folder where other commands find it; in a cluster they have a port of it forwarded. */
export async function leaveManagerConnection(
  { admin, relayPort }: RunningManager,
  { manifests, stateDir, listenAddress }: ManagerConfig,
  pid: number,
): Promise<void> {
  if (manifests === undefined) return;
  const host = dialled(listenAddress);
  await writeConnection(stateDir, {
    ...{ cluster: "", xds: `${host}:${relayPort}`, rootCertificate: "", token: "", pid },
    admin: `http://${host}:${admin.adminPort}`,
    health: `http://${host}:${admin.healthPort}`,
  });
}

class StartingManager {
  readonly #host: SystemHost;
  readonly #config: ManagerConfig;
  readonly #closing: (() => Promise<void> | void)[] = [];
  readonly #over = new AbortController();
  #manager: TrustManager | undefined;
  #relay: ServedRelay | undefined;
  #waits = "its objects are not read yet";

  constructor(host: SystemHost, config: ManagerConfig) {
    this.#host = host;
    this.#config = config;
  }

  async start(environment: Environment, signal: AbortSignal): Promise<RunningManager> {
    const admin = this.#adminServer();
    await admin.start();
    this.#closing.push(() => admin.close());
    const { adminPort, healthPort } = admin;
    // Whoever waits for its turn does so for days, and is asked for by its probes.
    this.#host.log.scope("trust").info("probes and metrics are answered", { admin: adminPort, health: healthPort });
    const ground = await groundOf(this.#host, this.#config, environment);
    const leadership = await this.#lead(ground, signal);
    const books = await openRelayBooks(this.#host, ground.store);
    this.#closing.push(() => books.close());
    const openIssuer = issuerOpener(this.#host, ground);
    const manager = await TrustManager.open(this.#host, { ...ground, openIssuer }, signal);
    this.#manager = manager;
    this.#closing.push(() => manager.close());
    await manager.start(signal);
    leadership?.write(manager.statuses);
    const { listenAddress: address, ports } = this.#config;
    const at = { address, port: ports.relay, names: relayNames(this.#config) };
    const relay = await serveRelay(this.#host, at, { desk: manager.desk, ...books });
    this.#relay = relay;
    this.#closing.push(() => relay.close(DRAIN_MS));
    const close = (): Promise<void> => this.close();
    return { manager, books, relayPort: relay.port, admin, over: this.#over.signal, close };
  }

  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }

  async #lead({ api, feed }: Ground, signal: AbortSignal): Promise<Leadership | undefined> {
    this.#waits = `${feed.title} is not read yet`;
    if (api === undefined) return undefined;
    this.#closing.push(() => api.close());
    const { namespace, podName } = this.#config;
    const onLost = (): void => this.#over.abort();
    const leadership = new Leadership(this.#host, api, { namespace, podName, onLost });
    this.#closing.push(() => leadership.close());
    this.#waits = "another replica leads, or the Lease causeway-trust-manager cannot be had; the log says which";
    const stopped = eitherSignal(signal, this.#over.signal);
    await Promise.race([leadership.lead(), rejected(stopped, this.#waits)]);
    this.#waits = `${feed.title} is not read yet`;
    return leadership;
  }

  #adminServer(): AdminServer {
    const { listenAddress: address, ports } = this.#config;
    const checks: readonly ReadinessCheck[] = [
      { name: "objects", check: () => (this.#manager === undefined ? this.#waits : this.#manager.waitingFor()) },
      { name: "relay", check: () => (this.#relay === undefined ? "the port is not open" : undefined) },
    ];
    const pages = (): DebugPages => {
      if (this.#manager === undefined) throw new MeshError("unavailable", `there is nothing to show: ${this.#waits}`);
      return new DebugPages(managerPages(this.#manager));
    };
    return new AdminServer(this.#host, {
      ...{ address, adminPort: ports.admin, healthPort: ports.health },
      checks: () => checks,
      pages,
    });
  }
}

async function groundOf(host: Host, config: ManagerConfig, environment: Environment): Promise<Ground> {
  const { manifests, stateDir, namespace } = config;
  if (manifests !== undefined) {
    const store = new FolderStore(trustFolder(stateDir));
    return { feed: new FolderObjects(host, manifests, namespace), store, api: undefined };
  }
  const api = new HttpKubeApi(host, await connectionOf(config, environment));
  return { feed: new KubernetesObjects(host, api, namespace), store: new SecretStore(api, namespace), api };
}

async function connectionOf({ kubeconfig, kubeContext: context }: ManagerConfig, environment: Environment) {
  try {
    const { connection } = await localConnection({ kubeconfig, context }, environment, environment["HOME"] ?? "/");
    return connection;
  } catch (thrown) {
    const pod = kubeconfig === undefined ? await inClusterConnection(environment) : undefined;
    if (pod !== undefined) return pod.connection;
    const { code, message } = MeshError.from(thrown);
    throw new MeshError(code, `${message}, or name a folder of manifests with --manifests`, {}, { cause: thrown });
  }
}

/** Clusters know the manager by the relay's root, whatever it is called; these are for other clients, and for people. */
function relayNames({ listenAddress, relayNames, namespace }: ManagerConfig): readonly string[] {
  const service = `causeway-trust.${namespace}.svc`;
  const own = isIP(listenAddress) !== 0 && !/^(0\.0\.0\.0|::)$/.test(listenAddress) ? [listenAddress] : [];
  return [...new Set(["localhost", hostname().toLowerCase(), service, ...own, ...relayNames])];
}

function rejected(signal: AbortSignal, why: string): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void => reject(new MeshError("unavailable", `the trust manager did not start: ${why}`));
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
  });
}
