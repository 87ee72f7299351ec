import { type Environment, type Options, UsageError } from "./command.ts";
import { given, type Given, refuse, type Setting, setting } from "./settings.ts";
import { loadSpireRegisterConfig, SPIRE_REGISTER_SETTINGS, type SpireRegisterConfig } from "./spire-register-config.ts";

/**
 * Who signs what workloads show: our own authority; SPIRE, request by request; our own authority with a key that SPIRE
 * vouches for; or nobody here, as they have it from SPIRE's agents (contract identity.md 1.8).
 */
export type IdentityMode = (typeof IDENTITY_MODES)[number];
export const IDENTITY_MODES = ["mesh", "spire", "spire-downstream", "external"] as const;

export type SpireAddress =
  | { readonly kind: "socket"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

export interface SpireConfig {
  readonly identity: IdentityMode;
  /** Undefined if it is not asked. */
  readonly server: SpireAddress | undefined;
  /** Path of the agent's Workload API socket, where our own SVID and bundles come from. */
  readonly agentSocket: string | undefined;
  /** What the attestor k8s_psat calls our cluster; our cluster's name if undefined. */
  readonly cluster: string | undefined;
  readonly register: SpireRegisterConfig;
}

/** Whether it matters to us whom SPIRE knows. */
export const usesSpire = ({ identity, register }: SpireConfig): boolean =>
  identity !== "mesh" || register.templates !== undefined;

export const SPIRE_SETTINGS = {
  identity: setting(
    "--identity <how>",
    "who signs for workloads: mesh, spire, spire-downstream or external; mesh by default",
    "WORKLOAD_IDENTITY",
  ),
  server: setting("--spire-server <address>", "SPIRE's server: host:port, or unix: and a path", "SPIRE_SERVER_ADDRESS"),
  agent: setting("--spire-agent <socket>", "SPIRE's agent: unix: and a path", "SPIFFE_ENDPOINT_SOCKET"),
  cluster: setting("--spire-cluster <name>", "what SPIRE calls this cluster; its name by default", "SPIRE_CLUSTER"),
  ...SPIRE_REGISTER_SETTINGS,
} as const satisfies Readonly<Record<string, Setting>>;

const HOST_AND_PORT = /^(?:([a-z0-9.-]+)|\[([0-9a-f:.]+)\]):([1-9][0-9]{0,4})$/i;
const SOCKET = /^(?:unix:(?:\/\/)?)?(\/[^\0]+)$/;
/** What the system takes; a longer path is cut off without a word, and leads elsewhere then. */
const SOCKET_PATH_BYTES_MAX = 107;
const CLUSTER = /^[\w.-]{1,253}$/;

/** @throws UsageError naming the flag or variable, its value and what would be right. */
export function loadSpireConfig(options: Options, environment: Environment): SpireConfig {
  const read = <T, D>(name: keyof typeof SPIRE_SETTINGS, parse: (value: Given) => T, otherwise: D): T | D => {
    const value = given(SPIRE_SETTINGS[name], options, environment);
    return value === undefined ? otherwise : parse(value);
  };
  const config: SpireConfig = {
    identity: read("identity", modeOf, "mesh"),
    server: read("server", addressOf, undefined),
    agentSocket: read("agent", socketOf, undefined),
    cluster: read("cluster", clusterOf, undefined),
    register: loadSpireRegisterConfig(options, environment),
  };
  const lacking = whatLacks(config);
  if (lacking !== undefined) throw new UsageError(lacking);
  return config;
}

/** A mode that lacks what it needs must not look as if it worked. */
function whatLacks({ identity, server, agentSocket, register }: SpireConfig): string | undefined {
  const asks = identity === "spire" || identity === "spire-downstream";
  if (asks && server === undefined)
    return `--identity ${identity} asks SPIRE's server: name it with --spire-server (SPIRE_SERVER_ADDRESS)`;
  if (register.templates !== undefined && server === undefined)
    return "--spire-register makes entries at SPIRE's server: name it with --spire-server (SPIRE_SERVER_ADDRESS)";
  if (identity === "spire-downstream" && server?.kind === "socket")
    return "--identity spire-downstream needs the server's TCP port in --spire-server: its socket makes no authorities";
  if (server?.kind === "tcp" && agentSocket === undefined)
    return "--spire-server over TCP needs an identity of ours: name the agent with --spire-agent (SPIFFE_ENDPOINT_SOCKET)";
  return undefined;
}

const modeOf = (value: Given): IdentityMode =>
  IDENTITY_MODES.find((mode) => mode === value.text) ?? refuse(value, `use ${IDENTITY_MODES.join(", ")}`);

function addressOf(value: Given): SpireAddress {
  const [, path] = SOCKET.exec(value.text) ?? [];
  if (path !== undefined) return { kind: "socket", path: shortEnough(value, path) };
  const [, name, ipv6, port] = HOST_AND_PORT.exec(value.text) ?? [];
  const host = name ?? ipv6;
  if (host === undefined || Number(port) > 65_535)
    return refuse(value, "give host and port, as spire-server.spire-server:443, or unix:/run/spire/server/api.sock");
  return { kind: "tcp", host, port: Number(port) };
}

/** The path of a socket, with or without `unix:`. @throws UsageError */
export function socketOf(value: Given): string {
  const [, path] = SOCKET.exec(value.text) ?? [];
  if (path !== undefined) return shortEnough(value, path);
  return refuse(value, "give the path of a socket, as unix:///run/spire/agent-sockets/spire-agent.sock");
}

function shortEnough(value: Given, path: string): string {
  const bytes = Buffer.byteLength(path);
  if (bytes <= SOCKET_PATH_BYTES_MAX) return path;
  return refuse(value, `the path of a socket has at most ${SOCKET_PATH_BYTES_MAX} bytes, and this one has ${bytes}`);
}

const clusterOf = (value: Given): string =>
  CLUSTER.test(value.text) ? value.text : refuse(value, "use letters, digits, '.', '-' and '_'");
