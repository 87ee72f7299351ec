import { objectKey, type ObjectKey, type ServiceName } from "../../names.ts";
import { selectedHosts } from "../attachments.ts";
import type { KubeGateway } from "../kube/gateway.ts";
import type { ParentRef, Route } from "../kube/route.ts";
import type { ServiceEntry } from "../kube/service-entry.ts";
import type { KubeService, ServicePort } from "../kube/service.ts";
import type { RegistryOptions } from "../options.ts";
import { protocolHint } from "../protocol-hint.ts";
import { namesServed, type NameReads } from "../service-names.ts";
import { chosenWaypoint, type WaypointReads, type WaypointUser } from "../waypoints.ts";
import { chainOf, entryProtocol } from "./service-protocols.ts";

export type RouteOptions = Pick<RegistryOptions, "localCluster" | "mesh">;

export interface ParentReads extends NameReads, WaypointReads {
  readonly gateways: { get(key: ObjectKey): KubeGateway | undefined };
  readonly kubeServices: { get(key: ObjectKey): KubeService | undefined };
  readonly serviceEntries: { get(key: ObjectKey): ServiceEntry | undefined };
}

/** What became of one parent of a route. */
export interface ParentOutcome {
  readonly ref: ParentRef;
  /** All ports that the route is for, by each name that their service has. */
  readonly targets: readonly RouteTarget[];
  /** Whether it is in force there. */
  readonly accepted: boolean;
  /** As the Gateway API calls it. */
  readonly reason: "Accepted" | "NoMatchingParent" | "NotAllowedByListeners" | "UnsupportedValue";
  /** A sentence. */
  readonly message: string;
}

export interface RouteTarget {
  /** The name that is called. */
  readonly service: ServiceName;
  /** The one among its names that backendRefs to it mean. */
  readonly plain: ServiceName;
  readonly port: number;
}

const WAYPOINT_CLASS = "istio-waypoint";

/** Undefined if the parent is not ours to judge, as a Gateway at the edge. */
export function parentOutcome(
  route: Route,
  ref: ParentRef,
  reads: ParentReads,
  options: RouteOptions,
): ParentOutcome | undefined {
  const key = objectKey(route.id.cluster, ref.namespace, ref.name);
  const refuse = (reason: ParentOutcome["reason"], message: string): ParentOutcome => ({
    ref,
    targets: [],
    accepted: false,
    reason,
    message: `${ref.kind} ${ref.namespace}/${ref.name} ${message}.`,
  });
  const missing = (): ParentOutcome => refuse("NoMatchingParent", "does not exist");
  switch (`${ref.group}/${ref.kind}`) {
    case "gateway.networking.k8s.io/Gateway":
      if (reads.gateways.get(key)?.className !== WAYPOINT_CLASS) return undefined;
      return refuse("NotAllowedByListeners", "is a waypoint, which has the routes of its services; name a Service");
    case "/Service": {
      if (ref.namespace !== route.id.namespace) return refuse("UnsupportedValue", ELSEWHERE);
      const service = reads.kubeServices.get(key);
      if (service === undefined) return missing();
      if (service.external) return refuse("NoMatchingParent", "is only another name of a host, and has no waypoint");
      const names = namesServed(service, reads, options);
      return attached(ref, { ...service, names, protocolOf: protocolHint }, reads, refuse);
    }
    case "networking.istio.io/ServiceEntry": {
      if (ref.namespace !== route.id.namespace) return refuse("UnsupportedValue", ELSEWHERE);
      const entry = reads.serviceEntries.get(key);
      if (entry === undefined) return missing();
      const names = selectedHosts(entry, reads.owners).map(({ service }) => service);
      return attached(ref, { ...entry, names, protocolOf: entryProtocol, ofGateway: false }, reads, refuse);
    }
    default:
      return undefined;
  }
}

const ELSEWHERE =
  "is in another namespace; routes for the callers of one namespace only are not supported, so put the route beside it";

type Parent = Pick<KubeService, "id" | "ports" | "useWaypoint" | "ofGateway"> & {
  readonly names: readonly ServiceName[];
  /** What is spoken at a port; empty if nothing says. */
  readonly protocolOf: (port: ServicePort) => string;
};
type Refuse = (reason: ParentOutcome["reason"], message: string) => ParentOutcome;

function attached(ref: ParentRef, parent: Parent, reads: ParentReads, refuse: Refuse): ParentOutcome {
  const ports = parent.ports.filter(
    ({ port, name }) =>
      (ref.port === undefined || ref.port === port) && (ref.sectionName === "" || ref.sectionName === name),
  );
  if (ports.length === 0)
    return refuse("NoMatchingParent", `has no such port; it has ${listed(parent.ports.map(({ port }) => `${port}`))}`);
  const http = ports.filter((port) => ["http", "detected"].includes(chainOf(parent.protocolOf(port)) ?? ""));
  if (http.length === 0)
    return refuse(
      "NoMatchingParent",
      `speaks ${listed(ports.map(parent.protocolOf))} there, not HTTP, as its ports say`,
    );
  const targets = parent.names.flatMap((service) =>
    http.map(({ port }) => ({ service, plain: parent.names[0]!, port })),
  );
  const { accepted, message } = enforcement(parent, reads);
  const reason = accepted ? "Accepted" : "NoMatchingParent";
  return { ...refuse(reason, message), targets, accepted };
}

const listed = (texts: readonly string[]): string => [...new Set(texts)].slice(0, 10).join(", ") || "none";

function enforcement({ id, useWaypoint, ofGateway }: Parent, reads: ParentReads) {
  const user: WaypointUser = { cluster: id.cluster, namespace: id.namespace, use: useWaypoint, kind: "service" };
  const chosen = ofGateway ? undefined : chosenWaypoint(user, reads);
  if (chosen === undefined)
    return {
      accepted: false,
      message: "has no waypoint, so nobody does what the route says; label it istio.io/use-waypoint",
    };
  if (chosen.refused !== undefined)
    return { accepted: false, message: `asks for waypoint ${chosen.name}, which ${chosen.refused}` };
  return { accepted: true, message: `is served as the route says by waypoint ${chosen.name}` };
}
