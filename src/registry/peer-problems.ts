import type { ClusterId, ServiceName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import { drainProblems } from "./drain-problems.ts";
import type { Drains } from "./drains.ts";
import { isReserved } from "./federated-members.ts";
import { DEFAULT_GLOBAL_DOMAIN } from "./model/peer.ts";
import { isShadowed } from "./global-members.ts";
import type { AllOffers } from "./all-offers.ts";
import { foreignWriterProblems } from "./foreign-writers.ts";
import type { GlobalHost } from "./global-merge.ts";
import { merge } from "./collection/merge.ts";
import type { Objects } from "./kube/objects.ts";
import type { Problem } from "./model/problem.ts";
import type { RegistryOptions } from "./options.ts";
import type { NetworkPaths } from "./network-paths.ts";
import { doorProblems } from "./peer-doors.ts";
import { isFlat, type PeerStanding } from "./peer-standings.ts";
import type { PeerSources } from "./peer-sources.ts";
import type { ClusterSegment } from "./segments.ts";
import type { Offer } from "./service-offers.ts";
import type { SharedServices } from "./shared-services.ts";
import { union } from "./union.ts";

export interface PeerProblemInputs {
  readonly peers: PeerSources;
  readonly paths: NetworkPaths;
  readonly shared: SharedServices;
  readonly drains: Drains;
  readonly offers: Pick<AllOffers, "federated" | "hosts" | "named">;
}

type Found = readonly (readonly [string, Problem])[];

/** What of peers has no effect, and what they and we do not agree on. */
export function peerProblems(
  graph: Graph,
  objects: Objects,
  inputs: PeerProblemInputs,
  options: RegistryOptions,
): Collection<string, Problem> {
  return union<string, Problem>(graph, "peer-problems", [
    standingProblems(graph, inputs, options),
    refusedProblems(graph, inputs.peers),
    shadowProblems(graph, objects, inputs, options),
    doorProblems(graph, inputs.paths.doors),
    memberProblems(graph, inputs),
    drainProblems(graph, inputs.drains, options),
    hostProblems(graph, inputs.offers.hosts),
    foreignWriterProblems(graph, objects, inputs.offers.hosts, options),
    addressProblems(graph, inputs.offers.named, options),
  ]);
}

const warning = (object: string, field: string, message: string, origin = ""): Problem => ({
  object,
  origin,
  field,
  message,
  severity: "warning",
});

function standingProblems(
  graph: Graph,
  { paths: { standings }, shared: { segments } }: PeerProblemInputs,
  options: RegistryOptions,
): Collection<string, Problem> {
  const { byName, domains } = segments;
  return derive(graph, {
    name: "peer-standing-problems",
    distinct: true,
    from: standings,
    reads: { byName, domains },
    to: (standing, { byName, domains }, cluster): Found => {
      const segment = byName.get(standing.segment);
      const found: (readonly [string, string])[] = [];
      if (standing.onLocalNetwork && !isFlat(standing, options))
        found.push([
          "network",
          `Gateway ${standing.gateway.slice(standing.gateway.indexOf("/") + 1)} says that cluster ${cluster} is on network ` +
            `${JSON.stringify(standing.network)}, as ours is, so no gateway leads to it, ` +
            (standing.networkAgreed
              ? "and single pods of peers are turned off (PEERING_FLAT_NETWORK); give the two networks different names, or turn them on"
              : "but the cluster itself says another") +
            ", so its endpoints are out of reach; correct the label topology.istio.io/network.",
        ]);
      if (standing.domain !== undefined && isReserved(standing.domain, segment, domains.get("segments") ?? [], options))
        found.push(["domain", domainProblem(standing, segment, options)]);
      else found.push(...segmentProblems(standing, segment));
      return found.map(
        ([what, message]) => [`Peer ${cluster}#${what}`, warning(`Peer ${cluster}`, "", message)] as const,
      );
    },
  });
}

/** Why a peer's domain does not count, and what would have it count if that is right. */
function domainProblem(
  { cluster, segment, domain }: PeerStanding,
  own: ClusterSegment | undefined,
  { systemNamespace }: RegistryOptions,
): string {
  if (own !== undefined && domain !== DEFAULT_GLOBAL_DOMAIN)
    return (
      `Segment ${segment} has the domain ${domain} in cluster ${cluster} and ${own.domain} here, so none of that ` +
      "cluster's services is known here; make the Segments equal."
    );
  return (
    `Cluster ${cluster} calls its services by the domain ${domain}, which is not its to have, so none of them is known ` +
    "here; " +
    (segment === ""
      ? "a cluster that is in no Segment has mesh.internal"
      : `if that is right, create Segment ${segment} with spec.domain ${domain} in ${systemNamespace} here, as there`) +
    "."
  );
}

function segmentProblems(
  { cluster, segment, domain, aliasesDigest }: PeerStanding,
  own: ClusterSegment | undefined,
): readonly (readonly [string, string])[] {
  if (segment === "" || domain === undefined) return [];
  if ((own?.aliasesDigest ?? "") === aliasesDigest) return [];
  const what = own === undefined ? "does not exist here" : "has other aliases here";
  return [
    [
      "aliases",
      `Segment ${segment} of cluster ${cluster} ${what}, so its services have no aliases here; make the Segments equal.`,
    ],
  ];
}

/** Of peers that are connected, so that nothing else seems wrong, and that say what is not theirs to say. */
function refusedProblems(graph: Graph, { statuses }: PeerSources): Collection<string, Problem> {
  return derive(graph, {
    name: "refused-of-peers",
    distinct: true,
    from: statuses,
    reads: {},
    to: ({ cluster, state, reason, message }): Found => {
      if (state !== "live" || reason === undefined) return [];
      const why = `Cluster ${cluster} is connected, and not all that it says counts: ${message} (${reason}).`;
      return [[`Peer ${cluster}#refused`, warning(`Peer ${cluster}`, "", why)]];
    },
  });
}

/** Once for each cluster that we hear of in both ways (contract peering.md 7.1, X2). */
function shadowProblems(
  graph: Graph,
  { namespaces }: Objects,
  { paths: { standings } }: PeerProblemInputs,
  { localCluster, systemNamespace }: RegistryOptions,
): Collection<string, Problem> {
  const homes = filter(graph, "system-namespaces-of-clusters", namespaces, ({ name }) => name === systemNamespace);
  return derive(graph, {
    name: "shadowed-clusters",
    distinct: true,
    from: homes,
    reads: { standings },
    to: (_home, { standings }, key): Found => {
      const cluster = key.slice(0, key.indexOf("/")) as ClusterId;
      if (cluster === localCluster || !isShadowed(standings.get(cluster))) return [];
      const message =
        `Cluster ${cluster} is a peer and has a remote secret, too: what the peer says counts, and its API server is read ` +
        "in vain (shadowed); delete the secret.";
      return [[`Cluster ${cluster}#shadowed`, { ...warning(`Cluster ${cluster}`, "", message), severity: "info" }]];
    },
  });
}

function memberProblems(
  graph: Graph,
  { offers, paths: { standings }, peers: { federated } }: PeerProblemInputs,
): Collection<string, Problem> {
  const doubtful = filter(
    graph,
    "doubtful-members",
    offers.federated,
    ({ refusedIdentities, distribution }) => refusedIdentities > 0 || distribution === "unknown",
  );
  return derive(graph, {
    name: "member-problems",
    distinct: true,
    from: doubtful,
    reads: { standings, federated },
    to: ({ cluster, namespace, name, refusedIdentities, distribution }, reads, key): Found => {
      const object = `Service ${cluster}/${namespace}/${name}`;
      const found: (readonly [string, Problem])[] = [];
      if (refusedIdentities > 0) {
        const trustDomain = reads.standings.get(cluster)?.trustDomain ?? "";
        const message =
          `Service ${namespace}/${name} of cluster ${cluster} names ${refusedIdentities} identities outside of its ` +
          `trust domain ${trustDomain}, which are refused, so calls to those endpoints fail; correct the annotation ` +
          "gateway.istio.io/trust-domain of the Gateway that leads there.";
        found.push([`Peer ${key}#identities`, warning(object, "identities", message)]);
      }
      if (distribution === "unknown") {
        const written = (reads.federated.get(key)?.distribution ?? "").slice(0, 80);
        const message =
          `Service ${namespace}/${name} of cluster ${cluster} asks for the traffic distribution ` +
          `${JSON.stringify(written)}, which nobody knows, so its own network is preferred; ${KNOWN}.`;
        found.push([`Peer ${key}#distribution`, warning(object, "distribution", message)]);
      }
      return found;
    },
  });
}

function hostProblems(graph: Graph, hosts: Collection<ServiceName, GlobalHost>): Collection<string, Problem> {
  const contested = filter(
    graph,
    "contested-hosts",
    hosts,
    // What is wrong with a service is said once, of its global name.
    ({ conflicts, otherPolicies, rivals, kind }) =>
      rivals.length > 0 || (kind === "global" && (conflicts.length > 0 || otherPolicies.length > 0)),
  );
  return derive(graph, {
    name: "global-host-problems",
    distinct: true,
    from: contested,
    reads: {},
    to: (global, _reads, key): Found => {
      const { rivals, kind, namespace, name, host } = global;
      const found: (readonly [string, string])[] = kind === "global" ? disagreements(global) : [];
      if (rivals.length > 0)
        found.push([
          "rivals",
          `The alias ${host} is that of Service ${name}, and is wanted by ${rivals.join(", ")}, too, which do not have ` +
            "it; make the patterns of the Segment tell them apart.",
        ]);
      return found.map(([what, message]) => [
        `Global ${key}#${what}`,
        warning(`Service ${namespace}/${name}`, FIELDS.get(what) ?? "spec.ports", message),
      ]);
    },
  });
}

const FIELDS: ReadonlyMap<string, string> = new Map([
  ["rivals", ""],
  ["policy", "metadata.annotations[peering.causeway.dev/waypoint-policy]"],
]);
const KNOWN = "use PreferNetwork, PreferRegion, PreferClose, PreferSameZone, PreferSameNode or Any";

function disagreements({
  conflicts,
  otherPolicies,
  waypointPolicy,
  host,
  base,
}: GlobalHost): (readonly [string, string])[] {
  const found = conflicts.map(({ cluster, number, protocol, counts }): readonly [string, string] => [
    `port-${number}-${cluster}`,
    `PortConflict: port ${number} of ${host} is ${protocol} in cluster ${cluster} and ${counts} in ${base}, which counts; ` +
      "make them equal.",
  ]);
  if (otherPolicies.length > 0)
    found.push([
      "policy",
      `The waypoint policy of ${host} is ${waypointPolicy} in cluster ${base}, which counts, and ${otherPolicies.join(", ")}; ` +
        "make them equal, or requests may pass two waypoints or none.",
    ]);
  return found;
}

/** Names that nobody can call: one problem, however many they are. */
function addressProblems(
  graph: Graph,
  named: Collection<string, Offer>,
  { allocateIps }: RegistryOptions,
): Collection<string, Problem> {
  const isBare = ({ service, global }: Offer): boolean =>
    service.addresses.length === 0 && !(global?.kind === "local" && global.local);
  const why = allocateIps ? "all of 240.240.0.0/16 is in use" : "PILOT_ENABLE_IP_AUTOALLOCATE is false";
  return merge(graph, {
    name: "names-without-address",
    from: filter(graph, "bare-global-names", named, isBare),
    by: () => "Global#addresses",
    combine: (_key, all) =>
      warning(
        "global names",
        "",
        `${all[0]!.service.hostname}${all.length > 1 ? ` and ${all.length - 1} more` : ""} cannot be called: there is no ` +
          `address for it, as ${why}.`,
      ),
  });
}
