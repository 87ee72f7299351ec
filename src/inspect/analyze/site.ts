import { clusterId, isClusterId, type ClusterId, type NetworkId } from "../../names.ts";
import type { ResourceType } from "../../kube/api.ts";
import type { KubeObject } from "../../kube/object.ts";
import { Graph } from "../../registry/collection/graph.ts";
import { Controllers } from "../../registry/embedded/controllers.ts";
import { type Declared, keyOf } from "../../registry/embedded/declared.ts";
import { proxyConfigs } from "../../registry/gateways/proxy-configs.ts";
import type { Problem } from "../../registry/model/problem.ts";
import type { Collection } from "../../registry/collection/collection.ts";
import { Registry } from "../../registry/registry.ts";
import { objectsOf, type ClusterFacts } from "../cluster-facts.ts";
import { meshOfFacts, type FactsMesh } from "./mesh-of-facts.ts";

export interface SiteOptions {
  /** Where control planes are, as `istio-system`. */
  readonly systemNamespace: string;
}

/** A cluster as its own control plane would have it, and what the objects that it was made of say themselves. */
export interface Site extends SiteOptions {
  readonly facts: ClusterFacts;
  readonly cluster: ClusterId;
  readonly mesh: FactsMesh;
  readonly graph: Graph;
  readonly registry: Registry;
  /** Of gateways, and of what they carry. */
  readonly gatewayProblems: Collection<string, Problem>;
  /** What is wrong with manifests before a mesh looks at them. */
  readonly manifestProblems: readonly Problem[];
}

/** @param at which of the clusters it is: manifests of each get addresses of their own. */
export function siteOf(facts: ClusterFacts, at: number, { systemNamespace }: SiteOptions): Site {
  const cluster = clusterOf(facts);
  const mesh = meshOfFacts(facts, systemNamespace);
  const graph = new Graph();
  const registry = new Registry(graph, { mesh: mesh.settings, localCluster: cluster, systemNamespace });
  const { problems: gatewayProblems } = proxyConfigs(graph, registry.gatewayInputs);
  registry.meshConfig.set("mesh", mesh.config);
  const { objects, problems } = settled(facts, cluster, at);
  const intake = registry.intake(cluster);
  for (const { object, origin } of objects) intake.set(object, origin);
  graph.flush();
  return { facts, cluster, mesh, graph, registry, gatewayProblems, manifestProblems: problems, systemNamespace };
}

/** A cluster's name stands in keys of everything. */
const clusterOf = ({ cluster }: ClusterFacts): ClusterId =>
  clusterId(isClusterId(cluster) ? cluster : cluster.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "") || "cluster");

/** What an API server told is at rest; of manifests, controllers make what would be there once they were applied. */
function settled(
  facts: ClusterFacts,
  cluster: ClusterId,
  at: number,
): { readonly objects: readonly Declared[]; readonly problems: readonly Problem[] } {
  const all = [...facts.kinds.values()].flatMap((kind) => ("objects" in kind ? kind.objects : []));
  const declared = all.map((object) => ({ object, origin: originOf(facts, object) }));
  if (facts.files?.declared !== true) return { objects: declared, problems: [] };
  const first = new Map<string, Declared>();
  for (const each of declared) if (!first.has(keyOf(each.object))) first.set(keyOf(each.object), each);
  const { objects, problems } = new Controllers(
    {
      ...{ cluster, clusterDomain: "cluster.local", nodes: 1 },
      // As many clusters as there are may be on one network; beyond 250 of them addresses repeat.
      ...{ podCidr: `10.${at % 250}.0.0/16`, serviceCidr: "172.20.0.0/16", nodeCidr: "172.18.0.0/16" },
    },
    {},
  ).settle(first);
  return { objects: [...objects.values()], problems };
}

export const originOf = ({ files }: ClusterFacts, object: KubeObject): string => files?.origins.get(object) ?? "";

/** Empty if it names none. */
export const networkOf = ({ registry, cluster }: Site): NetworkId | "" => registry.networks.get(cluster) ?? "";

/** Objects as they were written, before controllers added anything. */
export const writtenIn = ({ facts }: Site, type: ResourceType): readonly KubeObject[] => objectsOf(facts, type);

/** Values of one cluster's own objects. */
export const own = <V>(from: Collection<string, V>): readonly V[] => Array.from(from.entries(), ([, value]) => value);
