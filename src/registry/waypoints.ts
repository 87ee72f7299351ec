import { hostname, objectKey, type ClusterId, type NetworkId, type ObjectKey } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { KubeGateway, Listener } from "./kube/gateway.ts";
import { labelSelectorSelects } from "./kube/labels.ts";
import type { GatewayClass, Namespace } from "./kube/namespace.ts";
import type { Objects } from "./kube/objects.ts";
import type { UseWaypoint } from "./kube/traffic-labels.ts";
import type { GatewayAddress } from "./model/address.ts";
import type { Waypoint, WaypointTraffic } from "./model/waypoint.ts";
import type { ApplicationTunnel } from "./model/workload.ts";
import { HBONE_PORT } from "./network-gateways.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

/** A waypoint, and which namespaces may use it. */
export interface OfferedWaypoint extends Waypoint {
  readonly serviceAccount: string;
  readonly namespaces: Listener["namespaces"];
}

/** Gateways that are reachable; their class is not checked (contract ztunnel.md 5.6). */
export function waypoints(
  graph: Graph,
  objects: Objects,
  networks: Collection<ClusterId, NetworkId>,
): Collection<ObjectKey, OfferedWaypoint> {
  return derive(graph, {
    name: "waypoints",
    from: objects.gateways,
    reads: { classes: objects.gatewayClasses, networks },
    to: (gateway, { classes, networks }, key) => {
      const { cluster, namespace, name } = gateway.id;
      const network = networks.get(cluster) ?? DEFAULT_NETWORK;
      const address = addressOf(gateway, network);
      if (!address) return [];
      const gatewayClass = classes.get(objectKey(cluster, "", gateway.className));
      const binding = parseBinding(gateway.inboundBinding ?? gatewayClass?.inboundBinding);
      const waypoint: OfferedWaypoint = {
        key,
        cluster,
        namespace,
        name,
        address,
        serviceAccount: gateway.serviceAccount || name,
        traffic: trafficOf(gateway, gatewayClass),
        applicationTunnel: binding,
        namespaces: allowedNamespaces(gateway.listeners, binding?.port),
      };
      return [[key, waypoint]];
    },
  });
}

/** A host name rather than an address: clients then follow the service, also when its address changes. */
function addressOf({ id, addresses }: KubeGateway, network: NetworkId): GatewayAddress | undefined {
  const host = addresses.find(({ kind }) => kind === "hostname") ?? addresses[0];
  if (!host) return undefined;
  return host.kind === "hostname"
    ? {
        destination: { kind: "hostname", namespace: id.namespace, hostname: hostname(host.hostname) },
        hbonePort: HBONE_PORT,
      }
    : { destination: { kind: "address", address: { network, ip: host.ip } }, hbonePort: HBONE_PORT };
}

const TRAFFIC: readonly string[] = ["service", "workload", "all", "none"];

function trafficOf(gateway: KubeGateway, gatewayClass: GatewayClass | undefined): WaypointTraffic {
  const text = gateway.waypointFor ?? gatewayClass?.waypointFor ?? "";
  return TRAFFIC.includes(text) ? (text as WaypointTraffic) : "service";
}

/** `PROXY` or `NONE`, then optionally `/port`. */
function parseBinding(text: string | undefined): ApplicationTunnel | undefined {
  const [, protocol, port] = /^(PROXY|NONE)(?:\/([0-9]{1,5}))?$/.exec(text ?? "") ?? [];
  if (protocol === undefined || Number(port ?? 0) > 65_535) return undefined;
  return { protocol: protocol === "PROXY" ? "proxy" : "none", port: Number(port ?? 0) };
}

function allowedNamespaces(listeners: readonly Listener[], boundPort: number | undefined): Listener["namespaces"] {
  const bound = boundPort ? listeners.find(({ port }) => port === boundPort) : undefined;
  const listener =
    bound ?? listeners.find(({ protocol, port }) => protocol === "HBONE" && port === HBONE_PORT) ?? undefined;
  return listener?.namespaces ?? "same";
}

/** Who asks for a waypoint. */
export interface WaypointUser {
  readonly cluster: ClusterId;
  readonly namespace: string;
  /** What the object itself says; it alone counts if it says anything. */
  readonly use: UseWaypoint | undefined;
  readonly kind: "service" | "workload";
}

export interface WaypointReads {
  readonly namespaces: { get(key: ObjectKey): Namespace | undefined };
  readonly waypoints: { get(key: ObjectKey): OfferedWaypoint | undefined };
}

/** A waypoint that somebody names. */
export interface ChosenWaypoint {
  readonly name: string;
  readonly waypoint?: OfferedWaypoint;
  /** Why it is not had, as a sentence about it; undefined if it is. */
  readonly refused?: string;
  /** The same for machines, as upstream's statuses call it. */
  readonly reason: "WaypointAccepted" | "WaypointIsNotReady" | "UnsupportedTrafficType" | "AttachmentDenied";
}

/** The waypoint it gets; none if the one it names is missing, not ready, or not for it. */
export function waypointFor(user: WaypointUser, reads: WaypointReads): OfferedWaypoint | undefined {
  const answer = chosenWaypoint(user, reads);
  return answer?.refused === undefined ? answer?.waypoint : undefined;
}

/** The waypoint it names, and why it does not get it; undefined if it names none. */
export function chosenWaypoint(
  { cluster, namespace, use, kind }: WaypointUser,
  { namespaces, waypoints }: WaypointReads,
): ChosenWaypoint | undefined {
  const own = namespaces.get(objectKey(cluster, "", namespace));
  const chosen = use ?? own?.useWaypoint;
  if (chosen === undefined || chosen === "none") return undefined;
  const name = `${chosen.namespace}/${chosen.name}`;
  const waypoint = waypoints.get(objectKey(cluster, chosen.namespace, chosen.name));
  if (!waypoint) return { name, reason: "WaypointIsNotReady", refused: "does not exist or has no address yet" };
  if (waypoint.traffic !== "all" && waypoint.traffic !== kind)
    return {
      name,
      waypoint,
      reason: "UnsupportedTrafficType",
      refused: `takes ${waypoint.traffic} traffic, not that of a ${kind}`,
    };
  if (!isAllowed(waypoint, namespace, own))
    return {
      name,
      waypoint,
      reason: "AttachmentDenied",
      refused: `does not admit namespace ${namespace} in its listener's allowedRoutes`,
    };
  return { name, waypoint, reason: "WaypointAccepted" };
}

function isAllowed(waypoint: OfferedWaypoint, namespace: string, own: Namespace | undefined): boolean {
  if (waypoint.namespaces === "all") return true;
  if (waypoint.namespaces === "same") return waypoint.namespace === namespace;
  return own !== undefined && labelSelectorSelects(waypoint.namespaces, own.labels);
}
