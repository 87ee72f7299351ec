import { WORKLOAD_ENTRIES } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import { objectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import type { FederatedService } from "../model/federated-service.ts";
import type { PeerStanding } from "../peer-standings.ts";
import { clustersAnnotation, localityText, parentLabels, wantedEntry, type GeneratedWish } from "./generated-entry.ts";
import { generatedName } from "./generated-name.ts";
import type { PeeringViewInputs } from "./peering-view-inputs.ts";

/** What stands for all endpoints that a peer on another network has of a service: no address, for there is none. */
export function peerEntries(
  graph: Graph,
  { objects, options, offers, paths, peers }: PeeringViewInputs,
): Collection<string, WantedObject> {
  const { localCluster, systemNamespace } = options;
  return derive(graph, {
    name: "peer-entries-wanted",
    from: peers.federated,
    reads: { members: offers.federated, standings: paths.standings, found: objects.generatedWorkloadEntries },
    to: (record, reads, key) => {
      const standing = reads.standings.get(record.cluster);
      if (standing === undefined || standing.onLocalNetwork || reads.members.get(key) === undefined) return [];
      const wish = wishOf(record, standing, systemNamespace);
      const found = reads.found.get(objectKey(localCluster, wish.namespace, wish.name));
      const wanted = wantedEntry(wish, found);
      return wanted ? [[`WorkloadEntry ${wish.namespace}/${wish.name}`, wanted] as const] : [];
    },
  });
}

function wishOf(record: FederatedService, standing: PeerStanding, home: string): GeneratedWish {
  const { cluster, namespace, name, ready, ports } = record;
  const { network, segment, locality } = standing;
  const labels = parentLabels(segment, record);
  return {
    type: WORKLOAD_ENTRIES,
    namespace: home,
    name: generatedName("autogen", cluster, namespace, name),
    labels,
    annotations: clustersAnnotation([cluster]),
    spec: {
      network,
      labels,
      ports: Object.fromEntries(ports.map(({ number, targetPort }) => [`port-${number}`, targetPort || number])),
      ...(ready > 0 && { weight: ready }),
      ...(locality !== undefined && { locality: localityText(locality) }),
    },
  };
}
