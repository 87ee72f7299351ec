import { hostname, objectKey, serviceName, type ObjectKey, type ServiceName } from "../../names.ts";
import { byCodeUnit, type Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import { localName } from "../exported-services.ts";
import { globalOwner } from "../global-members.ts";
import { kubePorts } from "../global-ports.ts";
import type { EastWestRoute } from "../model/east-west-route.ts";
import { backendName } from "../model/proxy-backend.ts";
import type { ProxyGateway } from "../model/proxy-gateway.ts";
import { proxyKey } from "../model/proxy-service.ts";
import type { RegistryOptions } from "../options.ts";
import type { SharedService } from "../shared-services.ts";
import { waypointFor, type OfferedWaypoint, type WaypointReads } from "../waypoints.ts";
import { actingWaypoints, type ActingWaypoint } from "./acting-waypoints.ts";
import type { GatewayInputs } from "./gateway-inputs.ts";
import type { NeededBackend } from "./needed-backends.ts";

export interface EastWestInputs extends GatewayInputs {
  readonly gateways: Collection<ObjectKey, ProxyGateway>;
  /** Of the local cluster. */
  readonly ownShared: Collection<ObjectKey, SharedService>;
}

export interface EastWest {
  readonly routes: Collection<string, EastWestRoute>;
  readonly needed: Collection<string, NeededBackend>;
}

/** A service that the local cluster shares, as each east-west gateway has it. */
interface Entered {
  readonly gateway: ObjectKey;
  readonly routes: readonly EastWestRoute[];
  readonly needed: readonly NeededBackend[];
}

/**
 * What other networks may reach through our east-west gateways: what the local cluster itself shares, by every name that
 * their clients may know it by (contract peering.md 2.6 no. 4). Nothing of other clusters is passed on.
 */
export function eastWest(graph: Graph, inputs: EastWestInputs): EastWest {
  const { options, objects, ownShared, owners, offered, gateways } = inputs;
  const kinds = new Index(graph, gateways, "kind", ({ kind }) => [kind]);
  const acting = new Index(graph, actingWaypoints(graph, inputs), "service", ({ service }) => [service]);
  const entered = derive(graph, {
    name: "east-west-services",
    distinct: true,
    from: ownShared,
    reads: { kinds, owners, namespaces: objects.namespaces, waypoints: offered, acting },
    to: (service, reads, key) =>
      reads.kinds
        .get("east-west")
        .map(({ key: gateway }) => [proxyKey(gateway, key), enteredBy(gateway, service, reads, options)] as const),
  });
  const routes = derive(graph, {
    // Not distinct: an alias may go from one service to another in one flush.
    name: "east-west-routes",
    from: entered,
    reads: {},
    to: ({ gateway, routes }) => routes.map((route) => [proxyKey(gateway, route.service), route] as const),
  });
  const needed = derive(graph, {
    name: "backends-of-east-west-gateways",
    from: entered,
    reads: {},
    to: ({ gateway, needed }) => needed.map((backend) => [proxyKey(gateway, backend.name), backend] as const),
  });
  return { routes, needed };
}

interface Reads extends WaypointReads {
  readonly owners: { get(name: ServiceName): string | undefined };
  readonly acting: { get(service: string): readonly ActingWaypoint[] };
}

function enteredBy(gateway: ObjectKey, shared: SharedService, reads: Reads, options: RegistryOptions): Entered {
  const names = namesOf(shared, localName(shared.kube, options), reads);
  const [first] = names;
  if (first === undefined) return { gateway, routes: [], needed: [] };
  const through = waypointOf(gateway, shared, reads);
  const numbers = kubePorts(shared.kube).map(({ number }) => number);
  // All names lead to the same endpoints: they have one backend for each port.
  const direct = numbers.map((port): NeededBackend => {
    return { gateway, name: backendName(first, port), service: first, port, target: { kind: "ztunnels" } };
  });
  const ports = direct.map(({ port: number, name }) => ({ number, direct: name, waypoint: through?.name }));
  const actedBy = through === undefined ? [] : whoActed(shared, reads);
  const routes = names.map((service): EastWestRoute => {
    const host = hostname(service.slice(service.indexOf("/") + 1));
    return { gateway, service, hostname: host, ports, throughWaypoint: through !== undefined, actedBy };
  });
  return { gateway, routes, needed: through === undefined ? direct : [...direct, through] };
}

/** The waypoint that stands between other networks and the service; none if L7 is the caller's alone to enforce. */
function waypointOf(
  gateway: ObjectKey,
  { kube, waypointPolicy }: SharedService,
  reads: Reads,
): NeededBackend | undefined {
  const { cluster, namespace } = kube.id;
  if (kube.ofGateway || waypointPolicy === "source") return undefined;
  const waypoint = waypointFor({ cluster, namespace, use: kube.useWaypoint, kind: "service" }, reads);
  return waypoint && proxiesOf(gateway, waypoint);
}

function whoActed({ kube, waypointPolicy }: SharedService, { acting }: Reads): readonly string[] {
  if (waypointPolicy !== "once") return [];
  const known = acting.get(`${kube.id.namespace}/${kube.id.name}`);
  return [...new Set(known.map(({ identity }) => identity))].sort(byCodeUnit);
}

/** Its own name, which callers that took it over use and those behind remote secrets, and those that peers know it by. */
function namesOf({ kube, hosts }: SharedService, own: ServiceName, { owners }: Reads): readonly ServiceName[] {
  const { cluster, namespace, name } = kube.id;
  const holders = [globalOwner(namespace, name), `Service ${objectKey(cluster, namespace, name)}`];
  const names = [own, ...hosts.map(({ host }) => serviceName(namespace, host))];
  return [...new Set(names)].filter((each) => holders.includes(owners.get(each) ?? ""));
}

/** Named after the Gateway, as its address may be of no service that anybody knows. */
function proxiesOf(gateway: ObjectKey, { key, namespace, name, address }: OfferedWaypoint): NeededBackend {
  const service = serviceName(namespace, name);
  const port = address.hbonePort;
  const target = { kind: "waypoint", waypoint: key, address } as const;
  return { gateway, name: backendName(service, port), service, port, target };
}
