import { objectKey, type ClusterId, type NetworkId, type ObjectKey } from "../names.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import { Index } from "./collection/index-by.ts";
import type { KubeGateway } from "./kube/gateway.ts";
import type { Objects } from "./kube/objects.ts";
import type { KubeService } from "./kube/service.ts";
import type { GatewayHost } from "./model/address.ts";
import type { DataPlaneServiceType, Door } from "./model/peer.ts";
import type { Problem } from "./model/problem.ts";
import { hbonePortOf, isEastWestClass, outerHosts } from "./network-gateways.ts";
import type { RegistryOptions } from "./options.ts";
import { serviceTypeOf, unknownType } from "./peer-gateways.ts";

/** The ways into the local cluster's network that one of its east-west gateways offers. */
export interface GatewayDoors {
  readonly doors: readonly Door[];
  /** Its tunnels end at the gateway, or are passed on whole (contract peering.md 2.6). */
  readonly terminates: boolean;
}

export interface ExportedDoors {
  readonly byGateway: Collection<ObjectKey, GatewayDoors>;
  readonly problems: Collection<string, Problem>;
}

const GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name";
const TYPE_FIELD = "metadata.annotations[peering.solo.io/data-plane-service-type]";

/** What peers are told of how to get here (contract peering.md 2.11). */
export function exportedDoors(
  graph: Graph,
  objects: Objects,
  networks: Collection<ClusterId, NetworkId>,
  options: RegistryOptions,
): ExportedDoors {
  const { localCluster } = options;
  const gateways = filter(
    graph,
    "local-east-west-gateways",
    objects.gateways,
    ({ id, className }) => id.cluster === localCluster && isEastWestClass(className),
  );
  const found = derive(graph, {
    name: "doors-found",
    distinct: true,
    from: gateways,
    reads: { networks, ...nodePortReads(graph, objects, options) },
    to: (gateway, reads, key) => [[key, doorsOf(gateway, reads, options)] as const],
  });
  const byGateway = filter(graph, "doors", found, ({ doors }) => doors.length > 0);
  return { byGateway, problems: doorProblems(graph, gateways, found) };
}

interface Found extends GatewayDoors {
  /** Why there are fewer than were meant, as what follows the name of the Gateway. */
  readonly lacks: readonly (readonly [field: string, message: string])[];
}

interface OpenNode {
  readonly name: string;
  readonly address: string;
}

interface NodePortReads {
  readonly nodes: { get(bucket: "open"): readonly OpenNode[] };
  readonly services: { get(gateway: string): readonly KubeService[] };
  readonly pods: { get(gateway: string): readonly { readonly node: string }[] };
}

/** Few of a cluster's nodes, services and pods are of a gateway: only those are indexed. */
function nodePortReads(graph: Graph, objects: Objects, { localCluster }: RegistryOptions) {
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

type DoorReads = NodePortReads & { readonly networks: { get(cluster: ClusterId): NetworkId | undefined } };

function doorsOf(gateway: KubeGateway, reads: DoorReads, { localCluster, mesh }: RegistryOptions): Found {
  const { id, network } = gateway;
  const own = reads.networks.get(localCluster);
  const hbonePort = hbonePortOf(gateway);
  const terminates = gateway.listeners.some(({ protocol, terminates }) => protocol === "HBONE" && terminates);
  if (network !== undefined && own !== undefined && network !== own) {
    const field = "metadata.labels[topology.istio.io/network]";
    return {
      doors: [],
      terminates,
      lacks: [
        [
          field,
          `says network "${network}", but this cluster is on "${own}", so peers are told of no way in by it; make the two equal`,
        ],
      ],
    };
  }
  if (hbonePort === 0)
    return {
      doors: [],
      terminates,
      lacks: [
        [
          "spec.listeners",
          "has no listener of protocol HBONE for peers to tunnel to; add one for port 15008 (for class istio-east-west one that terminates TLS)",
        ],
      ],
    };
  const serviceAccount = gateway.serviceAccount || id.name;
  const identity = formatServiceAccountId({ trustDomain: mesh.trustDomain, namespace: id.namespace, serviceAccount });
  const { types, unknown } = serviceTypesOf(gateway.serviceType);
  const outer = types.includes("loadbalancer") ? outerHosts(gateway, mesh) : [];
  const nodes = types.includes("nodeport") ? nodeDoors(gateway, hbonePort, reads) : { hosts: [], lacks: [] };
  const door = (serviceType: DataPlaneServiceType, port: number) => (host: GatewayHost) =>
    ({ serviceType, host, hbonePort: port, identity }) satisfies Door;
  const waiting: Found["lacks"] =
    types.includes("loadbalancer") && outer.length === 0
      ? [
          [
            "status.addresses",
            "has no address yet that other clusters could reach, so peers are told of none; give its Service one, or offer node ports",
          ],
        ]
      : [];
  return {
    doors: [...outer.map(door("loadbalancer", hbonePort)), ...nodes.hosts.map(door("nodeport", nodes.port ?? 0))],
    terminates,
    lacks: [...unknown.map((text) => [TYPE_FIELD, text] as const), ...waiting, ...nodes.lacks],
  };
}

/** One type, or several with commas between; a load balancer if nobody says. */
function serviceTypesOf(text: string | undefined): {
  readonly types: readonly DataPlaneServiceType[];
  readonly unknown: readonly string[];
} {
  const words = (text ?? "").split(",").filter((word) => word.trim() !== "");
  const types = words.flatMap((word) => serviceTypeOf(word) ?? []);
  const unknown = words
    .filter((word) => serviceTypeOf(word) === undefined)
    .map((word) => `has ${TYPE_FIELD} ${unknownType(word.trim())}`);
  return { types: types.length === 0 ? ["loadbalancer"] : types, unknown };
}

/** The nodes that take tunnels; never a cluster IP, which no other cluster can reach. */
function nodeDoors(
  { id }: KubeGateway,
  hbonePort: number,
  { nodes, services, pods }: NodePortReads,
): { readonly hosts: readonly GatewayHost[]; readonly port?: number; readonly lacks: Found["lacks"] } {
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

function doorProblems(
  graph: Graph,
  gateways: Collection<ObjectKey, KubeGateway>,
  found: Collection<ObjectKey, Found>,
): Collection<string, Problem> {
  return derive(graph, {
    name: "door-problems",
    distinct: true,
    from: gateways,
    reads: { found },
    to: ({ id }, { found }, key) =>
      (found.get(key)?.lacks ?? []).map(([field, message]): readonly [string, Problem] => {
        const object = `Gateway ${id.namespace}/${id.name}`;
        return [
          `Gateway ${key}#door#${field}#${message}`,
          { object, origin: id.origin, field, message: `${object} ${message}.`, severity: "warning" },
        ];
      }),
  });
}

/** More than peers take, and more than anybody needs to get in by. */
const DOORS_MAX = 1_000;

/** All doors of the cluster, in an order that does not depend on which came first. */
export const sortedDoors = (all: readonly GatewayDoors[]): readonly Door[] =>
  all
    .flatMap(({ doors }) => doors)
    .sort((a, b) => byCodeUnit(JSON.stringify(a), JSON.stringify(b)))
    .slice(0, DOORS_MAX);
