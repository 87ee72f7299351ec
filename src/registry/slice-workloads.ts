import { endpointSliceUid, objectKey, type ClusterId, type NetworkId, type WorkloadUid } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { Objects } from "./kube/objects.ts";
import type { Workload } from "./model/workload.ts";
import type { RegistryOptions } from "./options.ts";
import { portsOnSlice } from "./ports.ts";
import { endpointNames, type ServedNames } from "./service-names.ts";
import { bareWorkload, DEFAULT_NETWORK } from "./workload-shape.ts";

/**
 * Endpoints of slices that are no pods: plain addresses, without an identity (contract ztunnel.md 5.4). Of other
 * clusters only those of global services on the local network.
 */
export function sliceWorkloads(
  graph: Graph,
  objects: Objects,
  networks: Collection<ClusterId, NetworkId>,
  names: ServedNames,
  options: RegistryOptions,
): Collection<WorkloadUid, Workload> {
  const { mesh, localCluster } = options;
  return derive(graph, {
    name: "slice-workloads",
    from: objects.endpointSlices,
    reads: { services: objects.services, networks, ...names },
    to: ({ id, service: name, ports, endpoints }, reads) => {
      const { services, networks } = reads;
      const { cluster, namespace } = id;
      if (endpoints.length === 0) return [];
      const service = services.get(objectKey(cluster, namespace, name));
      if (!service || service.external) return [];
      const network = networks.get(cluster) ?? DEFAULT_NETWORK;
      // On another network they could not end the tunnel that leads there: they have no identity.
      const reachable = () => network === (networks.get(localCluster) ?? DEFAULT_NETWORK);
      const served = cluster === localCluster || reachable() ? endpointNames(service, reads, options) : [];
      if (served.length === 0) return [];
      const named = new Map(ports.map((port) => [port.name, port.port]));
      const bindings = served
        .map((name) => ({ service: name, ports: portsOnSlice(service.ports, named) }))
        .sort((a, b) => (a.service < b.service ? -1 : 1));
      return endpoints.map(({ addresses, ready }) => {
        const uid = endpointSliceUid(cluster, namespace, id.name, addresses[0]!);
        const workload: Workload = {
          ...bareWorkload(uid, id.name, namespace, cluster, mesh.trustDomain),
          network,
          addresses,
          healthy: ready,
          hostNetwork: true,
          services: bindings,
        };
        return [uid, workload] as const;
      });
    },
  });
}
