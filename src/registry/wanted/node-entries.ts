import { SERVICE_ENTRIES, WORKLOAD_ENTRIES } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import { objectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { formatServiceAccountId } from "../../spiffe.ts";
import { CLUSTER } from "../kube/generated.ts";
import { HBONE_PORT } from "../network-gateways.ts";
import type { PeerDoors } from "../peer-doors.ts";
import { clustersAnnotation, parentLabels, wantedEntry, type GeneratedWish } from "./generated-entry.ts";
import { generatedName } from "./generated-name.ts";
import type { PeeringViewInputs } from "./peering-view-inputs.ts";

/** The name that stands for all nodes of a peer that is reached by node ports (contract peering.md 2.5, B06). */
export const nodeServiceEntries = (graph: Graph, inputs: PeeringViewInputs): Collection<string, WantedObject> =>
  entriesOf(graph, inputs, "ServiceEntry", serviceWishes);

/** Each of these nodes. */
export const nodeEntries = (graph: Graph, inputs: PeeringViewInputs): Collection<string, WantedObject> =>
  entriesOf(graph, inputs, "WorkloadEntry", nodeWishes);

function entriesOf(
  graph: Graph,
  { objects, options: { localCluster, systemNamespace }, paths }: PeeringViewInputs,
  kind: "ServiceEntry" | "WorkloadEntry",
  wishesOf: (doors: PeerDoors, home: string) => readonly GeneratedWish[],
): Collection<string, WantedObject> {
  const found = kind === "ServiceEntry" ? objects.generatedServiceEntries : objects.generatedWorkloadEntries;
  return derive(graph, {
    name: `node entries of kind ${kind}`,
    from: paths.doors,
    reads: { found },
    to: (doors, reads) =>
      wishesOf(doors, systemNamespace).flatMap((wish): readonly (readonly [string, WantedObject])[] => {
        const wanted = wantedEntry(wish, reads.found.get(objectKey(localCluster, wish.namespace, wish.name)));
        return wanted ? [[`${kind} ${wish.namespace}/${wish.name}`, wanted]] : [];
      }),
  });
}

/** Of the peer's gateway, with its cluster: every peer may have one of that name. */
function labelsOf({ peer, ways: [way] }: PeerDoors): Readonly<Record<string, string>> {
  const { namespace = peer.namespace, serviceAccount: name = peer.serviceAccount } = way ?? {};
  return { ...parentLabels("", { namespace, name }), [CLUSTER]: way?.cluster ?? "" };
}

function serviceWishes(doors: PeerDoors, namespace: string): readonly GeneratedWish[] {
  const {
    peer,
    ways: [way],
    nodes,
  } = doors;
  if (way === undefined || nodes.length === 0 || way.host.kind !== "hostname") return [];
  const { cluster, host, serviceAccount, trustDomain = peer.trustDomain } = way;
  const labels = labelsOf(doors);
  const spec = {
    hosts: [host.hostname],
    location: "MESH_INTERNAL",
    resolution: "STATIC",
    ports: [{ name: "hbone", number: HBONE_PORT, protocol: "TCP", targetPort: HBONE_PORT }],
    subjectAltNames: [formatServiceAccountId({ trustDomain, namespace: way.namespace, serviceAccount })],
    workloadSelector: { labels },
  };
  const annotations = clustersAnnotation([cluster]);
  return [
    { type: SERVICE_ENTRIES, namespace, name: generatedName("autogen.node", cluster), labels, annotations, spec },
  ];
}

function nodeWishes(doors: PeerDoors, namespace: string): readonly GeneratedWish[] {
  const {
    ways: [way],
    nodes,
  } = doors;
  if (way === undefined) return [];
  const { cluster, network, serviceAccount } = way;
  const labels = labelsOf(doors);
  return nodes.map(({ ip, hbonePort }) => ({
    ...{ type: WORKLOAD_ENTRIES, namespace, labels },
    name: generatedName("autogen.node", cluster, ip),
    annotations: clustersAnnotation([cluster]),
    spec: { address: ip, network, serviceAccount, labels, ports: { hbone: hbonePort } },
  }));
}
