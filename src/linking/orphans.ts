import { type ClusterFacts, objectsOf, whyUnknown } from "../inspect/cluster-facts.ts";
import { isFields } from "../kube/fields.ts";
import type { ResourceType } from "../kube/api.ts";
import type { KubeObject } from "../kube/object.ts";
import * as types from "../kube/resource-types.ts";
import { readGenerated } from "../registry/kube/generated.ts";
import { readOr, type Side } from "./side.ts";

/** A generated entry, and what is to become of it. */
export interface Orphan {
  readonly type: ResourceType;
  readonly object: KubeObject;
  /** Clusters that it was there for, none of which is known here any more. */
  readonly clusters: readonly string[];
}

export interface Orphans {
  readonly orphans: readonly Orphan[];
  /** Those that may be, and of which nobody can be sure; with why. */
  readonly kept: readonly { readonly object: KubeObject; readonly why: string }[];
}

/**
 * Entries that a control plane made for clusters that no Gateway and no remote secret leads to. What only looks like one,
 * or does not say whom it is for, stays (contract peering.md 2.13): the control plane takes such away itself, once it has
 * heard all of its peers.
 */
export function orphansIn(side: Side): Orphans {
  const { facts, cluster: own } = side;
  const unread = [types.GATEWAYS, types.SECRETS]
    .map((type) => whyUnknown(facts, type))
    .find((why) => why !== undefined);
  const known = new Set([
    ...side.remotes.flatMap(({ gateway: { leadsTo, network } }) => [leadsTo ?? "", network ?? ""]),
    ...remoteClusters(facts),
  ]);
  const all = [types.SERVICE_ENTRIES, types.WORKLOAD_ENTRIES].flatMap((type) =>
    objectsOf(facts, type).flatMap((object) => judged(type, object)),
  );
  const orphans: Orphan[] = [];
  const kept: { object: KubeObject; why: string }[] = [];
  for (const { type, object, clusters, made } of all) {
    if (!made) kept.push({ object, why: "no control plane says that it made it" });
    else if (clusters === undefined) kept.push({ object, why: "it does not say for which cluster it is" });
    else if (clusters.some((cluster) => known.has(cluster))) continue;
    else if (own === undefined) kept.push({ object, why: "it is not known which of its clusters is this one" });
    else if (clusters.includes(own)) continue;
    else if (unread !== undefined) kept.push({ object, why: `whom this cluster reads is not known: ${unread}` });
    else orphans.push({ type, object, clusters });
  }
  return { orphans, kept };
}

function judged(type: ResourceType, object: KubeObject) {
  const entry = readOr(object, false, readGenerated);
  return entry === undefined ? [] : [{ type, object, clusters: entry.clusters, made: entry.made }];
}

/** Keys of remote secrets: their values were left where they are. */
const remoteClusters = (facts: ClusterFacts): readonly string[] =>
  objectsOf(facts, types.SECRETS).flatMap(({ data }) => (isFields(data) ? Object.keys(data) : []));
