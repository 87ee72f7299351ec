import type { Environment, Flag, Options } from "./command.ts";
import type { LogLevels } from "./log-levels.ts";
import { allGiven, given, type Given, ipOf, logLevelsOf, matching, portOf, type Setting, setting } from "./settings.ts";

/** All that settles how the trust manager runs. Nothing in it is secret. */
export interface ManagerConfig {
  /** Of all its objects and Secrets. */
  readonly namespace: string;
  /** A folder of manifests instead of an API server. */
  readonly manifests: string | undefined;
  /** A file with the credentials for the API server; undefined for those of our pod, or what KUBECONFIG names. */
  readonly kubeconfig: string | undefined;
  readonly kubeContext: string | undefined;
  readonly stateDir: string;
  readonly podName: string;
  readonly listenAddress: string;
  /** TCP, 0 for any that is free. */
  readonly ports: { readonly relay: number; readonly admin: number; readonly health: number };
  /** How clusters may call the manager, besides what the relay's root says; for its certificate. */
  readonly relayNames: readonly string[];
  readonly log: { readonly levels: LogLevels; readonly asJson: boolean };
}

export const MANAGER_SETTINGS = {
  namespace: setting("--trust-namespace <name>", "of its objects; gloo-mesh by default", "POD_NAMESPACE"),
  manifests: setting("--manifests <dir>", "a folder of manifests instead of an API server"),
  kubeconfig: setting("--kubeconfig <file>", "credentials for the API server; those of our pod by default"),
  context: setting("--context <name>", "which context of that file; its current one by default"),
  stateDir: setting("--state <dir>", "what must survive a restart; ./var/lib/causeway-trust by default"),
  podName: setting("--pod-name <name>", "tells replicas apart; trust-manager by default", "POD_NAME"),
  listen: setting("--listen <ip>", "address of all ports; 0.0.0.0 by default"),
  relayPort: setting("--relay-port <port>", "where clusters call; 9900 by default"),
  adminPort: setting("--admin-port <port>", "metrics, version, debug pages, log levels; 15024 by default"),
  healthPort: setting("--health-port <port>", "ready and livez; 8081 by default"),
  relayName: setting("--relay-name <name>", "one more name for the relay's certificate", undefined, true),
  logLevels: setting("--log_output_level <levels>", "as default:info,trust:debug; info by default"),
} as const satisfies Readonly<Record<string, Setting>>;

export const MANAGER_FLAGS: readonly Flag[] = [
  ...Object.values(MANAGER_SETTINGS).map(({ flag }) => flag),
  { flags: "--log_as_json", description: "log lines as JSON objects" },
];

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const NAME = /^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$/;

/** @throws UsageError naming the flag or variable, its value and what would be right. */
export function loadManagerConfig(options: Options, environment: Environment): ManagerConfig {
  const read = <T, D>(name: keyof typeof MANAGER_SETTINGS, parse: (value: Given) => T, otherwise: D): T | D => {
    const value = given(MANAGER_SETTINGS[name], options, environment);
    return value === undefined ? otherwise : parse(value);
  };
  const label = (value: Given): string => matching(value, LABEL, "use lower case letters, digits and '-'");
  const path = (value: Given): string => matching(value, /^[^\0]+$/, "give a path");
  const name = (value: Given): string => matching(value, NAME, "give a DNS name or an IP address");
  return {
    namespace: read("namespace", label, "gloo-mesh"),
    manifests: read("manifests", path, undefined),
    kubeconfig: read("kubeconfig", path, undefined),
    kubeContext: read("context", ({ text }) => text, undefined),
    stateDir: read("stateDir", path, "./var/lib/causeway-trust"),
    podName: read("podName", name, "trust-manager"),
    listenAddress: read("listen", ipOf, "0.0.0.0"),
    ports: {
      relay: read("relayPort", portOf, 9_900),
      admin: read("adminPort", portOf, 15_024),
      health: read("healthPort", portOf, 8_081),
    },
    relayNames: allGiven(MANAGER_SETTINGS.relayName, options).map(name),
    log: {
      levels: read("logLevels", logLevelsOf, { default: "info", scopes: new Map() }),
      asJson: options["log_as_json"] === true,
    },
  };
}
