import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What `causeway` runs. */
export const PROGRAM = join(import.meta.dirname, "..", "..", "src", "main.js");

export interface CausewayOptions {
  /** Holds its state; a process that is started on the same one later is a restart. */
  readonly folder: string;
  /** What comes after `serve`, as `--kubeconfig`. Ports and state are given by the lab. */
  readonly flags: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** The part of `connection.json` that tests use. */
interface Connection {
  readonly admin: string;
  readonly health: string;
  readonly xds: string;
  readonly rootCertificate: string;
  readonly pid: number;
}

const START_MS = 60_000;

/** One `causeway serve`, as its users start it, on free ports of 127.0.0.1. */
export class Causeway {
  readonly #process: ChildProcess;
  readonly #options: CausewayOptions;
  #log = "";
  #ended = false;
  /** From its start until it said that it was ready, in milliseconds. */
  readyMs = Infinity;

  private constructor(options: CausewayOptions) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true });
    const ports = ["--xds-port", "0", "--admin-port", "0", "--health-port", "0", "--listen", "127.0.0.1"];
    const flags = ["serve", "--state", options.folder, ...ports, ...options.flags];
    // Nothing of the machine's own clusters must reach a test.
    const { KUBECONFIG: _, KUBERNETES_SERVICE_HOST: __, ...environment } = process.env;
    this.#process = spawn(process.execPath, ["--enable-source-maps", PROGRAM, ...flags], {
      env: { ...environment, ...options.environment },
      stdio: ["ignore", "ignore", "pipe"],
    });
    endWithUs(this.#process);
    this.#process.stderr!.on("data", (bytes: Buffer) => (this.#log += bytes.toString()));
    this.#process.once("exit", () => (this.#ended = true));
  }

  /** Resolves once it says that it is ready. */
  static async start(options: CausewayOptions): Promise<Causeway> {
    const causeway = Causeway.begin(options);
    try {
      causeway.readyMs = await eventually("causeway says that it is ready", START_MS, () => {
        if (causeway.#ended) throw new Ended(`causeway ended: ${causeway.log.slice(-3000)}`);
        return causeway.log.includes("causeway is ready");
      });
    } catch (thrown) {
      await causeway.stop("SIGKILL");
      throw new Error(`${(thrown as Error).message}\n${causeway.log.slice(-3000)}`, { cause: thrown });
    }
    return causeway;
  }

  /** Does not wait. */
  static begin(options: CausewayOptions): Causeway {
    return new Causeway(options);
  }

  get pid(): number {
    return this.#process.pid!;
  }
  /** Undefined until it has left `connection.json`. */
  get connection(): Connection | undefined {
    try {
      const left = JSON.parse(readFileSync(join(this.#options.folder, "connection.json"), "utf8")) as Connection;
      return left.pid === this.pid ? left : undefined;
    } catch {
      return undefined;
    }
  }
  /** All that it has logged. */
  get log(): string {
    return this.#log;
  }
  get ended(): boolean {
    return this.#ended;
  }
  /** Resident memory, in MiB. */
  get rssMiB(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) / 1024;
  }
  /** Open files, sockets among them. */
  get handles(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }
  /** CPU that it used so far, in milliseconds. */
  get cpuMs(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    // User and system time, in clock ticks of 10 ms.
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  /** A debug page, as `ambientz`. */
  async debug<T>(page: string): Promise<T> {
    return JSON.parse(await this.#fetch("admin", `/debug/${page}`)) as T;
  }

  /** What differs in the digests of what clients are sent, by type; equal on planes that send the same. */
  async digests(): Promise<Readonly<Record<string, string>>> {
    const types = await this.debug<Record<string, { digest: string; resources: number }>>("digestz");
    return Object.fromEntries(
      Object.entries(types).map(([type, { digest, resources }]) => [type, `${resources} ${digest}`]),
    );
  }

  metrics(): Promise<string> {
    return this.#fetch("admin", "/metrics");
  }

  /** The sum of the series of a metric whose labels hold `labels`, as `code="403"`. */
  async metric(name: string, labels = ""): Promise<number> {
    const lines = (await this.metrics())
      .split("\n")
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    return lines.filter((line) => line.includes(labels)).reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  /** Of JavaScript, garbage included. */
  async heapMiB(): Promise<number> {
    return (await this.metric("nodejs_heap_size_used_bytes")) / 2 ** 20;
  }

  /** Whether /ready says 200. */
  async ready(): Promise<boolean> {
    const { health } = this.#connected();
    return (await fetch(`${health}/ready`, { signal: AbortSignal.timeout(5_000) })).ok;
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    if (this.#ended) return;
    const gone = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill(signal);
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), 15_000);
    await gone;
    clearTimeout(timer);
  }

  #connected(): Connection {
    const { connection } = this;
    if (connection === undefined) throw new Error(`causeway left no connection.json: ${this.log.slice(-2000)}`);
    return connection;
  }

  async #fetch(port: "admin" | "health", path: string): Promise<string> {
    const answer = await fetch(this.#connected()[port] + path, { signal: AbortSignal.timeout(10_000) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text.slice(0, 300)}`);
    return text;
  }
}

const children = new Set<ChildProcess>();
process.once("exit", () => children.forEach((child) => child.kill("SIGKILL")));

/** A child that its test could not stop, as its time was over, must not outlive us. */
export function endWithUs(child: ChildProcess): void {
  children.add(child);
  child.once("exit", () => children.delete(child));
}

/** Not worth trying again. */
class Ended extends Error {}

/**
 * Asks again every 50 ms: other processes do not say when they are done.
 * @throws after `limitMs`, with what `check` last threw or gave.
 * @returns how long it took, in milliseconds.
 */
export async function eventually(
  what: string,
  limitMs: number,
  check: () => boolean | Promise<boolean>,
): Promise<number> {
  const startedAt = performance.now();
  let last: unknown;
  for (;;) {
    try {
      if (await check()) return Math.round(performance.now() - startedAt);
      last = undefined;
    } catch (thrown) {
      if (thrown instanceof Ended) throw thrown;
      last = thrown;
    }
    if (performance.now() - startedAt > limitMs) {
      const why = last instanceof Error ? `: ${last.message}` : "";
      throw new Error(`it did not become true within ${limitMs} ms that ${what}${why}`, { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
