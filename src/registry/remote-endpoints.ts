import {
  objectKey,
  type ClusterId,
  type NetworkId,
  type ObjectKey,
  type ServiceName,
  type WorkloadUid,
} from "../names.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { Attachment } from "./attachments.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import type { Index } from "./collection/index-by.ts";
import { intern } from "./kube/metadata.ts";
import type { Objects } from "./kube/objects.ts";
import { podEnded } from "./kube/pod.ts";
import type { Locality } from "./model/address.ts";
import type { Workload } from "./model/workload.ts";
import type { RegistryOptions } from "./options.ts";
import { targetsOf, type PodTarget } from "./pod-targets.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

/** One that clients reach only through the gateway of its network, as one of many. */
export interface RemoteEndpoint {
  readonly network: NetworkId;
  readonly cluster: ClusterId;
  readonly services: readonly ServiceName[];
  /** What it proves to be, as `spiffe://…`. */
  readonly identity: string;
  readonly healthy: boolean;
  readonly locality: Locality | undefined;
}

/** Pods on other networks that serve global services (contract ztunnel.md 5.9). */
export function remoteEndpoints(
  graph: Graph,
  objects: Objects,
  attachments: Collection<string, Attachment>,
  targets: Index<string, PodTarget>,
  { localCluster, multiNetwork }: RegistryOptions,
): Collection<ObjectKey, RemoteEndpoint> {
  const remote = filter(graph, "remote-pods", objects.pods, (pod) => multiNetwork && pod.cluster !== localCluster);
  const shared = new SharedNames();
  return derive(graph, {
    name: "remote-endpoints",
    distinct: true,
    from: remote,
    reads: { nodes: objects.nodes, attachments, targets },
    equals: isSameEndpoint,
    to: (pod, { nodes, attachments, targets }, key) => {
      if (podEnded(pod) || pod.ips.length === 0) return [];
      const attachment = attachments.get(pod.placement.id);
      if (attachment === undefined || attachment.onLocalNetwork) return [];
      const services = shared.of(attachment, targetsOf(pod, targets.get(key)));
      if (services.length === 0) return [];
      const { namespace, serviceAccount, cluster } = pod;
      const identity = { trustDomain: attachment.trustDomain, namespace, serviceAccount };
      const endpoint: RemoteEndpoint = {
        network: attachment.network,
        cluster,
        services,
        identity: intern(formatServiceAccountId(identity)),
        healthy: pod.ready && !pod.deleting,
        locality:
          pod.node === "" ? undefined : nodes.get(intern(objectKey(cluster, "", pod.node)) as ObjectKey)?.locality,
      };
      return [[key, endpoint]];
    },
  });
}

/** Pods of one label set serve the same: they share one list. */
class SharedNames {
  readonly #known = new WeakMap<Attachment, readonly ServiceName[]>();

  of(attachment: Attachment, targets: readonly PodTarget[]): readonly ServiceName[] {
    let names = this.#known.get(attachment);
    if (names === undefined) this.#known.set(attachment, (names = attachment.services.map(({ service }) => service)));
    return targets.length === 0 ? names : [...new Set([...names, ...targets.map(({ binding }) => binding.service)])];
  }
}

function isSameEndpoint(a: RemoteEndpoint, b: RemoteEndpoint): boolean {
  return (
    a.network === b.network &&
    a.cluster === b.cluster &&
    a.identity === b.identity &&
    a.healthy === b.healthy &&
    isSameLocality(a.locality, b.locality) &&
    isSameList(a.services, b.services)
  );
}

const isSameLocality = (a: Locality | undefined, b: Locality | undefined): boolean =>
  a?.region === b?.region && a?.zone === b?.zone && a?.subzone === b?.subzone;

const isSameList = (a: readonly string[], b: readonly string[]): boolean =>
  a === b || (a.length === b.length && a.every((text, at) => text === b[at]));

/** Whom a client must expect when it calls some services across networks. */
export interface RemoteIdentity {
  readonly services: readonly ServiceName[];
  readonly identity: string;
}

/**
 * Entries of the local cluster that are on other networks. They are sent one by one, but ztunnel knows those whom it
 * calls through a gateway by the names of the service only (contract ztunnel.md 6.4).
 */
export function remoteEntryIdentities(
  graph: Graph,
  entries: Collection<WorkloadUid, Workload>,
  networks: Collection<ClusterId, NetworkId>,
  { localCluster, multiNetwork }: RegistryOptions,
): Collection<WorkloadUid, RemoteIdentity> {
  return derive(graph, {
    name: "remote-entry-identities",
    distinct: true,
    from: entries,
    reads: { networks },
    to: ({ network, services, namespace, serviceAccount, trustDomain }, { networks }, uid) => {
      // Without an account nobody said that it is in the mesh at all.
      if (!multiNetwork || services.length === 0 || serviceAccount === "") return [];
      if (network === (networks.get(localCluster) ?? DEFAULT_NETWORK)) return [];
      const identity = formatServiceAccountId({ trustDomain, namespace, serviceAccount });
      return [[uid, { services: services.map(({ service }) => service), identity }]];
    },
  });
}
