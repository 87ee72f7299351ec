import type { ObjectKey, ServiceName } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import { merge } from "../collection/merge.ts";
import { problemsOf } from "../enforced-rules.ts";
import type { DestinationRule } from "../kube/destination-rule.ts";
import type { Objects } from "../kube/objects.ts";
import type { Problem } from "../model/problem.ts";
import type { BackendSettings } from "../model/proxy-backend.ts";
import type { Service } from "../model/service.ts";
import type { RouteOptions } from "./route-parents.ts";

/** What DestinationRules say of a service. */
export interface HostSettings {
  /** Namespaces whose rules count for a waypoint elsewhere: the service's, and then the root namespace. */
  readonly homes: readonly string[];
  /** In order of preference within each namespace. */
  readonly rules: readonly RuleSettings[];
}

export interface RuleSettings {
  readonly namespace: string;
  /** Namespaces of the waypoints that it is for; `*` for all. */
  readonly exportTo: readonly string[];
  readonly all: BackendSettings;
  /** What is said of a port replaces all that is said of the host. */
  readonly ports: readonly (readonly [port: number, settings: BackendSettings])[];
}

/** Of one host; beyond them is a mistake, and each service would carry it. */
const RULES_MAX = 100;

/** What holds where nobody says anything. */
export const DEFAULT_SETTINGS: BackendSettings = {
  // What Istio has: a connection through a ztunnel that is away must fail before its caller gives up.
  connectTimeoutMs: 10_000,
  maxConnections: undefined,
  maxPendingRequests: undefined,
  maxRequests: undefined,
  maxRequestsPerConnection: undefined,
  maxRetries: undefined,
  idleTimeoutMs: undefined,
  outlierDetection: undefined,
  balance: "least-request",
};

/**
 * What holds for one port at the waypoints of `client`, as Istio finds it: a rule of that namespace, then of the service's,
 * then of the root namespace; each only where it is exported to.
 */
export function settingsFor(found: HostSettings | undefined, client: string, port: number): BackendSettings {
  const rule = found && ruleFor(found, client);
  return rule?.ports.find(([number]) => number === port)?.[1] ?? rule?.all ?? DEFAULT_SETTINGS;
}

function ruleFor({ homes, rules }: HostSettings, client: string): RuleSettings | undefined {
  const seen = rules.filter(({ exportTo }) => exportTo.includes("*") || exportTo.includes(client));
  for (const home of [client, ...homes]) {
    const rule = seen.find(({ namespace }) => namespace === home);
    if (rule !== undefined) return rule;
  }
  return undefined;
}

/** Of one namespace the rule for the very host comes first, then that with the longest wildcard, then the oldest. */
export function backendSettings(
  graph: Graph,
  objects: Objects,
  services: Collection<ServiceName, Service>,
  { localCluster, mesh }: RouteOptions,
): Collection<ServiceName, HostSettings> {
  const own = filter(graph, "local-rules", objects.destinationRules, ({ id }) => id.cluster === localCluster);
  const hostOf = (rule: DestinationRule): string => fullHost(rule, mesh.clusterDomain);
  const wild = merge(graph, {
    name: "wildcard-rules",
    from: filter(graph, "wildcard-hosts", own, ({ host }) => host.startsWith("*")),
    by: () => "all",
    combine: (_all, rules) => [...rules].sort((a, b) => b.host.length - a.host.length),
  });
  return derive(graph, {
    name: "backend-settings",
    from: services,
    reads: { rules: new Index(graph, own, "host", (rule) => [hostOf(rule)]), wild },
    distinct: true,
    to: ({ key, namespace, hostname }, reads) => {
      const wide = (reads.wild.get("all") ?? []).filter(({ host }) => host === "*" || hostname.endsWith(host.slice(1)));
      const found = [...[...reads.rules.get(hostname)].sort(byAge), ...wide];
      if (found.length === 0) return [];
      const homes = [namespace, mesh.rootNamespace];
      // Whoever writes many rules for somebody else's host takes no room from the host's own.
      const isAtHome = ({ id }: DestinationRule): boolean => homes.includes(id.namespace);
      const ranked = [...found.filter(isAtHome), ...found.filter((rule) => !isAtHome(rule))];
      return [[key, { homes, rules: ranked.slice(0, RULES_MAX).map(ruleSettings) }] as const];
    },
  });
}

const byAge = ({ id: a }: DestinationRule, { id: b }: DestinationRule): number =>
  a.createdMs - b.createdMs || (a.name < b.name ? -1 : 1);

/** A name without dots is a Service of the rule's own namespace. */
const fullHost = ({ id, host }: DestinationRule, clusterDomain: string): string =>
  host.includes(".") || host === "*" ? host : `${host}.${id.namespace}.svc.${clusterDomain}`;

function ruleSettings({ id, exportTo, traffic, ports }: DestinationRule): RuleSettings {
  return {
    namespace: id.namespace,
    exportTo: exportTo.length === 0 ? ["*"] : exportTo.map((each) => (each === "." ? id.namespace : each)),
    all: { ...DEFAULT_SETTINGS, ...traffic },
    ports: [...ports].sort(([a], [b]) => a - b).map(([port, said]) => [port, { ...DEFAULT_SETTINGS, ...said }]),
  };
}

/** What DestinationRules say that nobody does. */
export function settingsProblems(
  graph: Graph,
  objects: Objects,
  /** By host name. */
  hosts: Index<ServiceName, Service>,
  { localCluster, mesh }: RouteOptions,
): Collection<string, Problem> {
  return derive(graph, {
    name: "destination-rule-problems",
    from: objects.destinationRules,
    reads: { hosts },
    distinct: true,
    to: (rule, reads, key: ObjectKey) => {
      if (rule.id.cluster !== localCluster) return [];
      const host = fullHost(rule, mesh.clusterDomain);
      const isKnown = host.startsWith("*") || reads.hosts.get(host).length > 0;
      const nobody = isKnown ? [] : [{ field: "spec.host", message: `is ${host}, which is no host of the mesh` }];
      const findings = [...nobody, ...rule.ignored].map((said) => ({ ...said, severity: "warning" as const }));
      return problemsOf("DestinationRule", rule, findings).map(
        (problem, at) => [`destination-rule ${key}#${at}`, problem] as const,
      );
    },
  });
}
