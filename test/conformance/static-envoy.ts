import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import protobuf from "protobufjs/minimal.js";
import { anyOf, envoy, google } from "../../src/xds/envoy/message.ts";
import { until } from "./ztunnel-lab.ts";

type Listener = envoy.config.listener.v3.Listener.$Properties;
type Cluster = envoy.config.cluster.v3.Cluster.$Properties;
type Filter = envoy.config.listener.v3.Filter.$Properties;
type RouteConfiguration = envoy.config.route.v3.RouteConfiguration.$Properties;

/** All that an Envoy is to know, with no control plane. */
export interface StaticConfig {
  readonly listeners: readonly Listener[];
  readonly clusters: readonly Cluster[];
}

export const loopback = (portValue = 0) => ({ socketAddress: { address: "127.0.0.1", portValue } });

/** Chains of ours whose routes come with them, as no control plane is here to send any. */
export const withRoutes = (filters: readonly Filter[], routeConfig: RouteConfiguration): Filter[] =>
  filters.map((filter) => {
    if (filter.typedConfig?.type_url?.endsWith(".HttpConnectionManager") !== true) return filter;
    const Hcm = envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager;
    const manager = Hcm.decode(filter.typedConfig.value!);
    return { ...filter, typedConfig: anyOf(Hcm, { ...manager, rds: null, routeConfig }) };
  });

/** A Bootstrap message: what Envoy reads from a file that ends with `.pb`. Its definition is not among those we generate. */
function bootstrap({ listeners, clusters }: StaticConfig): Uint8Array {
  const writer = protobuf.Writer.create();
  writer.uint32(0x0a).fork().uint32(0x0a).string("test").uint32(0x12).string("test").ldelim();
  writer.uint32(0x12).fork();
  for (const listener of listeners)
    envoy.config.listener.v3.Listener.encode(listener, writer.uint32(0x0a).fork()).ldelim();
  for (const cluster of clusters) envoy.config.cluster.v3.Cluster.encode(cluster, writer.uint32(0x12).fork()).ldelim();
  writer.ldelim();
  writer.uint32(0x62).fork();
  envoy.config.core.v3.Address.encode(loopback(), writer.uint32(0x1a).fork()).ldelim();
  writer.ldelim();
  // As gateways start theirs: Envoy's own bound on regular expressions is a hundred instructions.
  const level = (name: string) => ({ [`re2.max_program_size.${name}_level`]: { numberValue: 32_768 } });
  const { Struct } = google.protobuf;
  writer.uint32(0x8a).fork().uint32(0x0a).fork().uint32(0x0a).string("static");
  Struct.encode({ fields: { ...level("error"), ...level("warn") } }, writer.uint32(0x12).fork()).ldelim();
  return writer.ldelim().ldelim().finish();
}

/** An Envoy with a fixed configuration, on loopback, and what it prints. */
export class StaticEnvoy implements AsyncDisposable {
  /** Lines of the access log. */
  readonly log: Record<string, unknown>[] = [];
  readonly #child: ChildProcess;
  readonly #folder: string;
  #complaints = "";

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    child.stderr!.on("data", (chunk: Buffer) => (this.#complaints += chunk.toString()));
    createInterface({ input: child.stdout! }).on("line", (line) => {
      if (line.startsWith("{")) this.log.push(JSON.parse(line) as Record<string, unknown>);
    });
  }

  static async start(binary: string, config: StaticConfig): Promise<StaticEnvoy> {
    const folder = mkdtempSync(join(tmpdir(), "static-envoy-"));
    writeFileSync(join(folder, "envoy.pb"), bootstrap(config));
    const flags = ["--use-dynamic-base-id", "--concurrency", "1", "-l", "warning", "--file-flush-interval-msec", "10"];
    const files = ["-c", join(folder, "envoy.pb"), "--admin-address-path", join(folder, "admin")];
    const running = new StaticEnvoy(spawn(binary, [...files, ...flags], { stdio: ["ignore", "pipe", "pipe"] }), folder);
    try {
      await until("Envoy serves", async () => (await running.admin("/ready")).startsWith("LIVE"));
    } catch (error) {
      await running[Symbol.asyncDispose]();
      throw new Error(`Envoy did not start: ${running.#complaints}`, { cause: error });
    }
    return running;
  }

  async admin(path: string): Promise<string> {
    const address = readFileSync(join(this.#folder, "admin"), "utf8");
    return (await fetch(`http://${address}${path}`)).text();
  }

  async portOf(listener: string): Promise<number> {
    const line = (await this.admin("/listeners")).split("\n").find((text) => text.startsWith(`${listener}::`));
    return Number(line!.slice(line!.lastIndexOf(":") + 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) {
      const gone = new Promise((resolve) => this.#child.once("exit", resolve));
      this.#child.kill("SIGKILL");
      await gone;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** What a real Envoy has against `config`; undefined if nothing. */
export async function complaint(binary: string, config: StaticConfig): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "static-envoy-"));
  const file = join(folder, "envoy.pb");
  writeFileSync(file, bootstrap(config));
  try {
    return await new Promise((resolve) =>
      execFile(
        binary,
        ["--mode", "validate", "-c", file, "--use-dynamic-base-id", "-l", "critical"],
        (error, _out, stderr) => resolve(error === null ? undefined : stderr),
      ),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
