import { MeshError } from "./errors.ts";
import type { LogLevel } from "./host.ts";
import { printable } from "./printable.ts";

/** From the quietest to the loudest. */
export const LOG_LEVELS: readonly LogLevel[] = ["none", "error", "warn", "info", "debug"];

/** What each scope tells of; contract operations.md 1.3 names most of them. */
export const LOG_SCOPES: Readonly<Record<string, string>> = {
  admin: "Requests to the health and admin ports, and changes of log levels",
  ads: "Clients of the discovery service: who connects, leaves or is refused",
  ca: "Certificates: requests, refusals, the signing key",
  delta: "Delta xDS sessions: subscriptions, answers, rejections",
  embedded: "The cluster that is a folder of manifests",
  gateway: "Beside a gateway's Envoy: its identity, its secrets, its readiness",
  grpc: "Connections and calls, below any service",
  krt: "The graph of collections",
  kube: "Lists and watches of Kubernetes API servers",
  peering: "Links to other control planes",
  registry: "Workloads, services and policies, and objects without effect",
  remote: "Remote clusters: their secrets, credentials and how far each has synced",
  spire: "SPIRE's server and its agent: when they answer, and why they do not; bundles of other trust domains",
  status: "Statuses written to objects",
  trust: "The trust manager, and what a cluster has to do with it",
  waypoint: "Gateways that are waypoints",
  wds: "Encoding of workloads, services and policies",
};

/** How much each scope says; one that has no level of its own follows the default. */
export interface LogLevels {
  readonly default: LogLevel;
  readonly scopes: ReadonlyMap<string, LogLevel>;
}

/**
 * Parses `level` or `scope:level,…`, as `default:info,ads:debug`. `default` is every scope that is not named; `all` is
 * every scope, those before it in the list too.
 * @param setting the flag or variable that it came from, for the error.
 * @throws MeshError `invalid`, naming the part that is wrong and what would be right.
 */
export function parseLogLevels(setting: string, text: string): LogLevels {
  const scopes = new Map<string, LogLevel>();
  let standard: LogLevel = "info";
  for (const part of text.split(",").map((part) => part.trim())) {
    const at = part.indexOf(":");
    const [scope, level] = at < 0 ? ["default", part] : [part.slice(0, at), part.slice(at + 1)];
    const refuse = (why: string) => new MeshError("invalid", `${setting} has "${printable(part, 80)}": ${why}`);
    if (!isLogLevel(level)) throw refuse(`the level must be one of ${LOG_LEVELS.join(", ")}, as in ads:debug`);
    if (scope === "all") scopes.clear();
    if (scope === "all" || scope === "default") standard = level;
    else if (Object.hasOwn(LOG_SCOPES, scope)) scopes.set(scope, level);
    else throw refuse(`there is no such scope; there are default, all, ${Object.keys(LOG_SCOPES).join(", ")}`);
  }
  return { default: standard, scopes };
}

export function isLogLevel(text: unknown): text is LogLevel {
  return LOG_LEVELS.some((level) => level === text);
}
