import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { endWithUs } from "./causeway-process.ts";

export interface KubeapiOptions {
  /** Of `kubeapiBinary()`. */
  readonly binary: string;
  /** Holds its data, its admin kubeconfig and its log; kept when it stops. */
  readonly folder: string;
  /** A folder of CustomResourceDefinitions; none if undefined. */
  readonly crds?: string | undefined;
  /** RBAC by default, as a cluster has it. */
  readonly authorization?: "RBAC" | "AlwaysAllow";
  /** More flags of test/kubeapi/README.md, as `--watch-cache=false`. */
  readonly flags?: readonly string[];
}

/** How an administrator reaches an API server. */
export interface AdminAccess {
  readonly server: string;
  /** PEM. */
  readonly ca: string;
  readonly token: string;
}

const READY_MS = 60_000;
const STOP_MS = 10_000;

/** A real API server: the one of test/kubeapi, as a process of its own. */
export class Kubeapi {
  readonly #options: KubeapiOptions;
  #process: ChildProcess | undefined;
  #server = "";
  #admin: AdminAccess | undefined;

  private constructor(options: KubeapiOptions) {
    this.#options = options;
  }

  static async start(options: KubeapiOptions): Promise<Kubeapi> {
    mkdirSync(options.folder, { recursive: true });
    const started = new Kubeapi(options);
    await started.#start(0);
    return started;
  }

  /** As `https://127.0.0.1:34567`; a restart keeps it. */
  get server(): string {
    return this.#server;
  }
  get port(): number {
    return Number(new URL(this.#server).port);
  }
  get pid(): number | undefined {
    return this.#process?.pid;
  }
  /** Path of the administrator's kubeconfig. */
  get kubeconfig(): string {
    return join(this.#options.folder, "admin.kubeconfig");
  }
  get admin(): AdminAccess {
    return (this.#admin ??= readAdmin(this.kubeconfig));
  }

  /** SIGKILL is a crash: watches break without a word. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const running = this.#process;
    if (running === undefined) return;
    this.#process = undefined;
    const gone = new Promise((resolve) => running.once("exit", resolve));
    running.kill(signal);
    const timer = setTimeout(() => running.kill("SIGKILL"), STOP_MS);
    await gone;
    clearTimeout(timer);
  }

  /** Begins again on the same port with what it had stored. Watches from before get 410 Gone. */
  async startAgain(): Promise<void> {
    if (this.#process === undefined) await this.#start(this.port);
  }

  async #start(port: number): Promise<void> {
    const { binary, folder, crds, authorization = "RBAC", flags = [] } = this.#options;
    const child = spawn(
      binary,
      [
        `--port=${port}`,
        `--data-dir=${join(folder, "data")}`,
        `--kubeconfig-out=${this.kubeconfig}`,
        `--authorization-mode=${authorization}`,
        ...(crds === undefined ? [] : [`--crds=${crds}`]),
        ...flags,
      ],
      // Its sockets are temporary files, which a crash leaves behind.
      { env: { ...process.env, TMPDIR: folder }, stdio: ["ignore", "pipe", "pipe"] },
    );
    endWithUs(child);
    this.#process = child;
    this.#server = await readyLine(child);
  }
}

/** @returns where it serves. */
function readyLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let [printed, complaints] = ["", ""];
    const fail = (why: string): void => reject(new Error(`kubeapi ${why}: ${complaints.slice(-2000)}`));
    const timer = setTimeout(() => fail(`was not ready within ${READY_MS} ms`), READY_MS);
    child.stderr!.on("data", (bytes: Buffer) => (complaints = (complaints + bytes.toString()).slice(-20_000)));
    child.once("error", (error) => fail(`could not be started: ${error.message}`));
    child.once("exit", (code) => (clearTimeout(timer), fail(`ended with ${code} before it was ready`)));
    child.stdout!.on("data", (bytes: Buffer) => {
      printed += bytes.toString();
      const server = /^kubeapi ready: (\S+)/m.exec(printed)?.[1];
      if (server === undefined) return;
      clearTimeout(timer);
      resolve(server);
    });
  });
}

function readAdmin(path: string): AdminAccess {
  const { clusters, users } = parse(readFileSync(path, "utf8")) as {
    clusters: [{ cluster: { server: string; "certificate-authority-data": string } }];
    users: [{ user: { token: string } }];
  };
  const { server, "certificate-authority-data": ca } = clusters[0].cluster;
  return { server, ca: Buffer.from(ca, "base64").toString(), token: users[0].user.token };
}
