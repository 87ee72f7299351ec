import {
  serviceName,
  type ClusterId,
  type NetworkId,
  type ObjectKey,
  type ServiceName,
  type WorkloadUid,
} from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import { Index } from "./collection/index-by.ts";
import { servesHere } from "./export-counts.ts";
import type { PeerGateway } from "./model/peer.ts";
import type { ServiceBinding, Workload } from "./model/workload.ts";
import type { RegistryOptions } from "./options.ts";
import type { SharedService } from "./shared-services.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

export interface ExportedWorkloadInputs {
  readonly workloads: Collection<WorkloadUid, Workload>;
  /** The local cluster's, by what it calls them itself. */
  readonly shared: Collection<ServiceName, SharedService>;
  readonly networks: Collection<ClusterId, NetworkId>;
  readonly peerGateways: Collection<ObjectKey, PeerGateway>;
}

/**
 * Workloads of the local cluster that serve what it shares, under its global names, for peers that reach their addresses
 * directly (contract peering.md 2.6 no. 8). Unless told otherwise they are only exported where one of our own Gateways
 * says that a peer is on our network: pods never cross networks, and a wrong label must not make it look as if they did.
 */
export function exportedWorkloads(
  graph: Graph,
  { workloads, shared, networks, peerGateways }: ExportedWorkloadInputs,
  { localCluster, flatPeering }: RegistryOptions,
): Collection<WorkloadUid, Workload> {
  const own = filter(
    graph,
    "local-workloads",
    workloads,
    ({ cluster, services, addresses }) =>
      flatPeering !== "off" && cluster === localCluster && services.length > 0 && addresses.length > 0,
  );
  const flat = new Index(graph, peerGateways, "network", ({ network, refused }) =>
    refused === undefined ? [network] : [],
  );
  return derive(graph, {
    name: "exported-workloads",
    distinct: true,
    from: own,
    reads: { shared, networks, flat },
    to: (workload, reads, uid): readonly (readonly [WorkloadUid, Workload])[] => {
      const network = reads.networks.get(localCluster) ?? DEFAULT_NETWORK;
      if (!servesHere(workload, localCluster, network)) return [];
      if (flatPeering === "auto" && reads.flat.get(network).length === 0) return [];
      const services = workload.services.flatMap((binding) =>
        globalBindings(binding, reads.shared.get(binding.service)),
      );
      if (services.length === 0) return [];
      services.sort((a, b) => (a.service < b.service ? -1 : 1));
      // Its policies and its waypoint are its own cluster's to enforce.
      const exported: Workload = {
        ...workload,
        services,
        waypoint: undefined,
        networkGateway: undefined,
        policies: [],
      };
      return [[uid, exported]];
    },
  });
}

const globalBindings = ({ ports }: ServiceBinding, shared: SharedService | undefined): readonly ServiceBinding[] =>
  (shared?.hosts ?? []).map(({ host }) => ({ service: serviceName(shared!.kube.id.namespace, host), ports }));
