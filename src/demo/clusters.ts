import { join, resolve } from "node:path";
import { type CommandCall, type Options, UsageError } from "../command.ts";
import { type Config, loadConfig } from "../config.ts";
import type { ManagerConfig } from "../manager-config.ts";
import { serverSocketIn } from "./spire/stand-in-server.ts";

/** The clusters of the demo, in the order in which they start: each is a folder of `examples/`. */
export const DEMO_CLUSTERS = ["edge", "bank", "vendor"] as const;
export type DemoCluster = (typeof DEMO_CLUSTERS)[number];

const EXAMPLES = join(import.meta.dirname, "..", "..", "..", "examples");
/** What each cluster adds to the ports of the first. */
const PORT_STEP = 100;
const PORTS = { xdsPort: 15_012, adminPort: 15_014, healthPort: 8_080 } as const;
/** The relay's ports lie this far above discovery's: the way to the control plane, and that for traffic. */
const RELAY_STEP = 10;
const DOOR_STEP = 6;
/** So do those of the trust manager, of which there is one. */
const TRUST_STEP = 4;
/** What makes sense for all three; the rest is one control plane's. */
const SHARED: readonly string[] = [
  ...["once", "output", "state", "listen", "log_output_level", "log_as_json", "timeout", "identity"],
];
/** In the state folder of a cluster. */
const SPIRE_FOLDER = "spire";
/** The longest name of a socket there, and what the system takes of a socket's path; it cuts off the rest without a word. */
const LONGEST_SOCKET = "agent-0-admin-0.sock";
const SOCKET_PATH_BYTES_MAX = 107;

/** One control plane of the demo, and how the others reach it. */
export interface DemoConfig {
  readonly cluster: DemoCluster;
  readonly config: Config;
  /** Where this cluster's Gateways of class `istio-remote` are written. */
  readonly linksDir: string;
  /** 0 for any that is free. */
  readonly relayPort: number;
  readonly doorPort: number;
  /** Of the stand-in for SPIRE that signs for its workloads; undefined if its own authority does. */
  readonly spireDir: string | undefined;
}

/** @throws UsageError for a flag that only one control plane can have. */
export function demoConfigs({ options }: Pick<CommandCall, "options">, over: Options = {}): readonly DemoConfig[] {
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !SHARED.includes(name) && !Object.hasOwn(PORTS, name))
      throw new UsageError(`--${dashed(name)} is for one control plane; add --manifests <dir> to run only one`);
  const { identity = "mesh" } = options;
  if (identity !== "mesh" && identity !== "spire")
    throw new UsageError(`--identity ${identity} is for one control plane; the demo has mesh and spire`);
  return DEMO_CLUSTERS.map((cluster, at) => demoConfig({ ...over, ...options }, cluster, at));
}

function demoConfig(options: Options, cluster: DemoCluster, at: number): DemoConfig {
  const state = join(typeof options["state"] === "string" ? options["state"] : ".causeway", cluster);
  const ports = Object.entries(PORTS).map(([name, usual]) => [name, shifted(options[name], usual, at)] as const);
  const spireDir = options["identity"] === "spire" ? resolve(state, SPIRE_FOLDER) : undefined;
  if (spireDir !== undefined) requireShort(spireDir);
  const own = {
    // There are three, and one such port.
    ctrlz_port: "off",
    // With SPIRE no workload runs that would have to learn a root first; else those of the demo do, in half a second.
    rootWait: options["identity"] === "spire" ? "0" : "2s",
    ...{
      cluster,
      state,
      cacerts: join(state, spireDir === undefined ? "intermediate" : "cacerts"),
      manifests: [`${cluster}=${join(EXAMPLES, cluster)}`],
    },
    // As guide 002: with SPIRE, each cluster is a trust domain of its own.
    ...(spireDir !== undefined && { trustDomain: cluster, spireServer: `unix://${serverSocketIn(spireDir)}` }),
  };
  // Variables name one cluster, and there are three.
  const config = loadConfig({ ...options, ...Object.fromEntries(ports), ...own }, {}, { ...DEFAULTS, stateDir: state });
  const linksDir = resolve(state, "links");
  const manifests = config.manifests.map((manifest) => ({ ...manifest, furtherFolders: [linksDir] }));
  const { xds } = config.ports;
  const [relayPort, doorPort] = xds === 0 ? [0, 0] : [xds + RELAY_STEP, xds + DOOR_STEP];
  return { cluster, config: { ...config, manifests }, linksDir, relayPort, doorPort, spireDir };
}

/** @throws UsageError */
function requireShort(spireDir: string): void {
  const path = join(spireDir, LONGEST_SOCKET);
  const bytes = Buffer.byteLength(path);
  if (bytes > SOCKET_PATH_BYTES_MAX)
    throw new UsageError(
      `--state is too long for the sockets of the stand-in for SPIRE: ${path} has ${bytes} bytes, and the path of a ` +
        `socket at most ${SOCKET_PATH_BYTES_MAX}; choose another folder with --state <dir>, as /tmp/demo`,
    );
}

/** Of the trust manager, which moves with the first cluster; 0 stays 0. */
export function managerPorts({ xds, admin, health }: Config["ports"]): ManagerConfig["ports"] {
  const beside = (port: number, step: number): number => (port === 0 ? 0 : port + step);
  return { relay: beside(xds, TRUST_STEP), admin: beside(admin, RELAY_STEP), health: beside(health, 1) };
}

const DEFAULTS = { listenAddress: "127.0.0.1" };

/** 0 stays 0, which is whichever port is free. What is no number is left for the config to refuse. */
function shifted(value: Options[string], usual: number, at: number): string {
  const base = typeof value === "string" ? value : `${usual}`;
  return /^[1-9][0-9]*$/.test(base) ? `${Number(base) + at * PORT_STEP}` : base;
}

const dashed = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
