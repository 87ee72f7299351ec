import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endWithUs, eventually } from "./causeway-process.ts";
import { RUNTIME } from "../../src/gateway/bootstrap.ts";
import { proxyNode } from "../xds/envoy/proxy-lab.ts";

export interface EnvoyOptions {
  readonly binary: string;
  /** Where a control plane listens without TLS. */
  readonly port: number;
  /** Of the bootstrap, beside the control plane. */
  readonly clusters?: readonly unknown[];
  /** Whose proxy it is, in `shop`; `waypoint` by default. */
  readonly gateway?: string;
  /** For how many seconds listeners that are no longer wanted serve on, and are shown with their routes; 1 by default. */
  readonly drainS?: number;
}

/** A stock Envoy that has nothing but what a control plane on this machine tells it. */
export class RealEnvoy {
  readonly #folder: string;
  readonly #process: ChildProcess;
  #admin = "";

  private constructor(folder: string, process: ChildProcess) {
    this.#folder = folder;
    this.#process = process;
  }

  /** Resolves once its admin port answers. */
  static async start({ binary, port, clusters = [], gateway, drainS = 1 }: EnvoyOptions): Promise<RealEnvoy> {
    const folder = mkdtempSync(join(tmpdir(), "causeway-envoy-"));
    const adminFile = join(folder, "admin");
    writeFileSync(join(folder, "bootstrap.json"), JSON.stringify(bootstrap(port, clusters, gateway)));
    const flags = ["-c", "bootstrap.json", "--admin-address-path", adminFile, "--use-dynamic-base-id"];
    const log = ["--log-path", join(folder, "log"), "--concurrency", "1", "--drain-time-s", `${drainS}`];
    const often = ["--file-flush-interval-msec", "10"];
    const accessLog = openSync(join(folder, "access"), "w");
    const stdio = ["ignore", accessLog, "ignore"] as const;
    const process = spawn(binary, [...flags, ...log, ...often], { cwd: folder, stdio: [...stdio] });
    closeSync(accessLog);
    endWithUs(process);
    const envoy = new RealEnvoy(folder, process);
    await eventually(
      "Envoy opens its admin port",
      20_000,
      () => existsSync(adminFile) && readFileSync(adminFile, "utf8") !== "",
    );
    envoy.#admin = `http://${readFileSync(adminFile, "utf8").trim()}`;
    return envoy;
  }

  /** What it logged. */
  get log(): string {
    return readFileSync(join(this.#folder, "log"), "utf8");
  }

  /** Lines of its access log, those that it wrote last at the end. */
  get accessLog(): readonly Readonly<Record<string, unknown>>[] {
    const lines = readFileSync(join(this.#folder, "access"), "utf8").split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Where a listener is. */
  async portOf(listener: string): Promise<number> {
    const line = (await this.get("/listeners")).split("\n").find((text) => text.startsWith(`${listener}::`));
    return Number(line?.slice(line.lastIndexOf(":") + 1));
  }

  async get(path: string): Promise<string> {
    const answer = await fetch(this.#admin + path);
    return answer.text();
  }

  async clusters(): Promise<readonly string[]> {
    const lines = (await this.get("/clusters")).split("\n");
    return [...new Set(lines.map((line) => line.split("::")[0]!))].filter((name) => name !== "");
  }

  /** The counters and gauges whose names begin so. */
  async stats(prefix: string): Promise<ReadonlyMap<string, number>> {
    const lines = (await this.get(`/stats?filter=^${prefix}`)).split("\n");
    return new Map(lines.map((line) => line.split(": ")).map(([name, value]) => [name!, Number(value)]));
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGKILL");
    await gone;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function bootstrap(port: number, clusters: readonly unknown[], gateway: string | undefined): unknown {
  const { id, metadata } = proxyNode(gateway);
  const strings = Object.entries(metadata.fields).map(([key, { stringValue }]) => [key, stringValue]);
  const ads = { ads: {}, resource_api_version: "V3" };
  const services = [{ envoy_grpc: { cluster_name: "control-plane" } }];
  return {
    node: { id, cluster: "waypoint", metadata: Object.fromEntries(strings) as unknown },
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } },
    bootstrap_extensions: [
      {
        name: "envoy.bootstrap.internal_listener",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
        },
      },
    ],
    dynamic_resources: {
      ads_config: { api_type: "DELTA_GRPC", transport_api_version: "V3", grpc_services: services },
      cds_config: ads,
      lds_config: ads,
    },
    layered_runtime: RUNTIME,
    static_resources: { clusters: [controlPlane(port), ...clusters] },
  };
}

const controlPlane = (port: number): unknown => ({
  name: "control-plane",
  type: "STATIC",
  connect_timeout: "5s",
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
  load_assignment: {
    cluster_name: "control-plane",
    endpoints: [
      {
        lb_endpoints: [{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } }],
      },
    ],
  },
});
