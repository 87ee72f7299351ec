import { objectKey } from "../names.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import { Index } from "./collection/index-by.ts";
import type { KubeGateway } from "./kube/gateway.ts";
import type { Objects } from "./kube/objects.ts";
import type { KubeService } from "./kube/service.ts";
import type { GatewayHost } from "./model/address.ts";
import type { RegistryOptions } from "./options.ts";

/** Why a gateway offers less than was meant, as what follows its name in a sentence. */
export type Lack = readonly [field: string, message: string];

/** On an east-west gateway: how it can be reached (contract peering.md 2.11). */
export const TYPE_FIELD = "metadata.annotations[peering.solo.io/data-plane-service-type]";
const GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name";

interface OpenNode {
  readonly name: string;
  readonly address: string;
}

export interface NodePortReads {
  readonly nodes: { get(bucket: "open"): readonly OpenNode[] };
  readonly services: { get(gateway: string): readonly KubeService[] };
  readonly pods: { get(gateway: string): readonly { readonly node: string }[] };
}

/** Few of a cluster's nodes, services and pods are of a gateway: only those are indexed. */
export function nodePortReads(graph: Graph, objects: Objects, { localCluster }: RegistryOptions) {
  const open = derive(graph, {
    name: "open-nodes",
    distinct: true,
    from: objects.nodes,
    reads: {},
    to: ({ address, ready, cordoned }, _reads, key): readonly (readonly [string, OpenNode])[] => {
      const name = key.slice(localCluster.length + 2);
      return ready && !cordoned && address !== undefined && key === objectKey(localCluster, "", name)
        ? [[name, { name, address }]]
        : [];
    },
  });
  return {
    nodes: new Index(graph, open, "all", () => ["open"]),
    services: new Index(graph, objects.services, "gateway-name", ({ id, labels }) => {
      const gateway = labels.map.get(GATEWAY_NAME);
      return gateway === undefined || id.cluster !== localCluster ? [] : [`${id.namespace}/${gateway}`];
    }),
    pods: new Index(graph, objects.pods, "gateway-name", ({ cluster, namespace, placement, ready, deleting }) => {
      const gateway = placement.labels.map.get(GATEWAY_NAME);
      return gateway === undefined || cluster !== localCluster || !ready || deleting ? [] : [`${namespace}/${gateway}`];
    }),
  };
}

/** The nodes that take tunnels; never a cluster IP, which no other cluster can reach. */
export function nodeDoors(
  { id }: KubeGateway,
  hbonePort: number,
  { nodes, services, pods }: NodePortReads,
): { readonly hosts: readonly GatewayHost[]; readonly port?: number; readonly lacks: readonly Lack[] } {
  const where = `${id.namespace}/${id.name}`;
  const exposed = services
    .get(where)
    .flatMap(({ ports, nodePortsLocal }) =>
      ports.flatMap(({ port, nodePort }) =>
        port === hbonePort && nodePort !== undefined ? [{ nodePort, local: nodePortsLocal }] : [],
      ),
    )[0];
  if (exposed === undefined)
    return {
      hosts: [],
      lacks: [
        [
          TYPE_FIELD,
          `offers node ports, but no Service labelled ${GATEWAY_NAME}: ${id.name} has a nodePort for ${hbonePort}; make it one of type NodePort`,
        ],
      ],
    };
  const running = exposed.local ? new Set(pods.get(where).map(({ node }) => node)) : undefined;
  const hosts = nodes
    .get("open")
    .filter(({ name }) => running?.has(name) ?? true)
    .map(({ address }): GatewayHost => ({ kind: "ip", ip: address }));
  const none = running ? "no node that is ready runs a pod of it" : "no node is ready and takes pods";
  return {
    hosts,
    port: exposed.nodePort,
    lacks: hosts.length > 0 ? [] : [[TYPE_FIELD, `offers node ports, but ${none}`]],
  };
}
