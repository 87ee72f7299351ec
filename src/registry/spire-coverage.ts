import { objectKey, type ClusterId, type ObjectKey } from "../names.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { Collection, Lookup } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { ClusterSpiffeId } from "./kube/cluster-spiffe-id.ts";
import type { TemplateFacts } from "./kube/entry-template.ts";
import type { Objects } from "./kube/objects.ts";
import { podEnded, type Pod } from "./kube/pod.ts";
import { factsOf, NoEntry, spiffeIdsOf, workloadId, type TemplatePlace } from "./spiffe-id-matches.ts";

/** A pod whose identity in the mesh no ClusterSPIFFEID gives it. */
export interface UncoveredPod {
  readonly namespace: string;
  readonly name: string;
  readonly role: PodRole;
  /** The identity that it would have to have. */
  readonly spiffeId: string;
  /** Of the ClusterSPIFFEIDs that select it, each with why it does not do; none if none selects it. */
  readonly selectedBy: readonly { readonly name: string; readonly why: string }[];
}

/** What a pod needs its identity for: as a ztunnel that asks for others, as a gateway, or since its traffic is captured. */
export type PodRole = "ztunnel" | "gateway" | "captured";

export interface CoverageInputs {
  readonly objects: Pick<Objects, "pods" | "namespaces" | "nodes">;
  /** By cluster: those of its objects, or what we register after. */
  readonly spiffeIds: Lookup<string, readonly ClusterSpiffeId[] | undefined>;
}

export interface CoverageOptions extends TemplatePlace {
  readonly localCluster: ClusterId;
  /** Service accounts of ztunnels, as `namespace/name`; none if ztunnels need no identity of their own. */
  readonly ztunnelAccounts: ReadonlySet<string>;
}

/** Who would be refused an identity, as far as ClusterSPIFFEIDs tell (contract peering.md C06). Empty is good. */
export function uncoveredPods(
  graph: Graph,
  { objects, spiffeIds }: CoverageInputs,
  options: CoverageOptions,
): Collection<ObjectKey, UncoveredPod> {
  const { localCluster } = options;
  const { pods, namespaces, nodes } = objects;
  return derive(graph, {
    name: "pods-that-spire-does-not-know",
    from: pods,
    reads: { namespaces, nodes, spiffeIds },
    distinct: true,
    to: (pod, reads, key) => {
      const role = pod.cluster === localCluster ? roleOf(pod, options) : undefined;
      if (role === undefined) return [];
      const namespace = reads.namespaces.get(objectKey(localCluster, "", pod.namespace));
      const selecting = spiffeIdsOf(pod, namespace, reads.spiffeIds.get(localCluster) ?? []);
      const nodeUid = reads.nodes.get(objectKey(localCluster, "", pod.node))?.uid ?? "";
      const spiffeId = formatServiceAccountId({ ...pod, trustDomain: options.trustDomain });
      const facts = factsOf(pod, nodeUid, options);
      const selectedBy = selecting.map((one) => ({ name: one.id.name, why: whyNot(one, facts, spiffeId) }));
      if (selectedBy.some(({ why }) => why === "")) return [];
      return [[key, { namespace: pod.namespace, name: pod.name, role, spiffeId, selectedBy }]] as const;
    },
  });
}

const GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name";

/** Undefined for a pod that has no part in the mesh; also for one that is not there yet, or no more. */
function roleOf(pod: Pod, { ztunnelAccounts }: CoverageOptions): PodRole | undefined {
  if (podEnded(pod) || pod.node === "") return undefined;
  if (ztunnelAccounts.has(`${pod.namespace}/${pod.serviceAccount}`)) return "ztunnel";
  if (pod.placement.labels.map.has(GATEWAY_NAME)) return "gateway";
  return pod.tunnel === "none" ? undefined : "captured";
}

/** Any pod will do: what differs from pod to pod is part of no mesh identity. */
const SAMPLE: TemplateFacts["pod"] = {
  ...{ namespace: "a-namespace", name: "a-pod", uid: "a-uid", node: "a-node", serviceAccount: "an-account" },
  labels: new Map(),
};

/** Why a ClusterSPIFFEID gives no identities of the mesh; empty if it does, undefined if only its controller can tell. */
export function judgeSpiffeId(spiffeId: ClusterSpiffeId, place: TemplatePlace): string | undefined {
  if (spiffeId.spiffeId.unsupported !== "") return undefined;
  const expected = formatServiceAccountId({ ...SAMPLE, trustDomain: place.trustDomain });
  return whyNot(spiffeId, { ...place, pod: SAMPLE, nodeUid: "a-node-uid" }, expected);
}

/** Why a ClusterSPIFFEID does not give a pod its identity; empty if it does, or if only SPIRE's controller could tell. */
function whyNot(spiffeId: ClusterSpiffeId, facts: TemplateFacts, expected: string): string {
  // SPIRE's agents hand neither to a delegate (contract identity.md 1.2).
  if (spiffeId.admin) return "spec.admin is true, and SPIRE hands such an identity to no ztunnel";
  if (spiffeId.downstream) return "spec.downstream is true, and SPIRE hands such an identity to no ztunnel";
  if (spiffeId.spiffeId.unsupported !== "") return "";
  try {
    const id = workloadId(spiffeId.spiffeId, facts);
    return id === expected ? "" : `it gives ${id}`;
  } catch (thrown) {
    if (!(thrown instanceof NoEntry)) throw thrown;
    return `${thrown.field} ${thrown.message}`;
  }
}
