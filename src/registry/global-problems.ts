import type { ClusterId, NetworkId, ServiceName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import { merge } from "./collection/merge.ts";
import { usableWays } from "./coalesced-workloads.ts";
import type { Tally } from "./endpoint-tallies.ts";
import type { AllOffers } from "./all-offers.ts";
import type { Apart } from "./global-services.ts";
import type { Objects } from "./kube/objects.ts";
import type { LabelSet } from "./kube/labels.ts";
import { SCOPE_LABEL, unknownScopeOf } from "./kube/scope-labels.ts";
import type { Problem } from "./model/problem.ts";
import { isEastWest, whyNotGateway } from "./network-gateways.ts";
import type { NetworkPaths } from "./network-paths.ts";
import type { RegistryOptions } from "./options.ts";
import type { Offer } from "./service-offers.ts";
import { union } from "./union.ts";

const APART: Readonly<Record<Exclude<Apart, "shadowed">, (where: string) => string>> = {
  external: (where) => `is an ExternalName there, so it is not shared; take its label off in ${where}`,
  "external here": () => "but an ExternalName here, so the two are not joined; make both the same type",
  "unreadable here": () => "but the one here cannot be read, so the two are not joined; mend it",
  "not global here": () =>
    'but not here, so callers here reach only their own; label it istio.io/global: "true" here to join them',
};

/** What is not shared although it is global, and where clusters that share one service do not agree on it. */
export function globalServiceProblems(
  graph: Graph,
  { globals, global }: AllOffers,
  winners: Collection<ServiceName, Offer>,
): Collection<string, Problem> {
  const apart = derive(graph, {
    name: "services-apart",
    from: globals,
    reads: {},
    to: ({ kube: { id }, apart }, _reads, key) => {
      // Of a whole cluster that is shadowed one problem tells.
      if (apart === undefined || apart === "shadowed") return [];
      const message = `Service ${id.namespace}/${id.name} is global in cluster ${id.cluster}, ${APART[apart](id.cluster)}.`;
      return [[`Service ${key}#apart`, problemOf(id, "", message, apart === "not global here" ? "info" : "warning")]];
    },
  });
  const conflicts = derive(graph, {
    name: "service-conflicts",
    from: global,
    reads: { winners },
    to: (offer, { winners }, key) => {
      const base = winners.get(offer.service.key)?.merged?.base;
      return base === undefined
        ? []
        : conflictsOf(base, offer).map(
            ([field, message]) => [`${key}#${field}#conflict`, problemOf(offer.id, field, message)] as const,
          );
    },
  });
  return union<string, Problem>(graph, "global-service-problems", [apart, conflicts]);
}

function problemOf(
  { cluster, namespace, name, origin }: Offer["id"],
  field: string,
  message: string,
  severity: Problem["severity"] = "warning",
): Problem {
  return { object: `Service ${cluster}/${namespace}/${name}`, origin, field, message, severity };
}

function conflictsOf(base: Offer, offer: Offer): readonly (readonly [field: string, message: string])[] {
  const what = `Service ${offer.id.namespace}/${offer.id.name}`;
  const [here, there] = [base.id.cluster, offer.id.cluster];
  const [mine, theirs] = [portsText(base), portsText(offer)];
  const found: (readonly [string, string])[] = [];
  if (mine !== theirs)
    found.push([
      "spec.ports",
      `${what} has ports ${theirs} in cluster ${there} and ${mine} in ${here}; those of ${here} count, so make them equal.`,
    ]);
  if (base.kind === "Service" && isHeadless(base) !== isHeadless(offer)) {
    const [without, having] = isHeadless(offer) ? [there, here] : [here, there];
    found.push([
      "spec.clusterIP",
      `${what} is headless in cluster ${without} and not in ${having}; calls to a pod's own address never leave its ` +
        "network, so make both the same.",
    ]);
  }
  // Behind a gateway the other cluster's own waypoint takes it; pods that are called directly have none to go through.
  const { onLocalNetwork, waypointIdentity } = offer.elsewhere!;
  if (onLocalNetwork && waypointIdentity !== undefined && base.service.waypoint === undefined)
    found.push([
      "metadata.labels[istio.io/use-waypoint]",
      `${what} has a waypoint in cluster ${there} and none in ${here}, so callers here pass it by; give it one here, too.`,
    ]);
  return found;
}

const isHeadless = ({ service }: Offer): boolean => service.addresses.length === 0;

function portsText({ service }: Offer): string {
  const ports = service.ports.map(({ servicePort }) => servicePort).sort((a, b) => a - b);
  return ports.length === 0 ? "none" : ports.join(", ");
}

/** Scopes that nobody knows, which share nothing. */
export function scopeProblems(graph: Graph, { services, namespaces }: Objects): Collection<string, Problem> {
  const field = `metadata.labels[${SCOPE_LABEL}]`;
  const problem = (object: string, origin: string, scope: string): Problem => ({
    object,
    origin,
    field,
    message: `${field} is ${JSON.stringify(scope)}, so it is not shared; use global or cluster.`,
    severity: "warning",
  });
  const isUnknown = ({ labels }: { readonly labels: LabelSet }): boolean => unknownScopeOf(labels) !== undefined;
  const ofServices = derive(graph, {
    name: "service-scope-problems",
    from: filter(graph, "services-of-unknown-scope", services, isUnknown),
    reads: {},
    to: ({ id, labels }, _reads, key) => [
      [`Service ${key}#scope`, problem(`Service ${id.namespace}/${id.name}`, id.origin, unknownScopeOf(labels)!)],
    ],
  });
  const ofNamespaces = derive(graph, {
    name: "namespace-scope-problems",
    from: filter(graph, "namespaces-of-unknown-scope", namespaces, isUnknown),
    reads: {},
    to: ({ name, labels, origin }, _reads, key) => [
      [`Namespace ${key}#scope`, problem(`Namespace ${name}`, origin, unknownScopeOf(labels)!)],
    ],
  });
  return union<string, Problem>(graph, "scope-problems", [ofServices, ofNamespaces]);
}

/** East-west gateways of other clusters that nobody can use. */
export function gatewayProblems(
  graph: Graph,
  { gateways }: Objects,
  { networks }: NetworkPaths,
  { localCluster, multiNetwork, mesh }: RegistryOptions,
): Collection<string, Problem> {
  return derive(graph, {
    name: "gateway-problems",
    from: gateways,
    reads: { networks },
    to: (gateway, { networks }, key) => {
      const { id } = gateway;
      if (!multiNetwork || id.cluster === localCluster || !isEastWest(gateway)) return [];
      const why = whyNotGateway(gateway, networks.get(id.cluster), mesh);
      if (why === undefined) return [];
      const message = `Gateway ${id.namespace}/${id.name} of cluster ${id.cluster} ${why}, so it is no way into its network.`;
      const object = `Gateway ${id.cluster}/${id.namespace}/${id.name}`;
      return [
        [`Gateway ${key}#network`, { object, origin: id.origin, field: "", message, severity: "warning" } as const],
      ];
    },
  });
}

interface Unreached {
  readonly network: NetworkId;
  readonly service: ServiceName;
  readonly clusters: readonly ClusterId[];
}
const NAMED_MAX = 3;

/** Networks that have endpoints of global services, and no gateway: one problem each, however many the services are. */
export function unreachedNetworks(
  graph: Graph,
  tallies: Collection<string, Tally>,
  { gateways }: NetworkPaths,
  { systemNamespace }: RegistryOptions,
): Collection<string, Problem> {
  const unreached = derive(graph, {
    name: "unreached-services",
    distinct: true,
    from: tallies,
    reads: { gateways },
    to: ({ network, service, clusters }, { gateways }, key): readonly (readonly [string, Unreached])[] =>
      usableWays(gateways.get(network) ?? []).length > 0
        ? []
        : [[key, { network, service, clusters: clusters.map(({ cluster }) => cluster) }]],
  });
  return merge(graph, {
    name: "unreached-networks",
    from: unreached,
    by: ({ network }) => `network ${network}#gateway`,
    combine: (_key, all) => unreachedProblem(all[0]!.network, all, systemNamespace),
  });
}

function unreachedProblem(network: NetworkId, all: readonly Unreached[], systemNamespace: string): Problem {
  const named = all.slice(0, NAMED_MAX).map(({ service }) => service);
  const more = all.length > named.length ? ` and ${all.length - named.length} more` : "";
  const clusters = [...new Set(all.flatMap(({ clusters }) => clusters))].sort().join(", ");
  const unnamed =
    network === ""
      ? `label namespace ${systemNamespace} of ${clusters} with topology.istio.io/network (with the name of ours, if pods reach each other), and `
      : "";
  return {
    object: `network ${JSON.stringify(network)}`,
    origin: "",
    field: "topology.istio.io/network",
    message:
      `No gateway leads to network ${JSON.stringify(network)}, so the endpoints of ${named.join(", ")}${more} in ` +
      `cluster ${clusters} are out of reach; ${unnamed}give that cluster a Gateway of class istio-east-west with the ` +
      "label topology.istio.io/network, an HBONE listener that terminates TLS, and an address in its status.",
    severity: "warning",
  };
}
