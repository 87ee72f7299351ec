import type { ObjectKey, ServiceName } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import { merge } from "../collection/merge.ts";
import type { DestinationRule } from "../kube/destination-rule.ts";
import type { Objects } from "../kube/objects.ts";
import type { Problem } from "../model/problem.ts";
import type { BackendSettings } from "../model/proxy-backend.ts";
import type { Service } from "../model/service.ts";
import type { RouteOptions } from "./route-parents.ts";

/** What DestinationRules say of a service: what holds for all, and for the waypoints of single namespaces. */
export interface HostSettings {
  readonly forAll: RuleSettings | undefined;
  /** In order of the namespace. */
  readonly forNamespaces: readonly (RuleSettings & { readonly namespace: string })[];
}

export interface RuleSettings {
  readonly all: BackendSettings;
  readonly ports: readonly (readonly [port: number, settings: BackendSettings])[];
}

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

/** What holds for one port, at the waypoints of `namespace`. */
export function settingsFor(found: HostSettings | undefined, namespace: string, port: number): BackendSettings {
  const rule = found?.forNamespaces.find((each) => each.namespace === namespace) ?? found?.forAll;
  return rule?.ports.find(([number]) => number === port)?.[1] ?? rule?.all ?? DEFAULT_SETTINGS;
}

/**
 * As Istio finds them: a rule in the waypoint's own namespace, then in the service's, then in the root namespace; each
 * only where it is exported to. Of one namespace the rule for the very host comes first, then that with the longest
 * wildcard, then the oldest.
 */
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
      const settings = found.length > 0 ? settingsOf(found, namespace, mesh.rootNamespace) : undefined;
      return settings ? [[key, settings] as const] : [];
    },
  });
}

const byAge = ({ id: a }: DestinationRule, { id: b }: DestinationRule): number =>
  a.createdMs - b.createdMs || (a.name < b.name ? -1 : 1);

/** A name without dots is a Service of the rule's own namespace. */
const fullHost = ({ id, host }: DestinationRule, clusterDomain: string): string =>
  host.includes(".") || host === "*" ? host : `${host}.${id.namespace}.svc.${clusterDomain}`;

/** `rules` are in order of preference. */
function settingsOf(
  rules: readonly DestinationRule[],
  namespace: string,
  rootNamespace: string,
): HostSettings | undefined {
  const inside = (home: string): DestinationRule | undefined =>
    rules.find(({ id, exportTo }) => id.namespace === home && isExported(exportTo, home));
  const forAll = inside(namespace) ?? inside(rootNamespace);
  const clients = [...new Set(rules.map(({ id }) => id.namespace))].filter((each) => each !== namespace);
  const forNamespaces = clients.sort().flatMap((client) => {
    const rule = rules.find(({ id }) => id.namespace === client);
    return rule === undefined ? [] : [{ namespace: client, ...ruleSettings(rule) }];
  });
  if (forAll === undefined && forNamespaces.length === 0) return undefined;
  return { forAll: forAll && ruleSettings(forAll), forNamespaces };
}

const isExported = (exportTo: readonly string[], own: string): boolean =>
  exportTo.length === 0 || exportTo.some((each) => each === "*" || each === "." || each === own);

function ruleSettings({ traffic, ports }: DestinationRule): RuleSettings {
  return {
    all: { ...DEFAULT_SETTINGS, ...traffic },
    // What is said of a port replaces all that is said of the host (Istio).
    ports: [...ports].sort(([a], [b]) => a - b).map(([port, said]) => [port, { ...DEFAULT_SETTINGS, ...said }]),
  };
}

/** What DestinationRules say that nobody does. */
export function settingsProblems(
  graph: Graph,
  objects: Objects,
  services: Collection<ServiceName, Service>,
  { localCluster, mesh }: RouteOptions,
): Collection<string, Problem> {
  return derive(graph, {
    name: "destination-rule-problems",
    from: objects.destinationRules,
    reads: { services: new Index(graph, services, "host-of-rule", ({ hostname }) => [hostname]) },
    distinct: true,
    to: (rule, reads, key: ObjectKey) => {
      if (rule.id.cluster !== localCluster) return [];
      const host = fullHost(rule, mesh.clusterDomain);
      const unknown = host.startsWith("*") || reads.services.get(host).length > 0;
      const nobody = unknown ? [] : [{ field: "spec.host", message: `is ${host}, which is no host of the mesh` }];
      return [...nobody, ...rule.ignored].map(({ field, message }, at) => {
        const { namespace, name, origin } = rule.id;
        const problem: Problem = {
          object: `DestinationRule ${namespace}/${name}`,
          origin,
          field,
          message: `${field} ${message}.`,
          severity: "warning",
        };
        return [`destination-rule ${key}#${at}`, problem] as const;
      });
    },
  });
}
