import type { LabelSet } from "./labels.ts";
import type { Annotations } from "./metadata.ts";

/** What an object says about the waypoint it wants (contract ztunnel.md 5.6); undefined says nothing. */
export type UseWaypoint = "none" | { readonly namespace: string; readonly name: string };

export function useWaypointOf(labels: LabelSet, ownNamespace: string): UseWaypoint | undefined {
  const name = labels.map.get("istio.io/use-waypoint");
  if (name === undefined || name === "") return undefined;
  if (name === "none") return "none";
  return { namespace: labels.map.get("istio.io/use-waypoint-namespace") || ownNamespace, name };
}

/** How a workload takes traffic: through a ztunnel, by itself (`native`), or in plain text. */
export type Tunnel = "none" | "hbone" | "native";

/** The annotation is written by the CNI agent once a pod is enrolled; the label is for workloads that speak HBONE. */
export function tunnelOf(labels: LabelSet, annotations: Annotations): Tunnel {
  const protocols = labels.map.get("networking.istio.io/tunnel")?.split(",") ?? [];
  if (protocols.includes("http")) return "native";
  return annotations("ambient.istio.io/redirection") === "enabled" ? "hbone" : "none";
}

/**
 * How the traffic of a service is spread: what of it is kept near first (contract peering.md 2.10). `unknown`: something
 * is said that nobody knows, which asks for nothing, and is a problem.
 */
export type TrafficDistribution = "any" | "same-network" | "same-region" | "same-zone" | "same-node" | "unknown";

const DISTRIBUTIONS: ReadonlyMap<string, TrafficDistribution> = new Map([
  ["any", "any"],
  ["prefernetwork", "same-network"],
  ["preferregion", "same-region"],
  ["preferclose", "same-zone"],
  ["prefersamezone", "same-zone"],
  ["prefersamenode", "same-node"],
]);
const ANNOTATION = "networking.istio.io/traffic-distribution";

/** How peers are told of it. */
export const DISTRIBUTION_NAMES: Readonly<Record<TrafficDistribution, string | undefined>> = {
  any: "Any",
  "same-network": "PreferNetwork",
  "same-region": "PreferRegion",
  "same-zone": "PreferClose",
  "same-node": "PreferSameNode",
  unknown: undefined,
};

/** Of the text that somebody wrote, or a peer told us. */
export const distributionOf = (text: string): TrafficDistribution => DISTRIBUTIONS.get(text.toLowerCase()) ?? "unknown";

/** Undefined if nothing is said; a value we do not know ends the search, too. */
export function annotatedDistribution(annotations: Annotations): TrafficDistribution | undefined {
  const text = annotations(ANNOTATION);
  return text === undefined ? undefined : distributionOf(text);
}

export function specDistribution(text: string): TrafficDistribution | undefined {
  return text === "" ? undefined : DISTRIBUTIONS.get(text.toLowerCase());
}

/** A value that its author expects something of, and that we do not know. */
export interface Doubt {
  readonly field: string;
  /** What follows the name of the field in a sentence. */
  readonly message: string;
}

/** Values that nobody knows must not pass for a choice (contract peering.md 2.10). */
export function distributionDoubts(annotations: Annotations, spec = ""): readonly Doubt[] {
  const annotated = annotations(ANNOTATION);
  return [
    ...(annotated === undefined ? [] : doubtOf(`metadata.annotations[${ANNOTATION}]`, annotated, "asks for nothing")),
    ...(spec === "" ? [] : doubtOf("spec.trafficDistribution", spec, "has no effect")),
  ];
}

function doubtOf(field: string, text: string, effect: string): readonly Doubt[] {
  if (DISTRIBUTIONS.has(text.toLowerCase()) || text.toLowerCase() === "any") return [];
  const right = "use PreferNetwork, PreferRegion, PreferClose, PreferSameZone, PreferSameNode or Any";
  return [{ field, message: `is ${JSON.stringify(text.slice(0, 80))}, which nobody knows, and ${effect}; ${right}` }];
}
