import type { Locality } from "../model/address.ts";
import { isFields, type Fields } from "./fields.ts";
import type { LabelSet } from "./labels.ts";
import { intern, type Metadata } from "./metadata.ts";
import { serviceScopeOf, type ServiceScope } from "./scope-labels.ts";
import { annotatedDistribution, useWaypointOf, type TrafficDistribution, type UseWaypoint } from "./traffic-labels.ts";

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
  };
}

/** All we want of a node; undefined parts are empty. */
export interface KubeNode {
  readonly locality: Locality | undefined;
}

export function readNode({ labels }: Metadata): KubeNode {
  return { locality: localityOf(labels) };
}

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
}

export function readGatewayClass({ labels, annotations }: Metadata, object: Fields): GatewayClass {
  const { controllerName } = isFields(object["spec"]) ? object["spec"] : {};
  return {
    controllerName: typeof controllerName === "string" ? controllerName.slice(0, 253) : "",
    waypointFor: labels.map.get("istio.io/waypoint-for"),
    inboundBinding: annotations("ambient.istio.io/waypoint-inbound-binding"),
  };
}
