import {
  endpointSliceUid,
  objectKey,
  serviceName,
  type ClusterId,
  type NetworkId,
  type ObjectKey,
  type WorkloadUid,
} from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { isShared, type GlobalService } from "./global-services.ts";
import type { Objects } from "./kube/objects.ts";
import type { Workload } from "./model/workload.ts";
import type { RegistryOptions } from "./options.ts";
import { portsOnSlice } from "./ports.ts";
import { kubeHostname } from "./service-offers.ts";
import { bareWorkload, DEFAULT_NETWORK } from "./workload-shape.ts";

/**
 * Endpoints of slices that are no pods: plain addresses, without an identity (contract ztunnel.md 5.4). Of other
 * clusters only those of global services on the local network.
 */
export function sliceWorkloads(
  graph: Graph,
  objects: Objects,
  networks: Collection<ClusterId, NetworkId>,
  globals: Collection<ObjectKey, GlobalService>,
  { mesh, localCluster }: RegistryOptions,
): Collection<WorkloadUid, Workload> {
  return derive(graph, {
    name: "slice-workloads",
    from: objects.endpointSlices,
    reads: { services: objects.services, networks, globals },
    to: ({ id, service: name, ports, endpoints }, { services, networks, globals }) => {
      const { cluster, namespace } = id;
      if (endpoints.length === 0) return [];
      const service = services.get(objectKey(cluster, namespace, name));
      if (!service || service.external) return [];
      const network = networks.get(cluster) ?? DEFAULT_NETWORK;
      // On another network they could not end the tunnel that leads there: they have no identity.
      const reachable = () => network === (networks.get(localCluster) ?? DEFAULT_NETWORK);
      if (cluster !== localCluster && !(isShared(service, globals) && reachable())) return [];
      const named = new Map(ports.map((port) => [port.name, port.port]));
      const binding = {
        service: serviceName(namespace, kubeHostname(service, mesh.clusterDomain)),
        ports: portsOnSlice(service.ports, named),
      };
      return endpoints.map(({ addresses, ready }) => {
        const uid = endpointSliceUid(cluster, namespace, id.name, addresses[0]!);
        const workload: Workload = {
          ...bareWorkload(uid, id.name, namespace, cluster, mesh.trustDomain),
          network,
          addresses,
          healthy: ready,
          hostNetwork: true,
          services: [binding],
        };
        return [uid, workload] as const;
      });
    },
  });
}
