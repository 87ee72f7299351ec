import type { ClusterId, ObjectKey } from "../names.ts";
import { printable } from "../printable.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { Collection, Lookup } from "./collection/collection.ts";
import { derive } from "./collection/derive.ts";
import type { Graph } from "./collection/graph.ts";
import type { ClusterSpiffeId } from "./kube/cluster-spiffe-id.ts";
import type { TemplateFacts, TemplatePlace } from "./kube/entry-template.ts";
import type { Objects } from "./kube/objects.ts";
import { podEnded, type Pod } from "./kube/pod.ts";
import { factsOf, NoEntry, textFor, workloadId } from "./spiffe-id-matches.ts";

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
  readonly objects: Pick<Objects, "pods" | "nodes">;
  /** By cluster: those of its objects, and what we register after. Without any, pods are registered in other ways. */
  readonly spiffeIds: Lookup<string, readonly ClusterSpiffeId[]>;
  /** Of `spiffeIdSelections`. */
  readonly selections: Lookup<string, readonly ClusterSpiffeId[] | undefined>;
}

export interface CoverageOptions extends TemplatePlace {
  readonly localCluster: ClusterId;
  /** Service accounts of ztunnels, as `namespace/name`; none if ztunnels need no identity of their own. */
  readonly ztunnelAccounts: ReadonlySet<string>;
  /** Whether whoever signs can tell that a pod has a selector; true for all where SPIRE's agents attest. */
  readonly judges: (selector: string) => boolean;
}

/** Who would be refused an identity, as far as ClusterSPIFFEIDs tell (contract peering.md C06). Empty is good. */
export function uncoveredPods(
  graph: Graph,
  { objects, spiffeIds, selections }: CoverageInputs,
  options: CoverageOptions,
): Collection<ObjectKey, UncoveredPod> {
  const { localCluster } = options;
  return derive(graph, {
    name: "pods-that-spire-does-not-know",
    from: objects.pods,
    reads: { spiffeIds, selections, nodes: objects.nodes },
    distinct: true,
    to: (pod, { spiffeIds, selections, nodes }, key) => {
      const role = pod.cluster === localCluster ? roleOf(pod, options.ztunnelAccounts) : undefined;
      if (role === undefined || spiffeIds.get(localCluster).length === 0) return [];
      const spiffeId = formatServiceAccountId({ ...pod, trustDomain: options.trustDomain });
      const facts = factsOf(pod, options, nodes);
      const selectedBy = (selections.get(pod.placement.id) ?? []).map((one) => ({
        name: one.id.name,
        why: whyNot(one, facts, spiffeId, options.judges),
      }));
      if (selectedBy.some(({ why }) => why === "")) return [];
      return [[key, { namespace: pod.namespace, name: pod.name, role, spiffeId, selectedBy }]];
    },
  });
}

const GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name";

/**
 * Undefined for a pod that has no part in the mesh; also for one that is not there yet, or no more.
 * @param ztunnelAccounts as `CoverageOptions` has them.
 */
export function roleOf(pod: Pod, ztunnelAccounts: ReadonlySet<string>): PodRole | undefined {
  if (podEnded(pod) || pod.node === "") return undefined;
  if (ztunnelAccounts.has(`${pod.namespace}/${pod.serviceAccount}`)) return "ztunnel";
  if (pod.placement.labels.map.has(GATEWAY_NAME)) return "gateway";
  return pod.tunnel === "none" ? undefined : "captured";
}

/** Any pod will do, with any label: what differs from pod to pod is part of no mesh identity. */
const SAMPLE: Omit<TemplateFacts, "place"> = {
  pod: { namespace: "a-namespace", name: "a-pod", uid: "a-uid", node: "a-node", serviceAccount: "an-account" },
  labels: { get: () => "a-label" },
  nodeUid: () => "a-node-uid",
};

/** Why a ClusterSPIFFEID gives no identities of the mesh; empty if it does, undefined if only its controller can tell. */
export function judgeSpiffeId(
  spiffeId: ClusterSpiffeId,
  place: TemplatePlace,
  judges: CoverageOptions["judges"],
): string | undefined {
  if (spiffeId.spiffeId.unsupported !== "") return undefined;
  const expected = formatServiceAccountId({ ...SAMPLE.pod, trustDomain: place.trustDomain });
  return whyNot(spiffeId, { ...SAMPLE, place }, expected, judges);
}

/** Why a ClusterSPIFFEID does not give a pod its identity; empty if it does, or if only SPIRE's controller could tell. */
function whyNot(
  spiffeId: ClusterSpiffeId,
  facts: TemplateFacts,
  expected: string,
  judges: CoverageOptions["judges"],
): string {
  // SPIRE's agents hand neither to a delegate (contract identity.md 1.2).
  if (spiffeId.admin) return "spec.admin is true, and SPIRE hands such an identity to no ztunnel";
  if (spiffeId.downstream) return "spec.downstream is true, and SPIRE hands such an identity to no ztunnel";
  if (spiffeId.spiffeId.unsupported !== "") return "";
  try {
    const id = workloadId(spiffeId.spiffeId, facts);
    if (id !== expected) return `it gives ${id}`;
    const further = spiffeId.workloadSelectors.filter(({ unsupported }) => unsupported === "");
    const texts = further.map((template) => textFor(template, "spec.workloadSelectorTemplates", facts));
    const beyond = texts.find((selector) => !judges(selector));
    if (beyond === undefined) return "";
    return `it asks for the selector ${printable(beyond, 120)}, which only SPIRE's own agents can judge, not --identity spire`;
  } catch (thrown) {
    if (!(thrown instanceof NoEntry)) throw thrown;
    return `${thrown.field} ${thrown.message}`;
  }
}
