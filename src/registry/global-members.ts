import {
  hostname,
  objectKey,
  serviceName,
  type ClusterId,
  type Hostname,
  type ObjectKey,
  type ServiceName,
} from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { kubePorts } from "./global-ports.ts";
import { Interned } from "./kube/interned.ts";
import type { Objects } from "./kube/objects.ts";
import type { TrafficDistribution } from "./kube/traffic-labels.ts";
import type { FederatedPort, WaypointPolicy } from "./model/federated-service.ts";
import type { RegistryOptions } from "./options.ts";
import type { PeerStanding } from "./peer-standings.ts";
import type { SharedService } from "./shared-services.ts";

/** What one cluster adds to a global service, whoever told us of it; how many endpoints it has is said elsewhere. */
export interface GlobalMember {
  readonly cluster: ClusterId;
  readonly namespace: string;
  readonly name: string;
  readonly via: "local" | "secret" | "peer";
  readonly names: MemberNames;
  /** By number. */
  readonly ports: readonly FederatedPort[];
  /** Whom clients must expect behind its gateways, its waypoint among them; only of a peer, for others are counted. */
  readonly identities: readonly string[];
  /** Identities that are not the peer's to claim. */
  readonly refusedIdentities: number;
  readonly waypointPolicy: WaypointPolicy;
  /** Undefined if nobody said. */
  readonly distribution: TrafficDistribution | undefined;
  readonly createdMs: number;
}

/** The names under which a member is part of something, the global one first. Equal ones are one object. */
export type MemberNames = readonly [first: MemberName, ...others: MemberName[]];

export interface MemberName {
  readonly service: ServiceName;
  readonly host: Hostname;
  /** `local` is a cluster-local name that was taken over. */
  readonly kind: "global" | "alias" | "local";
}

/** Services of one name and namespace are one, in all clusters. */
export const globalOwner = (namespace: string, name: string): string => `GlobalService ${namespace}/${name}`;

/** True if a name is a member's to serve: of one that another object has, it is no endpoint. */
export const isMembersName = (
  owner: string | undefined,
  { namespace, name }: GlobalId,
  localCluster: ClusterId,
): boolean => owner === globalOwner(namespace, name) || owner === `Service ${objectKey(localCluster, namespace, name)}`;

export type GlobalId = Pick<GlobalMember, "namespace" | "name">;

const namesKnown = new Interned<MemberNames>();
const portsKnown = new Interned<readonly FederatedPort[]>();
const identitiesKnown = new Interned<readonly string[]>();

/** `hosts` begins with the global one. */
export function memberNames(
  namespace: string,
  hosts: readonly Hostname[],
  takenOver: Hostname | undefined,
): MemberNames {
  return namesKnown.get(`${namespace} ${takenOver ?? ""} ${hosts.join(" ")}`, () => {
    const name = (host: Hostname, kind: MemberName["kind"]): MemberName => ({
      service: serviceName(namespace, host),
      host,
      kind,
    });
    const [first, ...aliases] = hosts;
    const others = aliases.filter((host) => host !== takenOver).map((host) => name(host, "alias"));
    return [name(first!, "global"), ...others, ...(takenOver === undefined ? [] : [name(takenOver, "local")])];
  });
}

export const sharedPorts = (ports: readonly FederatedPort[]): readonly FederatedPort[] =>
  portsKnown.get(JSON.stringify(ports), () => ports);

export const sharedIdentities = (identities: readonly string[]): readonly string[] =>
  identities.length === 0 ? NONE : identitiesKnown.get(identities.join(" "), () => identities);
const NONE: readonly string[] = [];

/** The name that a Service has in its own cluster. */
export const localHostname = ({ namespace, name }: GlobalId, clusterDomain: string): Hostname =>
  hostname(`${name}.${namespace}.svc.${clusterDomain}`);

/** What the local cluster shares, and clusters behind remote secrets; one that is a peer, too, is heard only as that. */
export function kubeMembers(
  graph: Graph,
  { namespaces }: Objects,
  {
    shared,
    standings,
  }: {
    readonly shared: Collection<ObjectKey, SharedService>;
    readonly standings: Collection<ClusterId, PeerStanding>;
  },
  { localCluster, mesh, peeringDiscovery }: RegistryOptions,
): Collection<ObjectKey, GlobalMember> {
  return derive(graph, {
    name: "kube-members",
    distinct: true,
    from: shared,
    reads: { standings, namespaces },
    to: ({ kube, hosts, takeover, waypointPolicy }, reads, key): readonly (readonly [ObjectKey, GlobalMember])[] => {
      const { cluster, namespace, name, createdMs } = kube.id;
      const own = cluster === localCluster;
      if (!peeringDiscovery || hosts.length === 0 || (!own && isShadowed(reads.standings.get(cluster)))) return [];
      const local = own && takeover ? localHostname(kube.id, mesh.clusterDomain) : undefined;
      const member: GlobalMember = {
        cluster,
        namespace,
        name,
        via: own ? "local" : "secret",
        names: memberNames(
          namespace,
          hosts.map(({ host }) => host),
          local,
        ),
        ports: sharedPorts(kubePorts(kube)),
        identities: NONE,
        refusedIdentities: 0,
        waypointPolicy,
        distribution: kube.distribution ?? reads.namespaces.get(objectKey(cluster, "", namespace))?.distribution,
        createdMs,
      };
      return [[key, member]];
    },
  });
}

/** True for a cluster that its own word, and not its API server, is taken from (contract peering.md 7.1, X2). */
export const isShadowed = (standing: PeerStanding | undefined): boolean =>
  standing !== undefined && standing.everSynced && standing.state !== "gone";
