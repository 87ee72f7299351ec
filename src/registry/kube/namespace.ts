import type { Locality } from "../model/address.ts";
import { parseIp } from "../ip.ts";
import { isFields, type Fields } from "./fields.ts";
import type { LabelSet } from "./labels.ts";
import { intern, type Metadata } from "./metadata.ts";
import { readStatus, type ObjectStatus } from "./object-status.ts";
import { serviceScopeOf, type ServiceScope } from "./scope-labels.ts";
import {
  annotatedDistribution,
  distributionDoubts,
  useWaypointOf,
  type Doubt,
  type TrafficDistribution,
  type UseWaypoint,
} from "./traffic-labels.ts";

export interface Namespace {
  readonly name: string;
  readonly labels: LabelSet;
  readonly origin: string;
  readonly useWaypoint: UseWaypoint | undefined;
  /** The network of the whole cluster, if this is its system namespace; empty is the default one. */
  readonly network: string;
  readonly distribution: TrafficDistribution | undefined;
  /** True if it is being deleted: it takes nothing new. */
  readonly terminating: boolean;
  /** Of its services that say nothing themselves. */
  readonly scope: ServiceScope | undefined;
  /** What it says that nobody knows. */
  readonly doubts: readonly Doubt[];
}

export function readNamespace({ name, labels, annotations, origin, deleting }: Metadata): Namespace {
  return {
    name,
    labels,
    origin,
    useWaypoint: useWaypointOf(labels, name),
    network: labels.map.get("topology.istio.io/network") ?? "",
    distribution: annotatedDistribution(annotations),
    terminating: deleting,
    scope: serviceScopeOf(labels),
    doubts: distributionDoubts(annotations),
  };
}

/** All we want of a node; undefined parts are empty. */
export interface KubeNode {
  readonly uid: string;
  readonly locality: Locality | undefined;
  /** Where its node ports are: its external address, else its internal one; canonical, undefined if it has none. */
  readonly address: string | undefined;
  readonly ready: boolean;
  /** It takes no new pods. */
  readonly cordoned: boolean;
}

/** Never throws: where a node is must not depend on how it is. */
export function readNode({ uid, labels }: Metadata, object: Fields): KubeNode {
  const { unschedulable } = isFields(object["spec"]) ? object["spec"] : {};
  const { conditions, addresses } = isFields(object["status"]) ? object["status"] : {};
  const ready = itemsOf(conditions).some(({ type, status }) => type === "Ready" && status === "True");
  const known = itemsOf(addresses);
  const address = ["ExternalIP", "InternalIP"]
    .flatMap((wanted) => known.filter(({ type }) => type === wanted))
    .flatMap(({ address }) => (typeof address === "string" ? (parseIp(address) ?? []) : []))[0];
  return { uid, locality: localityOf(labels), address, ready, cordoned: unschedulable === true };
}

const itemsOf = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value.filter(isFields) : []);

/** As the well-known labels of a Node, or of a Gateway, have it. */
export function localityOf(labels: LabelSet): Locality | undefined {
  const part = (key: string) => intern(labels.map.get(key) ?? "");
  const region = part("topology.kubernetes.io/region");
  const zone = part("topology.kubernetes.io/zone");
  const subzone = part("topology.istio.io/subzone");
  return region || zone || subzone ? { region, zone, subzone } : undefined;
}

/** `r/z/s`, as entries write it; parts that are missing are empty. */
export function parseLocality(text: string): Locality | undefined {
  if (text === "") return undefined;
  const [region = "", zone = "", subzone = ""] = text.split("/");
  return { region, zone, subzone };
}

/** A GatewayClass gives its Gateways their defaults. */
export interface GatewayClass {
  readonly waypointFor: string | undefined;
  readonly inboundBinding: string | undefined;
  /** Empty if it does not say. */
  readonly controllerName: string;
  /** Undefined for one that is in no API server. */
  readonly status: ObjectStatus | undefined;
}

export function readGatewayClass(metadata: Metadata, object: Fields): GatewayClass {
  const { labels, annotations } = metadata;
  const { controllerName } = isFields(object["spec"]) ? object["spec"] : {};
  return {
    controllerName: typeof controllerName === "string" ? controllerName.slice(0, 253) : "",
    waypointFor: labels.map.get("istio.io/waypoint-for"),
    inboundBinding: annotations("ambient.istio.io/waypoint-inbound-binding"),
    status: readStatus(metadata, object, true, () => true),
  };
}
