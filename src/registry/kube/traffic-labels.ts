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

export type TrafficDistribution = "any" | "same-network" | "same-zone" | "same-node";

const DISTRIBUTIONS = new Map<string, TrafficDistribution>([
  ["prefernetwork", "same-network"],
  ["preferclose", "same-zone"],
  ["prefersamezone", "same-zone"],
  ["prefersamenode", "same-node"],
]);

/** Undefined if nothing is said; a value we do not know asks for none, and ends the search (contract 5.5). */
export function annotatedDistribution(annotations: Annotations): TrafficDistribution | undefined {
  const text = annotations("networking.istio.io/traffic-distribution");
  return text === undefined ? undefined : (DISTRIBUTIONS.get(text.toLowerCase()) ?? "any");
}

export function specDistribution(text: string): TrafficDistribution | undefined {
  return text === "" ? undefined : DISTRIBUTIONS.get(text.toLowerCase());
}
