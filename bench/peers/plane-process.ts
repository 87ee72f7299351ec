import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TokenIssuer } from "../../src/ca/token-issuer.ts";
import { readConnection } from "../../src/commands/connection.ts";
import { clusterId } from "../../src/names.ts";
import { tokenKeyFile } from "../../src/plane/embedded-clusters.ts";
import type { XdsTarget } from "../../src/xds/dial.ts";
import { quietHost } from "../quiet-host.ts";
import { type BenchRoot, SYSTEM_NAMESPACE } from "./authority.ts";

const MAIN = join(import.meta.dirname, "..", "..", "src", "main.js");
/** Of Linux, in `/proc/<pid>/stat`. */
const TICKS_PER_SECOND = 100;

/** `causeway serve` over a folder of manifests, in a process of its own: what it costs is its own. */
export class PlaneProcess {
  readonly cluster: string;
  readonly #folder: string;
  #child: ChildProcess | undefined;

  private constructor(cluster: string, folder: string) {
    this.cluster = cluster;
    this.#folder = folder;
  }

  /** @param manifests texts by the names of their files. */
  static async prepare(
    root: BenchRoot,
    folder: string,
    cluster: string,
    manifests: ReadonlyMap<string, string>,
  ): Promise<PlaneProcess> {
    const plane = new PlaneProcess(cluster, folder);
    mkdirSync(join(folder, "manifests"), { recursive: true });
    for (const [name, text] of manifests) plane.write(name, text);
    await root.writeAuthority(join(folder, "cacerts"), cluster);
    return plane;
  }

  /** Has the cluster's objects changed. */
  write(name: string, text: string): void {
    writeFileSync(join(this.#folder, "manifests", name), text);
  }

  start(): void {
    rmSync(this.#connection, { force: true });
    const flags = { state: this.#state, cacerts: join(this.#folder, "cacerts"), cluster: this.cluster };
    const ports = { "xds-port": "0", "admin-port": "0", "health-port": "0", listen: "127.0.0.1" };
    const manifests = `${this.cluster}=${join(this.#folder, "manifests")}`;
    const given = Object.entries({ ...flags, ...ports, manifests, log_output_level: "default:error" });
    this.#child = spawn(process.execPath, [MAIN, "serve", ...given.flatMap(([flag, value]) => [`--${flag}`, value])], {
      stdio: ["ignore", "ignore", "inherit"],
    });
  }

  /** Where it serves, once it does, for its ztunnel. */
  async target(): Promise<XdsTarget> {
    while (this.#child?.exitCode === null) {
      const connection = await readConnection(this.#state).catch(() => undefined);
      if (connection !== undefined) return this.#targetAt(connection.xds, connection.rootCertificate);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`the control plane of ${this.cluster} ended before it served`);
  }

  /** Resident, in bytes: now, and at most since it began. */
  memory(): { readonly now: number; readonly peak: number } {
    const status = readFileSync(`/proc/${this.#child!.pid}/status`, "utf8");
    const of = (field: string): number => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
    return { now: of("VmRSS"), peak: of("VmHWM") };
  }

  /** Of the processor, since it began. */
  cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.#child!.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }

  /** As a rollout does. @returns milliseconds until it has ended. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    const start = performance.now();
    const child = this.#child;
    if (child?.exitCode !== null || !child.kill(signal)) return 0;
    await once(child, "exit");
    return performance.now() - start;
  }

  async #targetAt(address: string, rootCertificate: string): Promise<XdsTarget> {
    const issuer = await TokenIssuer.open(
      quietHost(),
      clusterId(this.cluster),
      tokenKeyFile(this.#state, clusterId(this.cluster)),
    );
    const token = await issuer.issue({ namespace: SYSTEM_NAMESPACE, serviceAccount: "ztunnel", pod: undefined });
    return { address, roots: readFileSync(rootCertificate, "utf8"), token, clusterId: this.cluster };
  }

  get #state(): string {
    return join(this.#folder, "state");
  }
  get #connection(): string {
    return join(this.#state, "connection.json");
  }
}
