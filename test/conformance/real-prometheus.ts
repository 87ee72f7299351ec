import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { stringify } from "yaml";
import type { Series } from "../kits/dashboard-picture.ts";
import type { Span } from "../kits/line-chart.ts";

const run = promisify(execFile);
const CACHE = join(import.meta.dirname, "..", "..", "..", "node_modules", ".cache", "prometheus");
const INSTALL_MS = 90_000;

/** Debian's Prometheus, unpacked and not installed, so that no service of it starts. */
export interface PrometheusPrograms {
  readonly prometheus: string;
  readonly promtool: string;
}

/** @returns why there is none, in words, where it cannot be had. */
export async function prometheusPrograms(): Promise<PrometheusPrograms | string> {
  const at = (name: string): string => join(CACHE, "root", "usr", "bin", name);
  const programs = { prometheus: at("prometheus"), promtool: at("promtool") };
  if (existsSync(programs.prometheus)) return programs;
  mkdirSync(CACHE, { recursive: true });
  try {
    const within = { cwd: CACHE, timeout: INSTALL_MS };
    await run("apt-get", ["download", "prometheus"], within).catch(async () => {
      await run("apt-get", ["update", "-qq"], within);
      await run("apt-get", ["download", "prometheus"], within);
    });
    const archive = readdirSync(CACHE).find((name) => name.endsWith(".deb"))!;
    await run("dpkg", ["-x", archive, "root"], within);
    return programs;
  } catch (thrown) {
    return `Debian's package prometheus cannot be had here: ${String(thrown).slice(0, 200)}`;
  }
}

interface Answer<T> {
  readonly status: string;
  readonly error?: string;
  readonly data: T;
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [at: number, value: string];
}

interface Target {
  readonly health: string;
  readonly lastError: string;
  readonly labels: { readonly instance: string };
}

/** One that scrapes every second. */
export class RealPrometheus {
  readonly #child: ChildProcess;
  readonly #output: string[] = [];

  private constructor(
    child: ChildProcess,
    readonly url: string,
  ) {
    this.#child = child;
    child.stderr!.on("data", (bytes: Buffer) => this.#output.push(bytes.toString()));
  }

  /** @param targets host and port of each. */
  static async start(
    { prometheus }: PrometheusPrograms,
    folder: string,
    targets: readonly string[],
    rules: string,
  ): Promise<RealPrometheus> {
    const config = join(folder, "prometheus.yaml");
    const every = { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" };
    const scraped = [{ job_name: "causeway", static_configs: [{ targets }] }];
    writeFileSync(config, stringify({ global: every, rule_files: [rules], scrape_configs: scraped }));
    const at = `127.0.0.1:${await freePort()}`;
    const flags = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, "tsdb")}`,
      `--web.listen-address=${at}`,
    ];
    return new RealPrometheus(spawn(prometheus, flags, { stdio: ["ignore", "ignore", "pipe"] }), `http://${at}`);
  }

  /** The result of an instant query. @throws Error with its words if the expression is none. */
  async query(expression: string): Promise<readonly Sample[]> {
    const { result } = await this.#ask<{ readonly result: readonly Sample[] }>("query", { query: expression });
    return result;
  }

  /** The same over time, at each step. */
  async queryRange(expression: string, { from, to, stepSeconds }: Span): Promise<readonly Series[]> {
    const asked = { query: expression, start: `${from}`, end: `${to}`, step: `${stepSeconds}` };
    return (await this.#ask<{ readonly result: readonly Series[] }>("query_range", asked)).result;
  }

  async targets(): Promise<readonly Target[]> {
    const { activeTargets } = await this.#ask<{ readonly activeTargets: readonly Target[] }>("targets", {});
    return activeTargets;
  }

  /** Every rule that did not evaluate, with why. */
  async failedRules(): Promise<readonly string[]> {
    const rules = await this.#ask<{
      readonly groups: readonly {
        readonly rules: readonly { readonly name: string; readonly health: string; readonly lastError?: string }[];
      }[];
    }>("rules", {});
    const all = rules.groups.flatMap((group) => group.rules);
    return all
      .filter(({ health }) => health !== "ok")
      .map(({ name, health, lastError }) => `${name}: ${lastError ?? health}`);
  }

  async #ask<T>(what: string, parameters: Readonly<Record<string, string>>): Promise<T> {
    const answer = await fetch(`${this.url}/api/v1/${what}?${new URLSearchParams(parameters).toString()}`).catch(() => {
      throw new Error(`Prometheus does not answer: ${this.#output.join("").slice(-2_000)}`);
    });
    const { status, error, data } = (await answer.json()) as Answer<T>;
    if (status !== "success") throw new Error(`${error}: ${JSON.stringify(parameters)}`);
    return data;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    await gone;
  }
}

/** Prometheus does not say which port it took, so it is told one. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address !== null && typeof address === "object" ? address.port : 0;
}
