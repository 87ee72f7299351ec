import type { ClusterId, NetworkId, ObjectKey } from "../names.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { byCodeUnit, type Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import { filter } from "./collection/filter.ts";
import type { Graph } from "./collection/graph.ts";
import type { KubeGateway } from "./kube/gateway.ts";
import type { Objects } from "./kube/objects.ts";
import type { GatewayHost } from "./model/address.ts";
import type { DataPlaneServiceType, Door } from "./model/peer.ts";
import type { Problem } from "./model/problem.ts";
import { hbonePortOf, isEastWestClass, outerHosts } from "./network-gateways.ts";
import { nodeDoors, nodePortReads, TYPE_FIELD, type Lack, type NodePortReads } from "./node-ports.ts";
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
  readonly lacks: readonly Lack[];
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
