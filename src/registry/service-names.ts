import { objectKey, serviceName, type ClusterId, type ObjectKey, type ServiceName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import type { Drain, DrainKey } from "./drains.ts";
import { globalOwner, isShadowed } from "./global-members.ts";
import { isShared, type GlobalService } from "./global-services.ts";
import type { KubeService } from "./kube/service.ts";
import type { RegistryOptions } from "./options.ts";
import type { PeerStanding } from "./peer-standings.ts";
import { kubeHostname } from "./service-offers.ts";
import type { SharedService } from "./shared-services.ts";

export interface ServedNames {
  readonly globals: Collection<ObjectKey, GlobalService>;
  readonly shared: Collection<ObjectKey, SharedService>;
  /** Which object a service's name belongs to. */
  readonly owners: Collection<ServiceName, string>;
  readonly standings: Collection<ClusterId, PeerStanding>;
  readonly drains: Collection<DrainKey, Drain>;
}

/** The same, asked from within a derivation. */
export interface NameReads {
  readonly globals: { get(key: ObjectKey): GlobalService | undefined };
  readonly shared: { get(key: ObjectKey): SharedService | undefined };
  readonly owners: { get(name: ServiceName): string | undefined };
  readonly standings: { get(cluster: ClusterId): PeerStanding | undefined };
}

export interface EndpointNameReads extends NameReads {
  readonly drains: { get(key: DrainKey): Drain | undefined };
}

/**
 * What clients are told that endpoints of a Service serve. ztunnel knows one health of an endpoint, whatever it is called
 * by, so one that is drained under the global names is none behind those, and stays what it was behind its own
 * (contract ztunnel.md 6.5).
 */
export function endpointNames(
  kube: KubeService,
  reads: EndpointNameReads,
  options: Pick<RegistryOptions, "localCluster" | "mesh">,
): readonly ServiceName[] {
  const names = namesServed(kube, reads, options);
  const { cluster, namespace, name } = kube.id;
  if (kube.drain === undefined || cluster !== options.localCluster) return names;
  const drain = reads.drains.get(`Service ${objectKey(cluster, namespace, name)}`);
  return drain?.state === "drained" ? names.slice(0, 1) : names;
}

/**
 * All names that endpoints of a Service serve here: its cluster-local one, of another cluster's only if clusters share
 * that, and those that peers know it by, for they call it by no other (contract peering.md 2.6).
 */
export function namesServed(
  kube: KubeService,
  { globals, shared, owners, standings }: NameReads,
  { localCluster, mesh }: Pick<RegistryOptions, "localCluster" | "mesh">,
): readonly ServiceName[] {
  const { cluster, namespace, name } = kube.id;
  // The endpoints of a cluster that is a peer, too, are those that the peer shares.
  if (cluster !== localCluster && isShadowed(standings.get(cluster))) return [];
  const own = serviceName(namespace, kubeHostname(kube, mesh.clusterDomain));
  const hosts = shared.get(objectKey(cluster, namespace, name))?.hosts ?? [];
  const global = hosts
    .map(({ host }) => serviceName(namespace, host))
    .filter((host) => owners.get(host) === globalOwner(namespace, name));
  return cluster === localCluster || isShared(kube, globals) ? [own, ...global] : global;
}
