import { type ChildProcess, execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import type { TrustView } from "../../src/manager/view.ts";
import { endWithUs, eventually, PROGRAM } from "./causeway-process.ts";

const START_MS = 60_000;
const run = promisify(execFile);

/** One `causeway trust serve`, as its users start it, on free ports of 127.0.0.1. */
export class TrustManagerProcess {
  readonly #process: ChildProcess;
  #log = "";
  #ended = false;

  private constructor(flags: readonly string[], environment: Readonly<Record<string, string>>) {
    const ports = ["--relay-port", "0", "--admin-port", "0", "--health-port", "0", "--listen", "127.0.0.1"];
    const words = ["--enable-source-maps", PROGRAM, "trust", "serve", ...ports, ...flags];
    this.#process = spawn(process.execPath, words, {
      env: { ...ownEnvironment(), ...environment },
      stdio: ["ignore", "ignore", "pipe"],
    });
    endWithUs(this.#process);
    this.#process.stderr!.on("data", (bytes: Buffer) => (this.#log += bytes.toString()));
    this.#process.once("exit", () => (this.#ended = true));
  }

  /** Does not wait. */
  static begin(flags: readonly string[], environment: Readonly<Record<string, string>> = {}): TrustManagerProcess {
    return new TrustManagerProcess(flags, environment);
  }

  /** Resolves once it says that it is ready. */
  static async start(flags: readonly string[]): Promise<TrustManagerProcess> {
    const manager = TrustManagerProcess.begin(flags);
    try {
      await manager.leads();
    } catch (thrown) {
      await manager.stop("SIGKILL");
      throw thrown;
    }
    return manager;
  }

  /** Resolves once it is the one that works, and says so. */
  async leads(): Promise<void> {
    await eventually("the trust manager says that it is ready", START_MS, () => {
      if (this.#ended) throw new Error(`it ended: ${this.#log.slice(-3000)}`);
      return this.#log.includes("trust manager is ready");
    });
  }

  /** All that it has logged. */
  get log(): string {
    return this.#log;
  }
  get ended(): boolean {
    return this.#ended;
  }
  get relayPort(): number {
    return this.#said("port", /the trust manager listens for clusters.*\bport=(\d+)/);
  }

  /** URL of its admin port. */
  get admin(): string {
    return `http://127.0.0.1:${this.#said("admin port", /\badmin=(\d+)/)}`;
  }

  /** What it says of all that it manages. */
  async view(): Promise<TrustView> {
    return (await fetch(`${this.admin}/debug/trustz`, { signal: timeout() })).json() as Promise<TrustView>;
  }

  /** What its probe is told; empty once it is ready. */
  async whyNotReady(): Promise<string> {
    const port = this.#said("health port", /\bhealth=(\d+)/);
    const answer = await fetch(`http://127.0.0.1:${port}/ready`, { signal: timeout() });
    return answer.ok ? "" : answer.text();
  }

  /** What it ended with; undefined while it runs, or if it was killed. */
  get exitCode(): number | undefined {
    return this.#process.exitCode ?? undefined;
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    if (this.#ended) return;
    const gone = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill(signal);
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), 15_000);
    await gone;
    clearTimeout(timer);
  }

  #said(what: string, pattern: RegExp): number {
    const found = pattern.exec(this.#log);
    if (found !== null) return Number(found[1]);
    throw new Error(`the trust manager did not say its ${what}: ${this.#log.slice(-2000)}`);
  }
}

/** What a command of ours prints. @throws if it ends badly, with what it complained of. */
export async function causeway(...words: readonly string[]): Promise<string> {
  return (await run(process.execPath, [PROGRAM, ...words], { env: ownEnvironment(), timeout: 60_000 })).stdout;
}

const timeout = (): AbortSignal => AbortSignal.timeout(10_000);

/** Nothing of the machine's own clusters must reach a test. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const { KUBECONFIG: _, KUBERNETES_SERVICE_HOST: __, ...environment } = process.env;
  return environment;
}
