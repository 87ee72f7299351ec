import { cp, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { leaveManagerConnection, type RunningManager, startManager } from "../commands/running-manager.ts";
import { MeshError } from "../errors.ts";
import type { ManagerConfig } from "../manager-config.ts";
import type { TrustView } from "../manager/view.ts";
import { clusterId } from "../names.ts";
import { newToken } from "../relay/token.ts";
import { systemClock, systemRandom } from "../system-host.ts";
import { writeWhole } from "../whole-file.ts";
import { DEMO_CLUSTERS, type DemoCluster } from "./clusters.ts";

const EXAMPLES = join(import.meta.dirname, "..", "..", "..", "examples", "trust");
const MINUTE_MS = 60_000;
/** What the manager knows is looked at this often, while something is waited for. */
const LOOK_MS = 50;
const ROTATE = /(trust\.causeway\.dev\/rotate-root: ")([0-9]+)(")/;

export interface DemoTrustOptions {
  /** Of the manager alone. */
  readonly stateDir: string;
  readonly listenAddress: string;
  readonly ports: ManagerConfig["ports"];
  readonly log: ManagerConfig["log"];
}

/**
 * The trust manager of the demo, in its process. It goes by a copy of `examples/trust`, from which clusters are left out
 * until they are registered.
 */
export class DemoTrust {
  readonly #stateDir: string;
  readonly #running: RunningManager;
  readonly #config: ManagerConfig;

  private constructor(config: ManagerConfig, running: RunningManager) {
    this.#stateDir = config.stateDir;
    this.#config = config;
    this.#running = running;
  }

  /** @throws MeshError if it cannot start. */
  static async start(options: DemoTrustOptions, signal: AbortSignal): Promise<DemoTrust> {
    const { stateDir } = options;
    const manifests = objectsIn(stateDir);
    await mkdir(manifests, { recursive: true });
    for (const name of ["identity", "workspace"]) await copy(name, stateDir);
    // A second demo goes on with the root that the last one had.
    await copy("policy", stateDir, false);
    for (const cluster of DEMO_CLUSTERS) await rm(join(manifests, `cluster-${cluster}.yaml`), { force: true });
    const config: ManagerConfig = {
      ...options,
      ...{ namespace: "gloo-mesh", manifests, kubeconfig: undefined, kubeContext: undefined },
      ...{ podName: "trust-manager", relayNames: [] },
    };
    return new DemoTrust(config, await startManager(config, {}, signal));
  }

  /** Where clusters call. */
  get address(): string {
    return `${this.#config.listenAddress}:${this.#running.relayPort}`;
  }
  get view(): TrustView {
    return this.#running.manager.view();
  }
  get stateDir(): string {
    return this.#stateDir;
  }
  /** Of the objects that it goes by. */
  get folder(): string {
    return objectsIn(this.#stateDir);
  }

  /** As `kubectl apply` of the cluster's KubernetesCluster. */
  register(cluster: DemoCluster): Promise<void> {
    return copy(`cluster-${cluster}`, this.#stateDir);
  }

  /** A file with a bootstrap token for a cluster, as `causeway trust token` prints one. */
  async tokenFile(cluster: DemoCluster): Promise<string> {
    const { books } = this.#running;
    const now = systemClock.now();
    const { rootSha256 } = books.authority;
    const expiresAt = now + 10 * MINUTE_MS;
    const { text, ...record } = newToken(systemRandom, { cluster: clusterId(cluster), rootSha256, expiresAt });
    await books.tokens.add({ ...record, createdAt: now, use: undefined, revokedAt: undefined });
    const file = join(this.#stateDir, `token-${cluster}`);
    await writeWhole(file, text, 0o600);
    return file;
  }

  /** Asks for a new root, as another value of the policy's annotation does. */
  async rotateRoot(): Promise<void> {
    const file = join(this.folder, "policy.yaml");
    const text = await readFile(file, "utf8");
    const next = text.replace(ROTATE, (_, before: string, number: string, after: string) => {
      return `${before}${Number(number) + 1}${after}`;
    });
    if (next === text) throw new MeshError("invalid", `${file} has no annotation rotate-root with a number`);
    await writeWhole(file, next);
  }

  /** Resolves once `holds`. @throws MeshError `timeout` with `why` if `signal` aborts first. */
  async until(holds: (view: TrustView) => boolean, why: string, signal: AbortSignal): Promise<void> {
    while (!holds(this.view)) {
      if (signal.aborted) throw new MeshError("timeout", `${why}: ${JSON.stringify(this.view.rotation)}`);
      await new Promise<void>((resolve) => void systemClock.after(LOOK_MS, resolve));
    }
  }

  /** Leaves where commands find it. */
  leaveConnection(pid: number): Promise<void> {
    return leaveManagerConnection(this.#running, this.#config, pid);
  }

  close(): Promise<void> {
    return this.#running.close();
  }
}

const objectsIn = (stateDir: string): string => join(stateDir, "objects");

const copy = (name: string, stateDir: string, force = true): Promise<void> =>
  cp(join(EXAMPLES, `${name}.yaml`), join(objectsIn(stateDir), `${name}.yaml`), { force });
