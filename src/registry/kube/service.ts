import type { WaypointPolicy } from "../model/federated-service.ts";
import { parseIp } from "../ip.ts";
import { FieldError, fieldsOf, integerOf, listOf, portOf, textOf, textsOf, truthOf, type Fields } from "./fields.ts";
import { selectorOf, type LabelSet, type Selector } from "./labels.ts";
import {
  aliasAnnotations,
  drainWishOf,
  type DrainWish,
  waypointPolicyDoubts,
  waypointPolicyOf,
} from "./peering-annotations.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";
import { readStatus, type ObjectStatus } from "./object-status.ts";
import { serviceScopeOf, type ServiceScope } from "./scope-labels.ts";
import {
  annotatedDistribution,
  distributionDoubts,
  specDistribution,
  useWaypointOf,
  type Doubt,
  type TrafficDistribution,
  type UseWaypoint,
} from "./traffic-labels.ts";

export interface KubeService {
  readonly id: ObjectId;
  readonly labels: LabelSet;
  /** True if it only renames another host: nothing of it is ours. */
  readonly external: boolean;
  /** Canonical; empty if it is headless. */
  readonly clusterIps: readonly string[];
  readonly ports: readonly ServicePort[];
  readonly selector: Selector | undefined;
  readonly ipFamilies: readonly string[];
  readonly nodeLocal: boolean;
  readonly distribution: TrafficDistribution | undefined;
  readonly publishNotReady: boolean;
  readonly useWaypoint: UseWaypoint | undefined;
  /** What it says itself; its namespace and the mesh config may say more. */
  readonly scope: ServiceScope | undefined;
  /** Those that could be part of a host name, which a segment's aliases may ask for. */
  readonly annotations: ReadonlyMap<string, string>;
  readonly waypointPolicy: WaypointPolicy | undefined;
  readonly drain: DrainWish | undefined;
  /** Its nodes take traffic of node ports only for endpoints of their own. */
  readonly nodePortsLocal: boolean;
  /** What it says that nobody knows. */
  readonly doubts: readonly Doubt[];
  /** True if a mesh controller made it for a waypoint or an east-west gateway. */
  readonly ofGateway: boolean;
  readonly status: ObjectStatus | undefined;
}

/** One port that a service offers; a named target port is looked up on each endpoint. */
export interface ServicePort {
  readonly name: string;
  readonly port: number;
  /** Undefined if the object does not say, which is not the same as saying the same number. */
  readonly targetPort: number | string | undefined;
  readonly protocol: string;
  /** What is spoken there, as written; undefined if nothing but perhaps the name says so. */
  readonly appProtocol: string | undefined;
  /** Where every node takes its traffic; undefined if none does. */
  readonly nodePort: number | undefined;
}

/** Beyond this a Service is a mistake, and each of its endpoints would carry it. */
const PORTS_MAX = 1_000;
const GATEWAY_CONTROLLERS: readonly (string | undefined)[] = [
  "istio.io-mesh-controller",
  "istio.io-eastwest-controller",
];

/** @throws FieldError */
export function readService(metadata: Metadata, object: Fields): KubeService {
  const spec = fieldsOf(object["spec"], "spec");
  const distribution = textOf(spec["trafficDistribution"], "spec.trafficDistribution");
  return {
    id: idOf(metadata),
    labels: metadata.labels,
    external: spec["type"] === "ExternalName",
    clusterIps: clusterIps(spec),
    ports: readServicePorts(spec["ports"], "port"),
    selector: selectorOf(spec["selector"], "spec.selector"),
    ipFamilies: textsOf(spec["ipFamilies"], "spec.ipFamilies"),
    nodeLocal: spec["internalTrafficPolicy"] === "Local",
    distribution: specDistribution(distribution) ?? annotatedDistribution(metadata.annotations),
    publishNotReady: truthOf(spec["publishNotReadyAddresses"], "spec.publishNotReadyAddresses") ?? false,
    useWaypoint: useWaypointOf(metadata.labels, metadata.namespace),
    scope: serviceScopeOf(metadata.labels),
    annotations: aliasAnnotations(object),
    waypointPolicy: waypointPolicyOf(metadata.annotations),
    drain: drainWishOf(metadata.annotations),
    nodePortsLocal: spec["externalTrafficPolicy"] === "Local",
    doubts: [...distributionDoubts(metadata.annotations, distribution), ...waypointPolicyDoubts(metadata.annotations)],
    ofGateway: GATEWAY_CONTROLLERS.includes(metadata.labels.map.get("gateway.istio.io/managed")),
    status: readStatus(metadata, object, true),
  };
}

function clusterIps(spec: Fields): readonly string[] {
  const all = listOf(spec["clusterIPs"], "spec.clusterIPs", 2).map((item, at): readonly [string, string] => [
    `spec.clusterIPs[${at}]`,
    textOf(item, `spec.clusterIPs[${at}]`),
  ]);
  if (all.length === 0) all.push(["spec.clusterIP", textOf(spec["clusterIP"], "spec.clusterIP")]);
  return all
    .filter(([, text]) => text !== "" && text !== "None")
    .map(([field, text]) => {
      const ip = parseIp(text);
      if (ip === undefined) throw new FieldError(field, `is ${JSON.stringify(text.slice(0, 80))}, not an IP address`);
      return ip;
    });
}

/** Ports of a Service, or with `key` "number" of a ServiceEntry. @throws FieldError */
export function readServicePorts(value: unknown, key: "port" | "number"): readonly ServicePort[] {
  return listOf(value, "spec.ports", PORTS_MAX).map((item, at) => {
    const field = `spec.ports[${at}]`;
    const port = fieldsOf(item, field);
    return {
      name: textOf(port["name"], `${field}.name`),
      port: portOf(port[key], `${field}.${key}`),
      targetPort: targetPortOf(port["targetPort"], `${field}.targetPort`),
      protocol: textOf(port["protocol"], `${field}.protocol`) || "TCP",
      appProtocol: textOf(port["appProtocol"], `${field}.appProtocol`, 317) || undefined,
      nodePort: integerOf(port["nodePort"], `${field}.nodePort`, 0, 65_535) || undefined,
    };
  });
}

/** 0 and the empty name are how Kubernetes says nothing. */
function targetPortOf(value: unknown, field: string): number | string | undefined {
  if (value === undefined || value === null || value === 0 || value === "") return undefined;
  if (typeof value === "string" && !/^[0-9]+$/.test(value)) return textOf(value, field, 63);
  return portOf(typeof value === "string" ? Number(value) : value, field);
}
